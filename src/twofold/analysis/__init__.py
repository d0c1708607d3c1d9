"""Statistics of conformations: observables, divergences with floors and errors, kinetics, verdicts."""

from twofold.analysis.comparison import Comparison
from twofold.analysis.evaluate import compare
from twofold.analysis.frames import FrameSet, assert_unseen
from twofold.analysis.results import Evaluation, SetResult
from twofold.analysis.verdict import Verdict

__all__ = ["Comparison", "Evaluation", "FrameSet", "SetResult", "Verdict", "assert_unseen", "compare"]
