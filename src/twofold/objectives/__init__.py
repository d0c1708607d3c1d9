"""What training minimises."""

from twofold.objectives.classification import classification, other_level
from twofold.objectives.denoising import LOSSES, antithetic, draw_noise, implicit, level_weight, plain
from twofold.objectives.fokker_planck import fokker_planck, residual
from twofold.objectives.fractional import fractional, fractional_scores, stable_noise

__all__ = [
    "LOSSES",
    "antithetic",
    "classification",
    "draw_noise",
    "fokker_planck",
    "fractional",
    "fractional_scores",
    "implicit",
    "level_weight",
    "other_level",
    "plain",
    "residual",
    "stable_noise",
]
