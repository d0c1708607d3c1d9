"""Time-dependent energies whose gradient is the score; one file for each architecture."""

from twofold.energy.base import Energy, energies, scores, trainable

__all__ = ["Energy", "energies", "scores", "trainable"]
