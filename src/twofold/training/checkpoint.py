"""Checkpoints: all that a fit needs to go on to the bit, in one npz file that is replaced atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from twofold.errors import UserError
from twofold.files.atomic import atomic_path
from twofold.files.trees import read_arrays
from twofold.training.best import Best
from twofold.training.loop import TrainingState

FORMAT = "twofold checkpoint"
VERSION = 2


def save_checkpoint(path: Path, state: TrainingState, best: Best, notes: dict[str, Any]) -> None:
    """Write parameters, average, optimiser, random state and step, now and of the best so far.

    `notes` (JSON-able) travel with them.
    """
    plain = _plain(state), best._replace(state=_plain(best.state))
    arrays = {f"leaf_{place:05d}": np.asarray(leaf) for place, leaf in enumerate(jax.tree.leaves(plain))}
    header = json.dumps({"format": FORMAT, "version": VERSION, "notes": notes})
    with atomic_path(path, overwrite=True) as temporary:
        np.savez(temporary, header=np.array(header), **arrays)  # pyright: ignore[reportArgumentType]


def load_checkpoint(path: Path, like: TrainingState, best: Best) -> tuple[TrainingState, Best, dict[str, Any]]:
    """State and best state in the structures of `like` and `best`, and the notes.

    Raises UserError for a file that is missing, damaged, of another version, or of another model.
    """
    arrays = read_arrays(path)
    try:
        header = json.loads(str(arrays.pop("header")))
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is not a checkpoint", "one that twofold wrote", "start the fit anew") from error
    if (header.get("format"), header.get("version")) != (FORMAT, VERSION):
        raise UserError(f"{path} has version {header.get('version')}", f"version {VERSION}", "start the fit anew")
    plain = _plain(like), best._replace(state=_plain(best.state))
    expected, structure = jax.tree.flatten(plain)
    found = [arrays[name] for name in sorted(arrays)]
    if [leaf.shape for leaf in expected] != [leaf.shape for leaf in found]:
        raise UserError(f"{path} is of another model", "the settings of this run", "start the fit anew")
    leaves = [jnp.asarray(new, old.dtype) for new, old in zip(found, expected, strict=True)]
    state, best = jax.tree.unflatten(structure, leaves)
    return _keyed(state), best._replace(state=_keyed(best.state)), header["notes"]


def _plain(state: TrainingState) -> TrainingState:
    return state._replace(key=jax.random.key_data(state.key))


def _keyed(state: TrainingState) -> TrainingState:
    return state._replace(key=jax.random.wrap_key_data(state.key))
