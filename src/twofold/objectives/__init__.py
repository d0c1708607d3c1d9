"""What training minimises."""

from twofold.objectives.classification import classification, other_level
from twofold.objectives.denoising import LOSSES, antithetic, draw_noise, implicit, level_weight, plain
from twofold.objectives.fokker_planck import fokker_planck, residual
from twofold.objectives.fractional import fractional, fractional_scores, stable_noise
from twofold.objectives.pinning import pinning
from twofold.objectives.potential import MIXTURES, force_share

__all__ = [
    "LOSSES",
    "MIXTURES",
    "antithetic",
    "classification",
    "draw_noise",
    "fokker_planck",
    "force_share",
    "fractional",
    "fractional_scores",
    "implicit",
    "level_weight",
    "other_level",
    "pinning",
    "plain",
    "residual",
    "stable_noise",
]
