"""Which products of a traced function a GPU may round."""

from collections.abc import Iterator
from typing import Any

import jax
from jax.lax import Precision

PRODUCTS = ("dot_general", "ragged_dot_general", "conv_general_dilated")


def products(function: Any, *arguments: Any) -> list[bool]:
    """For each product of `function`, loops, branches and own derivatives included, whether it is in full float32."""
    traced = jax.make_jaxpr(function)(*arguments)
    found = [step.params["precision"] for step in _steps(traced.jaxpr) if step.primitive.name in PRODUCTS]
    return [precision in (Precision.HIGHEST, (Precision.HIGHEST, Precision.HIGHEST)) for precision in found]


def _steps(jaxpr: Any) -> Iterator[Any]:
    for step in jaxpr.eqns:
        yield step
        for parameter in step.params.values():
            for part in parameter if isinstance(parameter, tuple | list) else (parameter,):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from _steps(inner)
