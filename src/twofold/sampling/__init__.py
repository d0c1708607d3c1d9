"""Independent samples by solving the noise backwards in time."""

from twofold.sampling.draw import Samples, draw_samples
from twofold.sampling.likelihood import log_likelihood
from twofold.sampling.solvers import SOLVERS, deblur, heun, reverse_sde

__all__ = ["SOLVERS", "Samples", "deblur", "draw_samples", "heun", "log_likelihood", "reverse_sde"]
