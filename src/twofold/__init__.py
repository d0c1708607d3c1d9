"""One diffusion model, two uses: a sampler of conformations and a coarse-grained force field.

>>> import twofold
>>> model = twofold.fit("protein.pdb", ["run.xtc"], beads="backbone", temperature=300, out="run")  # doctest: +SKIP
>>> model.force(positions_nm)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twofold.beads import Beads
    from twofold.ensemble import Ensemble
    from twofold.errors import UserError
    from twofold.evaluation import evaluate
    from twofold.fitting import fit, load
    from twofold.model import Model

_HOMES = {
    "Beads": "twofold.beads",
    "Ensemble": "twofold.ensemble",
    "Model": "twofold.model",
    "UserError": "twofold.errors",
    "evaluate": "twofold.evaluation",
    "fit": "twofold.fitting",
    "load": "twofold.fitting",
}
__all__ = ["Beads", "Ensemble", "Model", "UserError", "evaluate", "fit", "load"]


def __getattr__(name: str) -> Any:
    # importing twofold must not import jax: the command line would take seconds to print its help
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'twofold' has no attribute {name!r}")
