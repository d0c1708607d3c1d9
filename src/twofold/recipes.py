"""How each architecture is trained unless the user says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """How an architecture is trained unless the user says otherwise; names as in `TrainingSettings`."""

    optimiser: str
    learning_rate: float
    weight_decay: float
    batch: int
    softening: float
    loss: str = "antithetic"
    keep: str = "end"
    chunk: int = 100
    fokker_planck: float = 0.0
    fokker_planck_largest: float | None = None
    classification: float = 0.0


# Weight decay and batch keep the loss of held-out frames from rising over the training times of the benchmarks; that
# of long chains with many frames is what samples and simulations are best with (benchmarks/wlall.md).
# Without the Fokker-Planck term simulations of alanine dipeptide hold half of the rare basin that samples hold, and
# those of a pentapeptide, once they have forgotten their start, are too compact.
SMALL_CHAIN = Recipe("muon", learning_rate=2e-3, weight_decay=0.3, batch=1024, softening=0.1, fokker_planck=0.5)
# What drifts in longer chains drifts between sigma 0.2 and 1.3; above, the term only costs accuracy of samples.
CHAIN = Recipe(
    "muon",
    learning_rate=4e-3,
    weight_decay=0.3,
    batch=1024,
    softening=0.1,
    fokker_planck=0.5,
    fokker_planck_largest=1.5,
)
# twice as much smooths the energy of a pentapeptide with many frames; few frames are learned by heart with less
CHAIN_OF_FEW = replace(CHAIN, weight_decay=0.6)
CARTESIAN = Recipe("muon", learning_rate=4e-3, weight_decay=0.2, batch=256, softening=0.02)
LANDSCAPE = Recipe(
    "muon", learning_rate=4e-3, weight_decay=0.05, batch=512, softening=0.1, fokker_planck=0.1, classification=0.1
)
# Of 1,000 frames of thirteen Lennard-Jones particles without forces ten times the decay leaves a tenth of the error of
# the score at small noise; of 10,000 either will do. A learning rate of 2e-3 in place of 1e-2 leaves errors up to four
# times as large after 1,000 updates, 2e-2 the same. A softening of 0.1 gains a little at small noise and loses more at
# large noise, by frames that are in no benchmark. A hundred frames are learned by heart after 500 of 3,000 updates. A
# hundred updates take minutes on a CPU: too long to time them, and to wait for a stop or a checkpoint.
PARTICLES = Recipe("muon", learning_rate=1e-2, weight_decay=0.05, batch=256, softening=0.05, keep="best", chunk=20)
MANY = {"flat": 100_000, "particles": 10_000}
"""Frames for which the decay of a recipe is right, by architecture; ten times as much for a tenth of them or less."""
PUBLISHED = Recipe("adam", learning_rate=4e-4, weight_decay=1e-12, batch=256, softening=0.02, loss="denoising", chunk=5)


def of_frames(recipe: Recipe, many: float, effective: float) -> Recipe:
    """For fewer frames than `many`: decay is a prior on the weights, and counts for as much as frames are few."""
    few = min(max(many / effective, 1.0), 10.0)
    return replace(recipe, weight_decay=few * recipe.weight_decay)
