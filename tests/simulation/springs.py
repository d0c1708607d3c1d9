"""One small molecule of springs, run briefly; all tests share its compiled loop."""

from pathlib import Path

import numpy as np

from twofold.beads import Beads
from twofold.simulation import SimulationSettings, simulate
from twofold.systems.harmonic import Harmonic

REPLICAS, TEMPERATURE = 6, 300.0
BEADS = Beads.anonymous(3, bonds=[(0, 1), (1, 2)])
CHAIN = Harmonic.chain([30000.0, 20000.0])


def starts(replicas: int = REPLICAS, seed: int = 0) -> np.ndarray:
    return CHAIN.sample(replicas, TEMPERATURE, np.random.default_rng(seed))


def settings(frames: int = 12, **changes) -> SimulationSettings:
    values = {"temperature": TEMPERATURE, "length_ps": frames * 0.02, "frame_ps": 0.02, "seed": 7, "probe_every": 2}
    return SimulationSettings(**(values | changes))


def run(path: Path, frames: int = 12, *, start: np.ndarray | None = None, force_field=CHAIN, beads=BEADS, **options):
    start = starts() if start is None and not options.get("resume") else start
    return simulate(force_field, start, settings(frames), path, beads=beads, **options)
