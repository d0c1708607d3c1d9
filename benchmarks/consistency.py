"""The methods of the field side by side: same data, network, updates and seeds, on systems that are known.

    python benchmarks/consistency.py runs/bench-consistency --write benchmarks/consistency.md

Systems: the two-mode mixture 20/80, Mueller-Brown, five-bead alanine dipeptide. Every method fits, draws samples,
simulates from samples and is scored against frames that training did not see. Scores of the mixture's simulations hold
no news about populations: nothing crosses its barrier of 25 kT, so they are read off the energy by quadrature. Nor do
those of the molecule, in the time of a table: what its energy holds is told by the residual of the Fokker-Planck
equation along the levels of noise (see the method's section on weights of basins).
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from common import (
    Folder,
    boltzmann,
    command_line,
    fit_ala2,
    fit_once,
    header,
    log_odds,
    minima,
    publish,
    quantity,
    scored,
    spread,
    table,
    with_error,
)

from twofold.analysis.observables import torsions
from twofold.diagnosis.basins import odds_drift
from twofold.diagnosis.losses import Coordinates
from twofold.model import Model
from twofold.run_folder import RunFolder
from twofold.systems.toys import LANDSCAPES


@dataclass(frozen=True)
class Method:
    """A way to train and to simulate.

    settings: of the fit; level: "smallest" or "auto", which is sigma*; molecules: whether those are fitted too.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    level: str = "auto"
    published: str = ""
    molecules: bool = True


DRIFT_FRAMES = 10_000
PLAIN = {"loss": "denoising"}
RESIDUAL = {"fokker_planck": "SYSTEM"}
EXPERTS = {"experts": "SYSTEM", "experts_plain": 2}
"""Three networks, of which the first is the force field and the other two are scores without an energy."""
METHODS: dict[str, Method] = {
    "diffusion": Method(PLAIN, "smallest", "Diffusion"),
    "Two for One": Method(PLAIN, "auto", "Two For One"),
    "mixture": Method(PLAIN | EXPERTS, "smallest", "Mixture"),
    "Fokker-Planck": Method(PLAIN | RESIDUAL, "smallest", "Fokker-Planck"),
    "both": Method(PLAIN | RESIDUAL | EXPERTS | {"fokker_planck_largest": "SYSTEM"}, "smallest", "Both"),
    "antithetic": Method({"fokker_planck": 0.0, "classification": 0.0}, "auto"),
    "antithetic + Fokker-Planck": Method(RESIDUAL | {"classification": 0.0}, "auto"),
    "antithetic + classification": Method({"fokker_planck": 0.0, "classification": 0.1}, "auto"),
    "antithetic + both terms": Method(RESIDUAL | {"classification": 0.1}, "auto"),
    "antithetic + both at 0.1": Method({"fokker_planck": 0.1, "classification": 0.1}, "auto", molecules=False),
}


@dataclass(frozen=True)
class System:
    """What is fitted and how much of everything; what stands for SYSTEM in the settings of methods.

    experts: levels of noise at which they hand over; of landscapes the times 0.1 and 0.6 of ScoreMD, in internal
    coordinates what is about as much. published: i.i.d. JS, simulation JS, i.i.d. PMF, simulation PMF.
    """

    frames: int
    steps: int
    samples: int
    replicas: int
    length_ps: float
    frame_ps: float
    timestep_fs: float | None
    bins: int
    joint: str
    basins: tuple[str, str]
    experts: tuple[float, ...]
    fokker_planck: float
    published: dict[str, tuple[str, str, str, str]] = field(default_factory=dict)

    @property
    def fokker_planck_largest(self) -> float:
        """The residual of the published mixture is that of its first expert."""
        return self.experts[0]


SYSTEMS: dict[str, System] = {
    "double-well-2d": System(
        10_000, 10_000, 50_000, 200, 500.0, 2.0, 50.0, 100, "x/y",
        ("population of basin left", "population of basin right"), (0.34, 6.1), 1.0,
    ),
    "mueller-brown": System(
        100_000, 20_000, 100_000, 100, 250.0, 0.25, 5.0, 100, "x/y",
        ("population of basin upper", "population of basin lower"), (0.34, 6.1), 1.0,
        {
            "Diffusion": ("0.0122 ± 0.0013", "0.0448 ± 0.0125", "0.111 ± 0.006", "0.504 ± 0.150"),
            "Mixture": ("0.0109 ± 0.0007", "0.0254 ± 0.0109", "0.097 ± 0.004", "0.247 ± 0.113"),
            "Fokker-Planck": ("0.0130 ± 0.0010", "0.0166 ± 0.0009", "0.122 ± 0.006", "0.163 ± 0.008"),
            "Both": ("0.0110 ± 0.0007", "0.0108 ± 0.0008", "0.098 ± 0.003", "0.099 ± 0.004"),
        },
    ),
    "ala2": System(
        0, 10_000, 20_000, 200, 100.0, 0.5, None, 64, "phi/psi ALA2",
        ("population of phi > 0, ALA2", ""), (0.6, 2.5), 0.5,
        {
            "Diffusion": ("0.0081 ± 0.0003", "0.0695 ± 0.0517", "0.095 ± 0.003", "1.047 ± 0.924"),
            "Two For One": ("0.0081 ± 0.0003", "0.0158 ± 0.0002", "0.098 ± 0.006", "0.206 ± 0.004"),
            "Mixture": ("0.0080 ± 0.0004", "0.0353 ± 0.0117", "0.092 ± 0.007", "0.388 ± 0.109"),
            "Fokker-Planck": ("0.0084 ± 0.0002", "0.0088 ± 0.0006", "0.098 ± 0.006", "0.105 ± 0.011"),
            "Both": ("0.0079 ± 0.0002", "0.0086 ± 0.0004", "0.089 ± 0.005", "0.099 ± 0.003"),
        },
    ),
}  # fmt: skip


def main(
    folder: Folder,
    /,
    systems: tuple[str, ...] = ("double-well-2d", "mueller-brown", "ala2"),
    methods: tuple[str, ...] = tuple(METHODS),
    seeds: int = 3,
    scale: Annotated[float, tyro.conf.arg(help="part of the updates that is made")] = 1.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its tables."""
    lines = header("Methods side by side", command_line())
    for name in systems:
        rows: list[tuple[Any, ...]] = []
        for label in methods:
            if name not in LANDSCAPES and not METHODS[label].molecules:
                continue
            found = [one_run(folder, name, label, seed, scale) for seed in range(seeds)]
            rows.append(row(label, name, found))
            print("\n".join(table(COLUMNS, rows)), flush=True)
        lines += [f"## {name}", "", *table(COLUMNS, rows)]
    publish(lines, write)


COLUMNS = (
    "method", "i.i.d. JS", "simulation JS", "i.i.d. PMF", "simulation PMF", "floor JS i.i.d. / simulation",
    "floor PMF", "ΔF i.i.d., kT", "ΔF simulation, kT", "ΔF energy, kT", "ΔF reference", "minima",
    "sigma", "stable", "training, s", "published JS, PMF",
)  # fmt: skip


def place(folder: Path, name: str, label: str, seed: int) -> Path:
    """The folder of a system, a method and a seed."""
    return folder / name / f"{label.replace(' ', '-')}-{seed}"


def one_run(where: Path, name: str, label: str, seed: int, scale: float) -> dict[str, Any]:
    """Fit, sample, simulate and score; a finished run is read back."""
    system, method, folder = SYSTEMS[name], METHODS[label], place(where, name, label, seed)
    run = folder / "run"
    settings = {k: getattr(system, k) if v == "SYSTEM" else v for k, v in method.settings.items()}
    settings |= {"steps": round(scale * system.steps), "seed": seed}
    same = [label for label, other in METHODS.items() if other.settings == method.settings]
    fitted = place(where, name, same[0], seed) / "run"
    if fitted.is_dir() and not run.is_dir():
        # these methods part where they simulate
        shutil.copytree(fitted, run)
    model = fit_ala2(run, **settings) if name == "ala2" else fit_landscape(name, run, system.frames, settings)
    simulation = {
        "replicas": system.replicas,
        "length_ps": system.length_ps,
        "frame_ps": system.frame_ps,
        "timestep_fs": system.timestep_fs,
        "sigma": _level(model, method),
    }
    metrics = scored(folder, model, samples=system.samples, seed=seed, simulation=simulation, bins=system.bins)
    level = _level(model, method) or model.sigma_star
    found = {"metrics": metrics, "report": model.report, "sigma": level, "minima": ""}
    if name not in LANDSCAPES:
        return found | {"energy": odds_of_energy(model, run, level)}
    landscape = LANDSCAPES[name]
    points, mass, energy = boltzmann(model, landscape)
    return found | {"energy": log_odds(landscape, points, mass), "minima": str(np.count_nonzero(minima(energy)))}


def odds_of_energy(model: Model, run: Path, level: float) -> float:
    """ln of the odds of phi < 0 in `exp(-U)`: of training frames, less what they drift by along the levels of noise."""
    training, _ = RunFolder(run).read_data()
    some = training.select(slice(None, None, max(1, len(training) // DRIFT_FRAMES)))
    inside = torsions(some.positions, np.array([[0, 1, 2, 3]]))[:, 0] > 0
    x = jax.jit(jax.vmap(model.chart.encode))(jnp.asarray(some.positions))
    levels = np.geomspace(level, model.largest_energy, 24)
    drift, *_ = odds_drift(model.network, model.chart, levels, Coordinates(x, some.weights, some.block), inside)
    share = float(np.average(inside, weights=some.weights))
    return float(np.log((1 - share) / share)) - drift


def fit_landscape(name: str, out: Path, frames: int, settings: dict[str, Any]) -> Model:
    """The model of a landscape; its reference is made of as many frames as the training set, from chains of its own."""
    return fit_once(out, name, frames=2 * frames, held_out_fraction=0.5, **settings)


def _level(model: Model, method: Method) -> float | None:
    if method.level == "auto":
        return None
    return model.schedule.smallest


def difference(result: dict[str, Any], basins: tuple[str, str], key: str) -> float:
    """Free-energy difference of two basins in kT: ln of the ratio of their populations."""
    first = quantity(result, basins[0])[key]
    second = quantity(result, basins[1])[key] if basins[1] else 1.0 - first
    return float(np.log(max(second, 1e-12) / max(first, 1e-12)))


def row(label: str, name: str, found: list[dict[str, Any]]) -> tuple[Any, ...]:
    """One row of a table; dashes where every replica of every seed was stopped at once."""
    system = SYSTEMS[name]
    sets = {
        kind: [one["metrics"]["sets"][kind] for one in found if kind in one["metrics"]["sets"]]
        for kind in ("samples", "simulation")
    }

    def score(kind: str, metric: str, key: str = "value") -> str:
        return spread([quantity(one, f"{system.joint} {metric}")[key] for one in sets[kind]], 3) or "-"

    def floor(kind: str, metric: str) -> str:
        rows = [quantity(one, f"{system.joint} {metric}") for one in sets[kind]]
        if len(rows) > 1 and len({one["floor"] for one in rows}) == 1:
            # one reference judges all seeds: its floor has no spread, but an error of its own
            return with_error(rows[0]["floor"], rows[0]["floor_error"])
        return spread([one["floor"] for one in rows], 3) or "-"

    floors = [" / ".join(floor(kind, metric) for kind in sets) for metric in ("JS", "PMF error")]
    free = [spread([difference(one, system.basins, "value") for one in sets[kind]], 3) or "-" for kind in sets]
    energies = [one["energy"] for one in found if one["energy"] is not None]
    reference = spread([difference(one, system.basins, "reference") for one in sets["samples"]], 3)
    if not system.basins[1]:
        rare = quantity(sets["samples"][0], system.basins[0])
        share = rare["reference"]
        reference = with_error(float(np.log(1 / share - 1)), rare["reference_error"] / (share * (1 - share)))
    if name in LANDSCAPES:
        exact = list(LANDSCAPES[name].populations().values())
        reference += f" (exact {np.log(exact[1] / exact[0]):.3f})"
    published = system.published.get(METHODS[label].published)
    moving = [one["metrics"]["simulations"]["simulation"] for one in found]
    return (
        label,
        score("samples", "JS"),
        score("simulation", "JS"),
        score("samples", "PMF error"),
        score("simulation", "PMF error"),
        *floors,
        *free,
        spread(energies, 3),
        reference,
        ", ".join(filter(None, (one["minima"] for one in found))),
        spread([one["sigma"] for one in found], 2),
        ", ".join(f"{one['stable']}/{one['replicas']}" for one in moving),
        spread([one["report"]["seconds"] for one in found], 3),
        "iid {0}, {2}; simulation {1}, {3}".format(*published) if published else "",
    )


if __name__ == "__main__":
    began = time.perf_counter()
    tyro.cli(main)
    print(f"{(time.perf_counter() - began) / 60:.1f} min in all")
