"""What a fit starts from: chart, untrained energy, settings without gaps, data and labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
from jaxtyping import Array, PRNGKeyArray

from twofold import architectures
from twofold.architectures import Built
from twofold.chart.internal import InternalChart
from twofold.energy.base import Energy
from twofold.energy.coulomb import coulomb
from twofold.energy.repulsion import repulsion
from twofold.energy.springs import springs
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.training.data import TrainingData, training_data
from twofold.training.labels import (
    NoiseBudget,
    energy_labels,
    force_labels,
    label_temperature,
    mean_squares,
    noise_budget,
    principal_squares,
)
from twofold.training.loop import Trainer
from twofold.training.settings import TrainingSettings

BUDGET_FRAMES = 10_000
"""Frames that tell how much of the labels is signal."""


@dataclass(frozen=True)
class Setup:
    """All that training needs but the number of steps.

    settings: those of the user, and of the recipe where they say nothing. data, unseen: training and held-out frames in
    coordinates of the chart. squares: mean squares of forces and their directions, as `Trainer` takes them. budget:
    how much of the labels is signal.
    """

    built: Built
    settings: TrainingSettings
    data: TrainingData
    unseen: TrainingData
    squares: tuple[Array | None, Array | None]
    budget: NoiseBudget

    def trainer(self, steps: int) -> Trainer:
        """For a run of so many steps."""
        built = self.built
        # what differs between fits that share compiled code is not part of that code
        settings = self.settings.model_copy(update={"steps": None, "minutes": None, "seed": 0})
        return Trainer(built.energy, built.chart, None, built.schedule, settings, steps, *self.squares)


def set_up(training: Ensemble, held_out: Ensemble, asked: TrainingSettings, key: PRNGKeyArray) -> Setup:
    """Build what the settings ask for. Raises UserError for settings that do not suit the data or each other."""
    kelvin = label_temperature(training.temperature, asked.force_temperature)
    built = _built(training, asked, key, kelvin)
    data, unseen = (
        training_data(
            built.chart,
            part.positions,
            part.weights,
            force_labels(part, asked.forces, kelvin),
            energy_labels(part, asked.energy_weight, kelvin),
            built.loosening,
        )
        for part in (training, held_out)
    )
    if data.scores is None:
        unseen = unseen._replace(scores=None)  # what training does not have, it is not judged by
    if asked.forces == "only" and data.scores is None:
        raise UserError("forces only, for data without forces", "forces in the data or in a file", "leave it out")
    labelled = data.scores is not None
    settings = with_recipe(asked, built, labelled)
    _check_stability(settings, built, labelled)
    squares = _squares(training, data, built, settings)
    return Setup(built, settings, data, unseen, squares, _budget(training, data, built, settings))


def _built(training: Ensemble, asked: TrainingSettings, key: PRNGKeyArray, kelvin: float) -> Built:
    built = architectures.build(
        asked.architecture,
        training,
        key,
        width=asked.width,
        depth=asked.depth,
        schedule=asked.schedule,
        smallest=asked.smallest_noise,
    )
    if asked.experts:
        built = architectures.with_experts(
            built,
            training,
            key,
            asked.experts,
            overlap=asked.experts_overlap,
            plain=asked.experts_plain,
            width=asked.width,
            depth=asked.depth,
        )
    return architectures.beside(built, *_terms(built, training, asked, kelvin)) if asked.terms else built


def _terms(built: Built, training: Ensemble, asked: TrainingSettings, kelvin: float) -> list[Energy]:
    """What is known of the energy, in kT of the labels. Raises UserError for charges or bonds that the beads lack."""
    beads, terms = training.beads, []
    length = float(getattr(built.chart, "length", 1.0))
    if "coulomb" in asked.terms:
        if not np.any(beads.charges):
            raise UserError("terms: coulomb, for beads without charges", "charges", "state them in the file of beads")
        of_salt = {"dielectric": asked.dielectric, "screening": asked.screening}
        terms.append(coulomb(beads, kelvin, length, **of_salt))
    if "springs" in asked.terms:
        if not len(beads.bonds):
            raise UserError("terms: springs, for beads without bonds", "bonds", "state them in the file of beads")
        terms.append(springs(beads.bonds, training.positions / length, training.weights))
    if "repulsion" in asked.terms:
        terms.append(repulsion(beads.types, training.positions[training.weights > 0] / length))
    return terms


def with_recipe(settings: TrainingSettings, built: Built, labelled: bool = False) -> TrainingSettings:
    """Settings in which what was left open is as it suits the architecture. labelled: forces are among the labels."""
    defaults = asdict(built.recipe)
    if settings.stability < 2:
        defaults["loss"] = "denoising"
    if (settings.loss or defaults["loss"]) == "denoising":
        if not labelled:
            defaults["softening"] = 0.0  # the plain loss has a variance of 1/sigma^2 down to the smallest level
        defaults |= {"fokker_planck": 0.0, "classification": 0.0}  # what was published is reproduced as it was
    if settings.fokker_planck is not None or settings.fokker_planck_smallest is not None:
        defaults["fokker_planck_largest"] = None  # that of the recipe belongs to its weight
    return settings.model_copy(update={k: v for k, v in defaults.items() if getattr(settings, k) is None})


def _check_stability(settings: TrainingSettings, built: Built, labelled: bool) -> None:
    """Raises UserError where heavy-tailed noise is asked for together with what it cannot have."""
    if settings.stability == 2:
        return
    odd = {
        "loss antithetic": (settings.loss == "antithetic", "leave loss out"),
        "fokker_planck": (bool(settings.fokker_planck), "leave fokker_planck out"),
        "forces as labels": (labelled, "say --forces none"),
        "energies as labels": (settings.energy_weight > 0, "leave energy_weight out"),
        "classification": (bool(settings.classification), "leave classification out"),
        "internal coordinates, some of which are angles": (
            isinstance(built.chart, InternalChart),
            "say --architecture cartesian",
        ),
    }
    if found := {name: remedy for name, (given, remedy) in odd.items() if given}:
        what = f"stability {settings.stability:g} with {', '.join(found)}"
        raise UserError(what, "denoising on coordinates without bounds", " and ".join(found.values()))


def _squares(
    training: Ensemble, data: TrainingData, built: Built, settings: TrainingSettings
) -> tuple[Array | None, Array | None]:
    if data.scores is None:
        return None, None
    if settings.force_mixture == "matrix":
        alike = training.beads.types if built.energy.like_beads else None
        return principal_squares(data.scores, training.weights, alike)
    return mean_squares(built.chart, training.beads, data.scores, training.weights), None


def _budget(training: Ensemble, data: TrainingData, built: Built, settings: TrainingSettings) -> NoiseBudget:
    """From frames that are spread over the data, as far as these have a weight."""
    given = np.flatnonzero(training.weights > 0)
    some = given[:: max(1, len(given) // BUDGET_FRAMES)]
    forces = None if data.scores is None else np.asarray(data.scores[some])
    found = noise_budget(np.asarray(data.coordinates[some]), forces, training.weights[some], built.schedule.smallest)
    if forces is None:
        return found
    # an ensemble has energies where the beads are all there is: forces on them are a function of where they are
    return replace(found, exact=training.energies is not None, alone=settings.forces == "only")
