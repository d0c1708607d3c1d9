"""The fitted model: energy, force, samples and simulations of one molecule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.architectures import CLASSES
from twofold.beads import Beads
from twofold.chart.base import Chart
from twofold.energy.base import Energy
from twofold.energy.together import over, together
from twofold.errors import UserError
from twofold.files.atomic import atomic_path, check_target, write_text
from twofold.files.trees import pack, read_arrays, unpack
from twofold.noise import NoiseSchedule
from twofold.sampling.draw import Samples, draw_samples
from twofold.sampling.likelihood import log_likelihood
from twofold.simulation.force_field import energies_and_forces
from twofold.simulation.region import Region
from twofold.units import MD_UNITS, thermal_energy

FORMAT = "twofold model"
VERSION = 1


class CoarseForceField(eqx.Module):
    """Energy in kJ/mol of positions in nm at one noise level: what a simulation runs.

    Extrapolated to no noise it is the tangent of U over sigma^2, followed down to zero: `U - 1/2 sigma dU/dsigma`.
    What the blur changes goes with sigma^2, so that the tangent is free of its leading part.
    """

    network: Energy
    chart: Chart
    sigma: Array
    thermal: Array
    extrapolated: bool = eqx.field(static=True, default=False)

    def energy(self, positions: Float[Array, "beads 3"]) -> Float[Array, ""]:
        """Potential of mean force of one conformation in kJ/mol, up to a constant."""
        with jax.default_matmul_precision("float32"):
            if not self.extrapolated:
                return self.thermal * self._at(positions, self.sigma)
            value, slope = jax.jvp(
                lambda level: self._at(positions, level), (self.sigma,), (jnp.ones_like(self.sigma),)
            )
            return self.thermal * (value - 0.5 * self.sigma * slope)

    def energies_and_forces(
        self, positions: Float[Array, "replicas beads 3"]
    ) -> tuple[Float[Array, " replicas"], Float[Array, "replicas beads 3"]]:
        """Energies in kJ/mol, up to a constant, and forces in kJ/mol/nm."""
        energies, gradients = over(
            jax.value_and_grad(self.energy), (positions,), self.network.entries(None, positions.shape[1])
        )
        return energies, -gradients

    def _at(self, positions: Float[Array, "beads 3"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        return self.network.of_positions(None, self.chart, positions, sigma)


class LadderForceField(CoarseForceField):
    """Energies of many walkers, each at a level of its own (walkers,); of one conformation at `sigma`, the lowest."""

    levels: Array = eqx.field(kw_only=True)

    def energies_and_forces(
        self, positions: Float[Array, "walkers beads 3"]
    ) -> tuple[Float[Array, " walkers"], Float[Array, "walkers beads 3"]]:
        """Energies in kJ/mol, up to a constant of each level, and forces in kJ/mol/nm."""

        def energy(one: Float[Array, "beads 3"], level: Array) -> Array:
            return replace(self, sigma=level).energy(one)

        entries = self.network.entries(None, positions.shape[1])
        energies, gradients = over(jax.value_and_grad(energy), (positions, self.levels), entries)
        return energies, -gradients


@dataclass(frozen=True)
class Model:
    """What `fit` gives: a diffusion model of one molecule, which is a sampler and a force field at once.

    temperature: K, of the data. sigma_star: noise level of the force field, in units of the chart. report: what fitting
    found out (JSON-able): architecture and why, sigma scan, losses.
    """

    beads: Beads
    temperature: float
    chart: Chart
    network: Energy
    schedule: NoiseSchedule
    sigma_star: float
    region: Region
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def updates(self) -> str:
        """Updates of the fit, "480 of 3000" if its energy is that of after 480 of them."""
        steps = self.report["settings"]["steps"]
        kept = self.report.get("updates_kept", steps)
        return f"{steps}" if kept == steps else f"{kept} of {steps}"

    @property
    def largest_energy(self) -> float:
        """The largest level of noise that has an energy, units of the chart; above it there may be a plain score."""
        return min(self.schedule.largest, self.network.conservative_to)

    def force_field(self, sigma: float | None = None, *, extrapolated: bool = False) -> CoarseForceField:
        """The force field at `sigma` (units of the chart), by default `sigma_star`.

        extrapolated: to no noise, at up to twice the cost. Raises UserError for a level that was not trained.
        """
        level = self.sigma_star if sigma is None else sigma
        self._check_trained(level)
        thermal = jnp.float32(thermal_energy(self.temperature))
        return CoarseForceField(self.network.at_level(level), self.chart, jnp.float32(level), thermal, extrapolated)

    def ladder(self, levels: Sequence[float], replicas: int) -> LadderForceField:
        """The force field of `replicas` walkers at each of ascending `levels` (units of the chart), one after another.

        Raises UserError for a level that was not trained.
        """
        for level in levels:
            self._check_trained(level)
        each = jnp.repeat(jnp.asarray(levels, jnp.float32), replicas)
        thermal = jnp.float32(thermal_energy(self.temperature))
        return LadderForceField(self.network, self.chart, each[0], thermal, levels=each)

    def _check_trained(self, level: float) -> None:
        low, high = self.schedule.smallest, self.schedule.largest
        # a ladder may end at the largest level, give or take rounding
        if not low * (1 - 1e-6) <= level <= high * (1 + 1e-6):
            raise UserError(
                f"sigma {level:g}",
                f"from {low:g} to {high:g}, the range that was trained",
                "choose another or leave it at auto",
            )

    def energy(self, positions_nm: Any, sigma: float | None = None) -> np.ndarray:
        """Potential of mean force in kJ/mol of positions (beads, 3) or (frames, beads, 3) in nm, up to a constant."""
        return self._evaluate(_energies, positions_nm, sigma)

    def force(self, positions_nm: Any, sigma: float | None = None) -> np.ndarray:
        """Forces in kJ/mol/nm, in the shape of positions (beads, 3) or (frames, beads, 3) in nm."""
        return self._evaluate(_forces, positions_nm, sigma)

    def _evaluate(self, function: Any, positions_nm: Any, sigma: float | None) -> np.ndarray:
        return self._framewise(lambda frames: function(self.force_field(sigma), frames), positions_nm)

    def _framewise(self, function: Callable[[Array], Any], positions_nm: Any) -> np.ndarray:
        positions = np.asarray(positions_nm, np.float32)
        if positions.shape[-2:] != (len(self.beads), 3) or positions.ndim not in (2, 3):
            count = len(self.beads)
            raise UserError(f"positions of shape {positions.shape}", f"({count}, 3) or (frames, {count}, 3) in nm")
        frames = jnp.asarray(positions if positions.ndim == 3 else positions[None])
        values = np.asarray(function(frames))
        return values[0] if positions.ndim == 2 else values

    def sample(self, number: int, **options: Any) -> Samples:
        """`number` independent conformations; see `twofold.sampling.draw.draw_samples` for the options."""
        known = {"region": self.region, "trusted": self.sigma_star}
        return draw_samples(self.network, self.chart, self.schedule, number, **known | options)

    def log_likelihood(self, positions_nm: Any, **options: Any) -> np.ndarray:
        """Log-likelihood in nats of positions (beads, 3) or (frames, beads, 3) in nm, up to a constant of the model.

        That of samples drawn with `solver="ode"`; see `twofold.sampling.likelihood.log_likelihood` for the options.
        """
        return self._framewise(
            lambda frames: log_likelihood(self.network, self.chart, self.schedule, frames, **options), positions_nm
        )

    def reweight(self, samples: Samples | np.ndarray, energies: np.ndarray, **options: Any) -> Any:
        """Weights of samples of the flow for energies in kJ/mol; see `twofold.reweighting.reweight_model`."""
        from twofold.reweighting import reweight_model

        return reweight_model(self, samples, energies, **options)

    def simulate(self, out: str | Path, **options: Any) -> Any:
        """Langevin dynamics of replicas, streamed into `out`; see `twofold.molecular_dynamics.simulate_model`."""
        from twofold.molecular_dynamics import simulate_model

        return simulate_model(self, out, **options)

    @cached_property
    def identity(self) -> str:
        """Hash of all that decides energies: two models of equal identity are the same force field."""
        arrays: dict[str, np.ndarray] = {}
        text = json.dumps([pack(self.network, arrays, "network"), pack(self.chart, arrays, "chart"), self.sigma_star])
        digest = hashlib.sha256(text.encode())
        for key in sorted(arrays):
            digest.update(arrays[key].tobytes())
        return digest.hexdigest()[:16]

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write `model.json` and `model.npz` into `folder`, which is made if it is missing."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"region/{name}": np.asarray(bound) for name, bound in self.region._asdict().items()}
        description = {
            "format": FORMAT,
            "version": VERSION,
            "units": MD_UNITS,
            "temperature": self.temperature,
            "sigma_star": self.sigma_star,
            "beads": self.beads.to_dict(),
            "schedule": {"smallest": self.schedule.smallest, "largest": self.schedule.largest},
            "chart": pack(self.chart, arrays, "chart"),
            "network": pack(self.network, arrays, "network"),
            "report": self.report,
            "identity": self.identity,
        }
        check_target(folder / "model.json", overwrite=overwrite)
        # the JSON comes last: a folder that has it is complete, arrays without it are what a kill left
        with atomic_path(folder / "model.npz", overwrite=True) as path:
            np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
        write_text(folder / "model.json", json.dumps(description, indent=1), overwrite=overwrite)

    @staticmethod
    def load(folder: str | Path) -> Model:
        """Read what `save` wrote. Raises UserError for a folder without a model, or one of another version."""
        description = read_description(Path(folder) / "model.json")
        arrays = read_arrays(Path(folder) / "model.npz")
        try:
            model = _assemble(description, arrays)
            same = model.identity == description["identity"]
        except UserError as error:
            raise UserError(f"{folder}: {error.found}", error.expected, error.do) from error
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise UserError(
                f"{folder}: a part of the model is missing or damaged ({error!r})", "a whole model", "fit it again"
            ) from error
        if not same:
            raise UserError(f"{folder}: model.json and model.npz do not belong together", "one model", "fit it again")
        return model


def _assemble(description: dict[str, Any], arrays: dict[str, np.ndarray]) -> Model:
    return Model(
        beads=Beads.from_dict(description["beads"]),
        temperature=description["temperature"],
        chart=unpack(description["chart"], arrays, CLASSES),
        network=unpack(description["network"], arrays, CLASSES),
        schedule=NoiseSchedule(**description["schedule"]),
        sigma_star=description["sigma_star"],
        region=Region(*(jnp.asarray(arrays[f"region/{name}"]) for name in Region._fields)),
        report=description["report"],
    )


def read_description(path: Path) -> dict[str, Any]:
    """The JSON of a model. Raises UserError when it is missing, damaged, foreign, or of another version."""
    if not path.is_file():
        expected = "a run that was fitted to the end"
        raise UserError(f"no model at {path.parent}", expected, "run twofold fit, or fit --resume")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})", "a model of twofold", "fit it again") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise UserError(f"{path} is no description of a model", f"one of format {FORMAT!r}", "check the folder")
    if (version := description.get("version")) != VERSION:
        raise UserError(f"{path} has version {version}", f"version {VERSION}", "use a matching twofold")
    return description


@eqx.filter_jit
def _energies(force_field: CoarseForceField, positions: Float[Array, "frames beads 3"]) -> Float[Array, " frames"]:
    return jax.lax.map(force_field.energy, positions, batch_size=_at_once(force_field, positions))


@eqx.filter_jit
def _forces(force_field: CoarseForceField, positions: Float[Array, "frames beads 3"]) -> Float[Array, "frames beads 3"]:
    def one(frame: Float[Array, "beads 3"]) -> Float[Array, "beads 3"]:
        return energies_and_forces(force_field, frame[None])[1][0]

    return jax.lax.map(one, positions, batch_size=_at_once(force_field, positions))


def _at_once(force_field: CoarseForceField, positions: Float[Array, "frames beads 3"]) -> int:
    return min(1024, together(force_field.network.entries(None, positions.shape[1])))
