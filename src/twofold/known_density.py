"""What a page shows of a system whose density is known: energies at several levels of noise, the residual over all."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from twofold.diagnosis import Curve
from twofold.diagnosis.diffusion import LEVELS, residual_curve, residual_figure
from twofold.diagnosis.losses import Coordinates
from twofold.ensemble import Ensemble
from twofold.model import Model
from twofold.objectives.traces import EXACT
from twofold.report import NoisedEnergy
from twofold.systems.toys import LANDSCAPES
from twofold.units import thermal_energy

SHOWN = (1.0, 3.0, 10.0, 30.0)
"""Levels of noise, over that of the simulation, at which energies are drawn."""
FRAMES = 512
"""Frames that the residual is read from."""


def noised_energies(model: Model, reference: Ensemble) -> list[NoisedEnergy]:
    """Energies over a grid at sigma* and above it, beside the exact ones; none but of landscapes of up to two axes."""
    if "landscape" not in reference.source:
        return []
    landscape, found = LANDSCAPES[reference.source["landscape"]], []
    top = model.largest_energy
    if landscape.dimension > 2 or top < model.sigma_star:
        return []
    length = float(getattr(model.chart, "length", 1.0))
    for factor in SHOWN:
        sigma = min(factor * model.sigma_star, top)
        axes, exact = landscape.noised_grid(sigma * length)
        mesh = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, landscape.dimension)
        energy = model.energy(landscape.placed(mesh), sigma=sigma).reshape(exact.shape)
        energy = energy / thermal_energy(model.temperature)
        found.append(NoisedEnergy(sigma * length, axes, energy - energy.min(), exact))
    return found


def residual_over_noise(model: Model, reference: Ensemble, seed: int = 0) -> Curve | None:
    """The Fokker-Planck residual over the levels that have an energy; None but of systems that are known and small."""
    known = {"landscape", "cluster"} & reference.source.keys()
    smallest, top = model.schedule.smallest, model.largest_energy
    if not known or model.chart.dimension > EXACT or top <= smallest:
        return None
    part = reference.select(slice(None, None, max(1, -(-len(reference) // FRAMES))))
    x = jax.vmap(model.chart.encode)(jnp.asarray(part.positions))
    frames = Coordinates(x, part.weights, part.block)
    levels = np.geomspace(smallest, top, LEVELS)
    return residual_figure(residual_curve(model.network, model.chart, levels, frames, jax.random.key(seed)))
