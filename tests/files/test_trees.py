"""Modules as JSON and arrays."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.errors import UserError
from twofold.files.trees import pack, read_arrays, unpack


class Leaf(eqx.Module):
    values: jax.Array
    number: float


class Tree(eqx.Module):
    leaves: list[Leaf]
    pair: tuple[int, str | None]
    table: jax.Array
    flag: bool


TREE = Tree([Leaf(jnp.arange(3.0), 0.1), Leaf(jnp.ones((2, 2)), 2.0)], (3, None), jnp.arange(4), True)
CLASSES = {"Leaf": Leaf, "Tree": Tree}


def stored(tree):
    arrays: dict[str, np.ndarray] = {}
    return json.loads(json.dumps(pack(tree, arrays, "tree"))), arrays


def test_what_is_packed_comes_back():
    back = unpack(*stored(TREE), CLASSES)
    assert eqx.tree_equal(back, TREE)
    assert isinstance(back.pair, tuple)
    assert isinstance(back.leaves, list)
    assert back.table.dtype == TREE.table.dtype


def test_only_named_classes_are_built():
    with pytest.raises(UserError, match=r"(?i)Leaf"):
        unpack(*stored(TREE), {"Tree": Tree})


def test_a_missing_array():
    node, arrays = stored(TREE)
    del arrays["tree/table"]
    with pytest.raises(UserError, match=r"(?i)tree/table"):
        unpack(node, arrays, CLASSES)


def test_fields_of_another_version():
    node, arrays = stored(TREE)
    node["fields"]["new"] = 1
    with pytest.raises(UserError, match=r"(?i)new"):
        unpack(node, arrays, CLASSES)


def test_what_cannot_be_stored_says_where():
    with pytest.raises(TypeError, match=r"(?i)tree/number"):
        pack(Leaf(jnp.ones(1), object()), {}, "tree")


def test_arrays_with_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(UserError, match=r"(?i)cannot be read"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(UserError, match=r"(?i)no file"):
        read_arrays(tmp_path / "b.npz")
