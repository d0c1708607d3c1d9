"""Weights of frames: from a file or an array, or from what came with the frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import UserError
from twofold.files.checks import check_file
from twofold.files.numpy_files import first_of, load_archive, load_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

WEIGHT_KEYS = ("weights", "weight")
LOG_WEIGHT_KEYS = ("log_weight", "log_weights")


@dataclass(frozen=True)
class Weights:
    """One weight a frame, or its natural logarithm up to a constant."""

    values: np.ndarray
    logarithmic: bool = False

    def __getitem__(self, index: Any) -> Weights:
        return Weights(self.values[index], self.logarithmic)


def weights_in(content: dict[str, np.ndarray]) -> Weights | None:
    """The weights in the arrays of an archive, if there are any; logarithms are looked for first."""
    for names, logarithmic in ((LOG_WEIGHT_KEYS, True), (WEIGHT_KEYS, False)):
        if (values := first_of(content, names)) is not None:
            return Weights(np.asarray(values, dtype=np.float64), logarithmic)
    return None


def read_weights(path: str | Path) -> Weights:
    """One weight a frame from .npy, .npz (weights, or log_weight for natural logarithms) or text.

    The name of a .npy or text file that holds logarithms contains "log_weight".
    """
    path = check_file(Path(path))
    if path.suffix.lower() == ".npz":
        content = load_archive(path)
        found = weights_in(content)
        if found is None and len(content) == 1:
            found = Weights(np.asarray(next(iter(content.values())), dtype=np.float64))
        if found is None:
            raise UserError(f"{path} with arrays {', '.join(content)}", "one named weights or log_weight")
    else:
        values = load_numbers(path, "weight")
        found = Weights(np.asarray(values, dtype=np.float64), "log_weight" in path.stem.lower())
    if found.values.ndim != 1:
        raise UserError(f"{path} with weights of shape {found.values.shape}", "one weight for each frame")
    return found


def as_weights(weights: str | Path | Weights | np.ndarray | None) -> Weights | None:
    """Weights from whatever a caller may give: a file, an array of weights, or nothing."""
    if weights is None or isinstance(weights, Weights):
        return weights
    if isinstance(weights, str | Path):
        return read_weights(weights)
    return Weights(np.asarray(weights, dtype=np.float64))


def frame_weights(
    given: Weights | None, own: Sequence[Weights | None], totals: list[int], kept: list[int], stride: int
) -> np.ndarray:
    """Weights (frames kept,) of the frames of all files, float64, not yet normalised; ones when there are none.

    given: by the user, one for each frame of all files before the stride (`totals`) or after it (`kept`). own: those
    that came with the files, after the stride. Raises UserError when the numbers do not fit.
    """
    if given is not None:
        values = given.values
        if len(values) == sum(totals):
            pieces = np.split(values, np.cumsum(totals)[:-1])
            values = np.concatenate([piece[::stride] for piece in pieces])
        if len(values) != sum(kept):
            found, expected = f"{len(given.values)} weights", f"one for each of {sum(totals)} frames"
            raise UserError(found, expected, "give the weights of these files")
        return linear(values, given.logarithmic)
    present = [weights for weights in own if weights is not None]
    if not present:
        return np.ones(sum(kept))
    if len(present) < len(own) or len({weights.logarithmic for weights in present}) > 1:
        raise UserError(
            "weights in some of the files only, or of two kinds", "the same in all", "give them with --weights"
        )
    return linear(np.concatenate([weights.values for weights in present]), present[0].logarithmic)


def linear(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Weights from natural logarithms up to a constant: the largest becomes 1."""
    if not logarithmic:
        return values
    if not np.isfinite(values).any() or np.isnan(values).any() or np.any(values == np.inf):
        raise UserError("logarithms of weights that are not numbers", "natural logarithms, at least one finite")
    return np.exp(values - values.max())
