"""Reference data of alanine dipeptide: biased sampling that visits every basin, with weights that undo the bias.

1. Well-tempered metadynamics gives a rough free energy F of the torsions phi and psi.
2. A static bias V = s (c - min(F, c)), s = 0.8 and c = 30 kJ/mol, flattens most of F; the run samples exp(-(U + V)/kT).
3. Each frame has the weight exp(V/kT): weighted averages are those of exp(-U/kT) whatever F is (Torrie, Valleau,
   J. Comput. Phys. 23, 187, 1977). F decides only how large the effective sample is. Runs under one map share the
   constant of their weights and can be joined.

The bias stands still, so that a run is at equilibrium and its forces, energies and weights are exact.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold import packaged
from twofold.errors import UserError
from twofold.files.atomic import atomic_path, write_text
from twofold.systems.ala2_openmm import TEMPERATURE, TIMESTEP_PS, Simulation, metadynamics, on_core, openmm_modules
from twofold.units import thermal_energy

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str, float, float], None]

FLATTEN, CAP = 0.8, 30.0
"""Share of the free energy that the bias takes away, and the free energy (kJ/mol) above which it takes no more."""
CHUNK_FRAMES = 50
MAP_FILE, SETTINGS_FILE = "free_energy_psi_phi.npy", "settings.json"


@dataclass(frozen=True)
class Settings:
    """What must not change when a run is continued.

    seed: of metadynamics and of the run; copies: independent runs; frame_ps: time between frames;
    equilibration_ps: of each copy, not recorded; metadynamics_ns: its length, 0 when a map is given;
    map_sha256: of the values of the map that was given, or empty.
    """

    seed: int
    copies: int
    frame_ps: float
    equilibration_ps: float
    metadynamics_ns: float
    map_sha256: str = ""

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise UserError(f"{self.copies} copies", "at least one")
        steps = self.frame_ps / TIMESTEP_PS
        if not 1 <= steps < 1e9 or abs(steps - round(steps)) > 1e-6:
            raise UserError(f"{self.frame_ps} ps between frames", f"a multiple of {TIMESTEP_PS} ps")
        if self.equilibration_ps < 0 or self.metadynamics_ns < 0:
            raise UserError("a negative time", "times of at least zero")
        if not self.map_sha256 and self.metadynamics_ns == 0:
            raise UserError("neither a map nor metadynamics", "a free-energy map or metadynamics of some length")


@dataclass(frozen=True)
class Reference:
    """The files of a finished run.

    topology: PDB; trajectories: one XTC for each copy; weights: `.npy`, (frames,) float32 of mean 1, over all
    trajectories in order; frames: `.npz` with forces (frames, 22, 3) kJ/mol/nm and energy kJ/mol of the unbiased
    force field (without constraint forces), bias kJ/mol, log_weight and run, in the same order;
    free_energy: the map that made the bias.
    """

    topology: Path
    trajectories: tuple[Path, ...]
    weights: Path
    frames: Path
    free_energy: Path


def static_bias(free_energy: np.ndarray) -> np.ndarray:
    """Bias V = FLATTEN (CAP - min(F, CAP)) in kJ/mol, at least 0, on the grid of `free_energy` (kJ/mol, minimum 0)."""
    return FLATTEN * (CAP - np.minimum(free_energy, CAP))


def log_weights(bias: np.ndarray, temperature: float = TEMPERATURE) -> np.ndarray:
    """ln of the weight of frames, up to a constant: bias / kT; bias in kJ/mol, temperature in K."""
    return np.asarray(bias, dtype=float) / thermal_energy(temperature)


def weights(log_weight: np.ndarray) -> np.ndarray:
    """exp(log_weight) scaled to mean 1, float64; safe for any constant in `log_weight`."""
    values = np.exp(log_weight - np.max(log_weight))
    return values / values.mean()


def read_map(path: str | Path) -> np.ndarray:
    """Free energy (n + 1, n + 1) in kJ/mol, minimum shifted to 0, of (psi, phi) from -pi to pi, ends repeated, n even.

    Raises UserError when the file is missing, is no `.npy`, or holds something else.
    """
    try:
        values = np.asarray(np.load(path, allow_pickle=False), dtype=float)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise UserError(f"{path} cannot be read as a free-energy map", "an array saved by numpy.save (.npy)") from error
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.shape[0] < 5 or values.shape[0] % 2 == 0:
        raise UserError(f"{path} holds an array of shape {values.shape}", "(n + 1, n + 1) with n even, psi first")
    if not np.isfinite(values).all():
        raise UserError(f"{path} holds values that are not finite", "free energies in kJ/mol")
    if not (np.allclose(values[0], values[-1], atol=1e-3) and np.allclose(values[:, 0], values[:, -1], atol=1e-3)):
        raise UserError(f"{path} is not periodic", "a last row and column that repeat the first (-pi and pi)")
    return values - values.min()


def generate(
    out: str | Path,
    length_ns: float = 20.0,
    seed: int = 0,
    *,
    bias: str | Path | None = None,
    copies: int = 4,
    metadynamics_ns: float = 4.0,
    frame_ps: float = 1.0,
    equilibration_ps: float = 200.0,
    core: int | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Reference:
    """Simulates alanine dipeptide with OpenMM; trajectories, weights, forces and energies go to the folder `out`.

    length_ns: of all copies together, rounded up to whole chunks of CHUNK_FRAMES frames of every copy.
    bias: file with a free-energy map (`read_map`) to use instead of metadynamics; the bias made of it is `static_bias`.
    copies: independent runs that one OpenMM system moves together; each becomes a trajectory.
    core: processor core to stay on, see `on_core`. progress: called with (stage, done ns, total ns).
    resume: continue what `out` holds, up to `length_ns`, which may be longer than before; a kill loses one chunk
    at most, or metadynamics where that had not ended.
    Raises UserError when OpenMM is missing, `out` exists (without `resume`) or was made with other settings.
    """
    openmm_modules()
    if not 0 < length_ns < np.inf:
        raise UserError(f"a length of {length_ns} ns", "a positive time")
    given = None if bias is None else read_map(bias)
    digest = "" if given is None else hashlib.sha256(given.astype("<f8").tobytes()).hexdigest()
    length_of_map = metadynamics_ns if given is None else 0.0
    settings = Settings(seed, copies, frame_ps, equilibration_ps, length_of_map, digest)
    folder = _open_folder(Path(out), settings, resume)
    with on_core(core):
        free_energy = _free_energy(folder, given, settings, progress)
        chunks = int(np.ceil(1000 * length_ns / (copies * CHUNK_FRAMES * frame_ps) - 1e-9))
        done = _run(folder, static_bias(free_energy), settings, chunks, progress)
    return _collect(folder, settings, done)


def _open_folder(folder: Path, settings: Settings, resume: bool) -> Path:
    """Creates `folder` with its settings, or checks that it holds the same ones."""
    file = folder / SETTINGS_FILE
    if file.is_file():
        if not resume:
            raise UserError(f"{folder} holds a run already", "a new folder", "choose another name or resume")
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{file} is damaged", "the settings of a run", "start a new folder") from error
        wanted = asdict(settings)
        other = sorted(name for name in wanted if stored.get(name) != wanted[name])
        if other:
            found = ", ".join(f"{name} {stored.get(name)}" for name in other)
            raise UserError(f"{folder} was made with {found}", "the same settings", "use those or start a new folder")
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and holds something else", "a new folder", "choose another name")
    (folder / "chunks").mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(asdict(settings), indent=2) + "\n")
    return folder


def _free_energy(folder: Path, given: np.ndarray | None, settings: Settings, progress: Progress | None) -> np.ndarray:
    """The map of this run: the stored one, the given one, or one from metadynamics."""
    file, length = folder / MAP_FILE, settings.metadynamics_ns
    if not file.is_file():
        report = (lambda done: progress("metadynamics", done, length)) if progress else None
        values = metadynamics(packaged.topology(), length, settings.seed, report) if given is None else given
        with atomic_path(file) as temporary:
            np.save(temporary, values)
    return read_map(file)


def _run(folder: Path, bias: np.ndarray, settings: Settings, chunks: int, progress: Progress | None) -> int:
    """Simulates until `chunks` chunks are on disk; gives their number. A state is stored after its chunk."""
    states = sorted((folder / "chunks").glob("state-*.chk"))
    done = int(states[-1].stem.split("-")[1]) if states else 0
    if done >= chunks:
        return done
    simulation = Simulation(packaged.topology(), bias, settings.copies, settings.seed)
    if states:
        simulation.restore(states[-1].read_bytes())
    else:
        simulation.start()
        simulation.advance(settings.equilibration_ps)
    for number in range(done, chunks):
        with atomic_path(folder / "chunks" / f"frames-{number:06d}.npz", overwrite=True) as temporary:
            np.savez(temporary, **_chunk(simulation, settings.frame_ps))
        state = folder / "chunks" / f"state-{number + 1:06d}.chk"
        with atomic_path(state) as temporary:
            temporary.write_bytes(simulation.checkpoint())
        for old in (folder / "chunks").glob("state-*.chk"):
            if old != state:
                old.unlink()
        if progress:
            chunk_ns = CHUNK_FRAMES * settings.frame_ps * settings.copies / 1000
            progress("simulation", (number + 1) * chunk_ns, chunks * chunk_ns)
    return chunks


def _chunk(simulation: Simulation, frame_ps: float) -> dict[str, Any]:
    """CHUNK_FRAMES frames: positions and forces (frames, copies, 22, 3), energy and bias (frames, copies).

    Energies and forces are those of the positions as stored, in float32.
    """
    frames = []
    for _ in range(CHUNK_FRAMES):
        simulation.advance(frame_ps)
        positions = simulation.positions().astype(np.float32)
        forces, energies, biases = zip(*(simulation.evaluate(one) for one in positions), strict=True)
        frames.append((positions, np.array(forces, dtype=np.float32), np.array(energies), np.array(biases)))
    names = ("positions", "forces", "energy", "bias")
    return {name: np.stack(values) for name, values in zip(names, zip(*frames, strict=True), strict=True)}


def _collect(folder: Path, settings: Settings, done: int) -> Reference:
    """Writes trajectories, weights and frames of the first `done` chunks, ordered by copy, then by time."""
    import mdtraj

    chunks = []
    for file in sorted((folder / "chunks").glob("frames-*.npz"))[:done]:
        with np.load(file) as data:
            chunks.append({name: data[name] for name in data})
    joined = {name: np.concatenate([chunk[name] for chunk in chunks]).swapaxes(0, 1) for name in chunks[0]}
    copies, frames = joined["bias"].shape
    pdb = folder / "ala2.pdb"
    with atomic_path(pdb, overwrite=True) as temporary:
        shutil.copyfile(packaged.topology(), temporary)
    topology = mdtraj.load_topology(str(pdb))
    trajectories = tuple(folder / f"run-{copy:0{len(str(copies - 1))}d}.xtc" for copy in range(copies))
    time = settings.frame_ps * np.arange(1, frames + 1)
    for path, positions in zip(trajectories, joined.pop("positions"), strict=True):
        with atomic_path(path, overwrite=True) as temporary:
            mdtraj.Trajectory(positions, topology, time=time).save_xtc(str(temporary))
    flat: dict[str, Any] = {name: values.reshape(-1, *values.shape[2:]) for name, values in joined.items()}
    flat |= {"log_weight": log_weights(flat["bias"]), "run": np.repeat(np.arange(copies, dtype=np.int32), frames)}
    with atomic_path(folder / "frames.npz", overwrite=True) as temporary:
        np.savez(temporary, **flat)
    with atomic_path(folder / "weights.npy", overwrite=True) as temporary:
        np.save(temporary, weights(flat["log_weight"]).astype(np.float32))
    return Reference(pdb, trajectories, folder / "weights.npy", folder / "frames.npz", folder / MAP_FILE)
