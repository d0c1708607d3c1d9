"""Settings of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator, model_validator

from twofold.energy.experts import OVERLAP
from twofold.errors import UserError

ForceUse = Literal["auto", "none", "only"]
"""Forces of the data as labels: mixed with the noise, not at all, or alone."""


class TrainingSettings(BaseModel):
    """How a model is trained; written into the run folder as it was used.

    `None` stands for what suits the architecture, and for `steps` for what fits into `minutes`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str = Field("auto", description="auto, internal, cartesian, transformer, particles or flat")
    width: int | None = Field(None, ge=1, description="width of the network")
    depth: int | None = Field(None, ge=1, description="layers of the network")
    minutes: float | None = Field(None, gt=0, description="time to train; fixes the number of steps once")
    steps: int | None = Field(None, ge=1, description="number of updates")
    batch: int | None = Field(None, ge=1, description="frames in an update")
    optimiser: Literal["muon", "adam"] | None = Field(None, description="muon, or adam as the published baseline")
    learning_rate: float | None = Field(None, gt=0, description="largest learning rate")
    last_learning_rate: float = Field(0.0, ge=0, description="learning rate that the decay ends at")
    adam_b2: float = Field(0.99, gt=0, lt=1, description="decay of the squares of gradients in Adam")
    weight_decay: float | None = Field(None, ge=0, description="decoupled, relative to the learning rate")
    warmup: int = Field(500, ge=0, description="updates of linear warm-up")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the average of the parameters")
    keep: Literal["best", "end"] | None = Field(
        None,
        description="best: a fit that learns frames by heart goes back to where held-out frames did best; or end",
    )
    loss: Literal["antithetic", "denoising"] | None = Field(None, description="objective")
    forces: ForceUse = Field(
        "auto", description="forces of the data as labels: mixed with the noise, not at all, or alone"
    )
    force_mixture: Literal["scalar", "matrix"] = Field(
        "scalar", description="share of forces in the label: by type or coordinate, or with their correlations"
    )
    force_temperature: float | None = Field(
        None,
        gt=0,
        description="K whose kT divides forces and energies as labels, and charges; left out: that of the data",
    )
    energy_weight: float = Field(
        0.0,
        ge=0,
        description="weight of known energies of all atoms at the smallest noise; 0 leaves them out",
    )
    softening: float | None = Field(None, ge=0, description="tau of the weight sigma^2 + tau^2, units of the chart")
    schedule: Literal["log-uniform", "vp-linear", "vp-cosine"] = Field(
        "log-uniform", description="how levels of noise are drawn; the others are published recipes, with their range"
    )
    smallest_noise: float | None = Field(
        None, gt=0, description="least level of noise that is learned, units of the chart"
    )
    stability: float = Field(2.0, gt=1, le=2, description="alpha of the noise; below 2 heavy tails, and no force field")
    experts: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (), description="levels of noise at which one expert hands over to the next, units of the chart"
    )
    experts_overlap: float = Field(OVERLAP, gt=0, description="width in ln sigma over which two experts cross")
    experts_plain: int = Field(
        0, ge=0, description="experts of the largest noise that are scores without an energy; all but one at the most"
    )
    terms: tuple[Literal["coulomb", "springs", "repulsion"], ...] = Field(
        (),
        description="what is known and stands beside the network: charges of the beads, harmonic bonds and contacts of "
        "the data",
    )
    dielectric: float = Field(1.0, gt=0, description="relative permittivity between charges")
    screening: float | None = Field(None, gt=0, description="Debye length of the salt between charges, nm")
    fokker_planck: float | None = Field(None, ge=0, description="weight of the Fokker-Planck residual; 0: none")
    fokker_planck_every: int = Field(4, ge=1, description="updates between two that look at the residual")
    fokker_planck_groups: int = Field(16, ge=1, description="levels of noise at which the residual is looked at")
    fokker_planck_members: int = Field(8, ge=2, description="frames at each of them")
    fokker_planck_smallest: float | None = Field(None, gt=0, description="smallest level of noise for the residual")
    fokker_planck_largest: float | None = Field(None, gt=0, description="largest level of noise for the residual")
    fokker_planck_exact: bool = Field(
        False, description="exact traces in place of two random probes; as many sweeps as there are coordinates"
    )
    classification: float | None = Field(
        None, ge=0, description="weight of telling levels of noise apart; 0 leaves it out"
    )
    chunk: int | None = Field(
        None, ge=1, description="updates in one compiled scan; the run can be stopped between two"
    )
    checkpoint_seconds: float = Field(30.0, gt=0, description="time between checkpoints")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything random")

    @model_validator(mode="after")
    def _one_of_the_experts_is_an_energy(self) -> TrainingSettings:
        if self.experts_plain > len(self.experts):
            raise ValueError(
                f"experts_plain {self.experts_plain} of {len(self.experts) + 1} leaves no energy at small noise; "
                "give more levels of noise as experts"
            )
        return self

    @model_validator(mode="after")
    def _range_of_the_residual_is_not_empty(self) -> TrainingSettings:
        low, high = self.fokker_planck_smallest, self.fokker_planck_largest
        if low is not None and high is not None and low >= high:
            raise ValueError(f"fokker_planck_smallest {low:g} is not below fokker_planck_largest {high:g}")
        return self

    @field_validator("terms", mode="before")
    @classmethod
    def _one_term_is_a_list_of_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_serializer("experts", "terms")
    def _as_in_json(self, value: tuple[Any, ...]) -> list[Any]:
        # settings of a run are compared with those that were stored, where there are only lists
        return list(value)


def load_settings(path: str | Path | None, **given: Any) -> TrainingSettings:
    """Settings from a YAML or JSON file, overruled by those `given` that are not None.

    `minutes` that are given overrule steps of the file as well. Raises UserError for a file that is missing or no
    mapping, an unknown name, or a value out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"{path} cannot be read ({error})", "a YAML file of settings", "check it") from error
        if not isinstance(values, dict):
            raise UserError(f"{path} holds {type(values).__name__}", "a mapping of settings to values", "check it")
        if odd := [name for name in values if not isinstance(name, str)]:
            raise UserError(f"setting {odd[0]!r} in {path}", "names of settings", "check it")
    given = {name: value for name, value in given.items() if value is not None}
    if "minutes" in given and "steps" not in given:
        values.pop("steps", None)
    values |= given
    try:
        return TrainingSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        what = f"setting {name} = {values.get(name)!r}" if name else "settings"
        known = ", ".join(TrainingSettings.model_fields)
        raise UserError(f"{what}: {first['msg']}", f"settings are {known}") from error
