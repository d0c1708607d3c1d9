"""Time scales, first-passage times and transition matrices as tables, with jackknife errors over blocks of time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twofold.analysis.uncertainty import jackknife_error
from twofold.diagnosis.checks import Table
from twofold.diagnosis.markov import Rates, transition_matrix


def times_table(whole: Sequence[Rates], left_out: Sequence[Sequence[Rates]], lag_ps: float) -> Table:
    """All times of the reference and of the simulation; left_out: of each, without one block of time after another."""
    kinds, number = len(whole[0].passages), len(whole[0].timescales)
    pairs = [(i, j) for i in range(kinds) for j in range(kinds) if i != j]
    rows = [f"time scale {place + 1}" for place in range(number)]
    rows += [f"passage from {i + 1} to {j + 1}" for i, j in pairs]
    errors = [jackknife_error(np.array([one.times for one in part])) for part in left_out]
    caption = (
        f"Implied time scales and mean first-passage times between slow sets, at a lag of {lag_ps:.3g} ps, as they are "
        "in each of the two: no factor of time is applied."
    )
    values = np.stack([one.times for one in whole], axis=1)
    columns = ("reference", "simulation")
    return Table("kinetics.times", "Times", tuple(rows), columns, values, np.stack(errors, axis=1), "ps", caption)


def transition_table(key: str, title: str, blocks: np.ndarray, sets: np.ndarray) -> Table:
    """Transitions between sets from counts (blocks, states, states); sets: that of each state (states,)."""
    total = blocks.sum(axis=0)
    matrix = transition_matrix(total, sets)
    errors = jackknife_error(np.array([transition_matrix(total - one, sets) for one in blocks]))
    names = [str(place + 1) for place in range(len(matrix))]
    rows, columns = tuple(f"from {name}" for name in names), tuple(f"to {name}" for name in names)
    return Table(f"kinetics.transitions-{key}", title, rows, columns, matrix, np.asarray(errors), "", CAPTION)


CAPTION = "Probability to be in a slow set (column) that long after being in one (row)."
