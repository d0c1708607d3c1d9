"""Alanine dipeptide as an OpenMM system: force field, bias, independent copies, metadynamics.

Amber ff99SB-ILDN with the implicit solvent OBC1 (Onufriev, Bashford, Case, Proteins 55, 383, 2004), no cut-off, bonds
to hydrogen constrained, hydrogens of 3 amu, LangevinMiddle integrator (Zhang et al., J. Phys. Chem. A 123, 6056, 2019).
OpenMM is imported where it is used: it is the extra `[openmm]`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PHI = (4, 6, 8, 14)
PSI = (6, 8, 14, 16)
ATOMS = 22
TEMPERATURE = 300.0
FRICTION = 1.0
TIMESTEP_PS = 0.004
HYDROGEN_MASS = 3.0
SPACING_NM, CUTOFF_NM = 20.0, 3.0
"""Copies stand on a grid of this spacing; the cut-off lies between the size of a copy (1.2 nm) and that spacing."""
RECENTRE_PS = 25.0
"""Copies diffuse about 1 nm in this time; then each is put back on its site, which changes nothing inside it."""
GRID = 61
"""Points of the free-energy map along each torsion, from -pi to pi, both ends included."""


def openmm_modules() -> tuple[Any, Any, Any]:
    """(openmm, openmm.app, openmm.unit). Raises UserError when OpenMM is not installed."""
    try:
        import openmm  # pyright: ignore[reportMissingImports]
        import openmm.app  # pyright: ignore[reportMissingImports]
        import openmm.unit  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError("OpenMM is not installed", "the extra [openmm]", 'run pip install "twofold[openmm]"') from error
    return openmm, openmm.app, openmm.unit


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Keeps this process on one processor core inside the block; `None` leaves it alone.

    OpenMM hands every step to a worker thread and waits for it. Where waking an idle core is slow, caller and worker on
    the same core run several times faster. Raises UserError for a core that this process may not use.
    """
    if core is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    if core not in before:
        raise UserError(f"core {core}", f"one of {sorted(before)}", "choose another core")
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def bias_force(bias: np.ndarray, copies: int) -> Any:
    """CMAP torsion of phi and psi of every copy with the energies `bias`.

    bias: (n + 1, n + 1) kJ/mol, first axis psi, second phi, from -pi to pi, ends repeated, n even.
    OpenMM wants n x n values from 0 to 2 pi, first torsion fastest, and puts a periodic bicubic spline through them.
    """
    openmm, _, _ = openmm_modules()
    n = len(bias) - 1
    values = np.roll(bias[:n, :n], (n // 2, n // 2), axis=(0, 1))
    force = openmm.CMAPTorsionForce()
    force.addMap(n, values.ravel().tolist())
    for copy in range(copies):
        force.addTorsion(0, *(atom + ATOMS * copy for atom in PHI + PSI))
    return force


def _sites(copies: int) -> np.ndarray:
    """(copies, 1, 3) nm: points of a cubic grid."""
    side = int(np.ceil(copies ** (1 / 3)))
    grid = [(i % side, i // side % side, i // side**2) for i in range(copies)]
    return SPACING_NM * np.array(grid, dtype=float)[:, None]


def _apart(openmm: Any, system: Any) -> None:
    """Cuts all pair interactions off beyond CUTOFF_NM, so that copies far apart do not see each other.

    Inside a copy every pair lies within the cut-off, and a reaction field of dielectric constant 1 is the plain Coulomb
    force (its shift of the energy is constant), so each copy moves exactly as it would alone.
    """
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce | openmm.CustomGBForce):
            force.setNonbondedMethod(type(force).CutoffNonPeriodic)
            force.setCutoffDistance(CUTOFF_NM)
        if isinstance(force, openmm.NonbondedForce):
            force.setReactionFieldDielectric(1.0)


def molecules(pdb: Path, copies: int) -> tuple[Any, Any, np.ndarray]:
    """(OpenMM topology, system without a bias, positions (copies, 22, 3) nm) of copies that do not interact."""
    openmm, app, unit = openmm_modules()
    one = app.PDBFile(str(pdb))
    start = np.array(one.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
    positions = start + _sites(copies)
    model = app.Modeller(one.topology, one.positions)
    for place in positions[1:]:
        model.add(one.topology, unit.Quantity(place, unit.nanometer))
    field = app.ForceField("amber99sbildn.xml", "implicit/obc1.xml")
    options = {"nonbondedMethod": app.NoCutoff, "constraints": app.HBonds, "removeCMMotion": False}
    system = field.createSystem(model.topology, hydrogenMass=HYDROGEN_MASS, **options)
    if copies > 1:
        _apart(openmm, system)
    return model.topology, system, positions


def _integrator(openmm: Any, seed: int) -> Any:
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, FRICTION, TIMESTEP_PS)
    integrator.setRandomNumberSeed(seed + 1)  # OpenMM takes 0 for: choose one
    return integrator


def _cpu(openmm: Any) -> tuple[Any, dict[str, str]]:
    return openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"}


class Simulation:
    """Independent copies of the molecule, moved together under a static bias.

    The copies share one OpenMM system because a step of 22 atoms costs less than handing it to the worker thread.
    """

    def __init__(self, pdb: Path, bias: np.ndarray, copies: int, seed: int) -> None:
        """bias: as in `bias_force`; seed: of the random forces and the first velocities."""
        openmm, _, self._unit = openmm_modules()
        self.copies, self.seed = copies, seed
        _, system, self._start = molecules(pdb, copies)
        system.addForce(bias_force(bias, copies))
        self._integrator = _integrator(openmm, seed)
        self._context = openmm.Context(system, self._integrator, *_cpu(openmm))
        _, single, _ = molecules(pdb, 1)
        bias_term = bias_force(bias, 1)
        bias_term.setForceGroup(1)
        single.addForce(bias_term)
        self._single = openmm.Context(single, openmm.VerletIntegrator(TIMESTEP_PS), *_cpu(openmm))

    def start(self) -> None:
        """Puts minimised copies on their sites, with velocities of TEMPERATURE."""
        openmm, _, _ = openmm_modules()
        self._context.setPositions(self._start.reshape(-1, 3))
        openmm.LocalEnergyMinimizer.minimize(self._context)
        self._context.setVelocitiesToTemperature(TEMPERATURE, self.seed + 1)

    def advance(self, time_ps: float) -> None:
        """Moves all copies by `time_ps`, putting them back on their sites every RECENTRE_PS."""
        steps, most = round(time_ps / TIMESTEP_PS), round(RECENTRE_PS / TIMESTEP_PS)
        while steps > 0:
            self._integrator.step(min(steps, most))
            steps -= most
            self._context.setPositions((self.positions() + _sites(self.copies)).reshape(-1, 3))

    def positions(self) -> np.ndarray:
        """(copies, 22, 3) nm, each copy centred on the mean of its atoms."""
        state = self._context.getState(getPositions=True)
        positions = state.getPositions(asNumpy=True).value_in_unit(self._unit.nanometer).reshape(self.copies, ATOMS, 3)
        return positions - positions.mean(axis=1, keepdims=True)

    def evaluate(self, positions: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Of one molecule (22, 3) nm: forces (22, 3) kJ/mol/nm and energy kJ/mol without the bias; bias kJ/mol."""
        energy_unit = self._unit.kilojoule_per_mole
        self._single.setPositions(np.asarray(positions, dtype=float))
        free = self._single.getState(getEnergy=True, getForces=True, groups={0})
        biased = self._single.getState(getEnergy=True, groups={1})
        forces = free.getForces(asNumpy=True).value_in_unit(energy_unit / self._unit.nanometer)
        energies = (state.getPotentialEnergy().value_in_unit(energy_unit) for state in (free, biased))
        return forces, *energies

    def checkpoint(self) -> bytes:
        """Positions, velocities and random state, readable on the same machine with the same OpenMM."""
        return self._context.createCheckpoint()

    def restore(self, checkpoint: bytes) -> None:
        """Continues from `checkpoint`. Raises UserError when OpenMM cannot read it."""
        openmm, _, _ = openmm_modules()
        try:
            self._context.loadCheckpoint(checkpoint)
        except openmm.OpenMMException as error:
            raise UserError(
                "the state of the run cannot be read",
                "one written by this OpenMM on this machine",
                "start a new folder",
            ) from error


def metadynamics(pdb: Path, length_ns: float, seed: int, progress: Callable[[float], None] | None = None) -> np.ndarray:
    """Free energy (GRID, GRID) of (psi, phi) in kJ/mol, minimum 0, from well-tempered metadynamics.

    Barducci, Bussi, Parrinello, Phys. Rev. Lett. 100, 020603 (2008): Gaussians of width 0.35 rad and first height
    1 kJ/mol every ps, bias factor 8. progress: called with the nanoseconds done.
    """
    openmm, app, unit = openmm_modules()
    topology, system, start = molecules(pdb, 1)
    variables = []
    for torsion in (PHI, PSI):
        force = openmm.CustomTorsionForce("theta")
        force.addTorsion(*torsion)
        variables.append(app.BiasVariable(force, -np.pi, np.pi, 0.35, True, GRID))
    method = app.Metadynamics(system, variables, TEMPERATURE, 8.0, 1.0, round(1 / TIMESTEP_PS))
    simulation = app.Simulation(topology, system, _integrator(openmm, seed), *_cpu(openmm))
    simulation.context.setPositions(start[0])
    simulation.minimizeEnergy()
    simulation.context.setVelocitiesToTemperature(TEMPERATURE, seed + 1)
    total, part, done = round(length_ns * 1000 / TIMESTEP_PS), 5000, 0
    while done < total:
        method.step(simulation, min(part, total - done))
        done = min(done + part, total)
        if progress:
            progress(done * TIMESTEP_PS / 1000)
    free_energy = method.getFreeEnergy().value_in_unit(unit.kilojoule_per_mole)
    return free_energy - free_energy.min()
