"""Independent samples by solving the noise backwards in time."""

from twofold.sampling.draw import Samples, draw_samples
from twofold.sampling.solvers import SOLVERS, deblur, heun, reverse_sde

__all__ = ["SOLVERS", "Samples", "deblur", "draw_samples", "heun", "reverse_sde"]
