"""Data that come with the package: alanine dipeptide in implicit solvent at 300 K."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from twofold.errors import UserError


@dataclass(frozen=True)
class Packaged:
    """Where the files of a packaged data set lie.

    topology: PDB of all atoms.
    training, held_out: XTC files, each one independent run in order of time; no run is in both.
    training_weights, held_out_weights: `.npy`, one float32 weight for each frame of the trajectories, in order.
        Weights have mean 1 over training and held-out frames together.
    free_energy: `.npy`, the map that made the bias (kJ/mol; psi, phi): runs under the same map can be joined to these.
    temperature: K.
    frame_ps: time between frames, ps.
    """

    topology: Path
    training: tuple[Path, ...]
    training_weights: Path
    held_out: tuple[Path, ...]
    held_out_weights: Path
    free_energy: Path
    temperature: float
    frame_ps: float

    def weights(self) -> np.ndarray:
        """Weights of the training frames, then of the held-out ones."""
        return np.concatenate([np.load(self.training_weights), np.load(self.held_out_weights)])

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file of the set."""
        trajectories = (*self.training, *self.held_out)
        return (self.topology, *trajectories, self.training_weights, self.held_out_weights, self.free_energy)


def folder() -> Path:
    """The folder of the packaged alanine dipeptide data."""
    return Path(str(files("twofold"))) / "data" / "ala2"


def topology() -> Path:
    """PDB of alanine dipeptide (ACE-ALA-NME, 22 atoms). Raises UserError when it is missing."""
    return _present(folder() / "ala2.pdb")


def ala2() -> Packaged:
    """The packaged alanine dipeptide: see the README in its folder for how it was made.

    Raises UserError when a file is missing from the installation.
    """
    here = folder()
    training = tuple(sorted(here.glob("training-*.xtc")))
    held_out = tuple(sorted(here.glob("held-out-*.xtc")))
    return Packaged(
        topology=topology(),
        training=training or (_present(here / "training-0.xtc"),),
        training_weights=_present(here / "training-weights.npy"),
        held_out=held_out or (_present(here / "held-out-0.xtc"),),
        held_out_weights=_present(here / "held-out-weights.npy"),
        free_energy=_present(here / "free_energy_psi_phi.npy"),
        temperature=300.0,
        frame_ps=2.0,
    )


def _present(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is missing from the installation", "the packaged data", "install twofold again")
    return path
