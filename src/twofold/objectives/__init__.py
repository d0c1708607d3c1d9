"""What training minimises."""

from twofold.objectives.denoising import LOSSES, antithetic, draw_noise, implicit, level_weight, plain

__all__ = ["LOSSES", "antithetic", "draw_noise", "implicit", "level_weight", "plain"]
