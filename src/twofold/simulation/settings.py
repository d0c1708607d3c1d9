"""What a user chooses about a simulation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from twofold.errors import UserError
from twofold.simulation.integrators import SCHEMES

LARGEST_STEP = 2**31 - 1


@dataclass(frozen=True)
class SimulationSettings:
    """A Langevin simulation of independent replicas.

    temperature: K. length_ps: length of each replica. frame_ps: time between recorded frames; rounded to whole steps.
    timestep_fs: None lets `stability.choose_timestep` decide. friction: 1/ps.
    integrator: "langevin-middle" or "baoab". seed: of the velocities and of the noise.
    recentre: put the centre of mass at the origin whenever a frame is recorded. For a molecule in free space this
        changes nothing but the origin; switch it off for an external potential.
    probe_every: frames between two estimates of the configurational temperature.
    exchange: further levels of the force field at which each replica has a copy; copies trade conformations after
        every frame.

    Raises UserError when a number is out of range.
    """

    temperature: float
    length_ps: float
    frame_ps: float = 0.2
    timestep_fs: float | None = None
    friction: float = 1.0
    integrator: str = "langevin-middle"
    seed: int = 0
    recentre: bool = True
    probe_every: int = 10
    exchange: int = 0

    def __post_init__(self) -> None:
        for name in ("temperature", "length_ps", "frame_ps", "timestep_fs"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UserError(f"{name} is {value}", "a positive number")
        if not (math.isfinite(self.friction) and self.friction >= 0):
            raise UserError(f"friction is {self.friction}", "a number of 1/ps, not negative")
        if self.integrator not in SCHEMES:
            raise UserError(f"integrator {self.integrator!r}", f"one of {', '.join(SCHEMES)}")
        for name, least in (("probe_every", 1), ("exchange", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}", f"at least {least}")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed is {self.seed}", "a whole number from 0 to 4294967295")
        if self.timestep_fs is not None and self.frames * self.steps_per_frame > LARGEST_STEP:
            raise UserError(
                f"{self.frames * self.steps_per_frame} steps", f"at most {LARGEST_STEP}", "run more replicas instead"
            )

    @property
    def timestep_ps(self) -> float:
        """Time step in ps; it has to have been chosen."""
        if self.timestep_fs is None:
            raise ValueError("the time step has not been chosen yet")
        return self.timestep_fs / 1000

    @property
    def steps_per_frame(self) -> int:
        """Steps between two recorded frames, at least one."""
        return max(1, round(self.frame_ps / self.timestep_ps))

    @property
    def interval_ps(self) -> float:
        """Time between recorded frames: whole steps, so that it may differ a little from `frame_ps`."""
        return self.steps_per_frame * self.timestep_ps

    @property
    def rungs(self) -> int:
        """Copies of each replica."""
        return self.exchange + 1

    @property
    def frames(self) -> int:
        """Frames of each replica. The first is one interval after the start."""
        return max(1, round(self.length_ps / self.interval_ps))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def check_same(found: SimulationSettings, wanted: SimulationSettings) -> None:
    """Raises UserError unless the two differ in nothing but length; a time step of None agrees with any."""
    for name, before in found.to_dict().items():
        now = getattr(wanted, name)
        if name != "length_ps" and before != now and not (name == "timestep_fs" and now is None):
            raise UserError(
                f"the record was made with {name} {before}, and {now} is asked for",
                "the same settings, only the length may grow",
                "resume with the old setting or start a new record",
            )
