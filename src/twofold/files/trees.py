"""Modules as JSON and arrays: how models and checkpoints are stored without pickle.

A module becomes `{"module": name, "fields": {...}}`, where a field is a number, a string, None, a list, another module,
or `{"array": key}` with the array itself under that key. Only classes that the caller names can be read back, and no
code of the file is ever run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from twofold.errors import UserError


def pack(node: Any, arrays: dict[str, np.ndarray], path: str = "") -> Any:
    """JSON-able description of `node`; its arrays are added to `arrays` under keys that begin with `path`."""
    if isinstance(node, eqx.Module):
        # what is as it was before a field came is stored, and known, as before
        fields = {f.name: getattr(node, f.name) for f in dataclasses.fields(node) if not _is_default(node, f)}
        packed = {name: pack(value, arrays, f"{path}/{name}" if path else name) for name, value in fields.items()}
        return {"module": type(node).__name__, "fields": packed}
    if isinstance(node, list | tuple):
        items = [pack(item, arrays, f"{path}/{place}") for place, item in enumerate(node)]
        return {"tuple": items} if isinstance(node, tuple) else items
    if isinstance(node, jax.Array | np.ndarray):
        arrays[path] = np.asarray(node)
        return {"array": path}
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise TypeError(f"{path}: {type(node).__name__} cannot be stored")


def _is_default(node: Any, field: Any) -> bool:
    value = getattr(node, field.name)
    return isinstance(value, bool | int | float | str) and value == field.default


def unpack(node: Any, arrays: Mapping[str, np.ndarray], classes: Mapping[str, type]) -> Any:
    """Inverse of `pack`. Raises UserError for a module that is not in `classes` or an array that is missing."""
    if isinstance(node, list):
        return [unpack(item, arrays, classes) for item in node]
    if not isinstance(node, dict):
        return node
    if "tuple" in node:
        return tuple(unpack(item, arrays, classes) for item in node["tuple"])
    if "array" in node:
        if node["array"] not in arrays:
            raise UserError(f"no array {node['array']!r} in the model file", "a complete model", "fit it again")
        return jnp.asarray(arrays[node["array"]])
    return _module(node, arrays, classes)


def _module(node: dict[str, Any], arrays: Mapping[str, np.ndarray], classes: Mapping[str, type]) -> Any:
    name = str(node.get("module"))
    if name not in classes:
        raise UserError(f"a model with a part {name!r}", f"one of {', '.join(sorted(classes))}", "update twofold")
    kind = classes[name]
    # a field that came later has the value that all models had before
    later = {f.name: f.default for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING}
    fields = later | node["fields"]
    expected, found = {f.name for f in dataclasses.fields(kind)}, set(fields)
    if expected != found:
        odd = ", ".join(sorted(expected ^ found))
        raise UserError(f"{name} whose fields differ ({odd})", "a model of this version", "fit it again")
    module = object.__new__(kind)
    for field, value in fields.items():
        object.__setattr__(module, field, unpack(value, arrays, classes))
    return module


def read_arrays(path: Any) -> dict[str, np.ndarray]:
    """All arrays of an npz file, without pickle. Raises UserError for a file that is missing or damaged."""
    try:
        # opened here, because NumPy leaves a damaged archive open
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except FileNotFoundError as error:
        raise UserError(f"no file {path}", "what twofold wrote", "check the name") from error
    except Exception as error:
        raise UserError(f"{path} cannot be read ({error})", "a whole npz file", "fit again, or restore it") from error
