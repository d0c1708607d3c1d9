"""Which systems share a batch."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest

from twofold.energy.buckets import OWN, buckets
from twofold.errors import UserError

WIDE = (13, 22, 55, 80, 125, 250)


def cost_alone(sizes, partners=None):
    widths = sizes if partners is None else partners
    return sum(n * (m + OWN) for n, m in zip(sizes, widths, strict=True))


@pytest.mark.parametrize("bound", [1.0, 1.1, 1.25, 1.5, 5.0])
def test_every_system_is_in_one_bucket_that_it_fits_at_a_bounded_cost(bound):
    sizes = np.random.default_rng(0).integers(2, 300, 60).tolist()
    partners = [max(1, n // 2) for n in sizes]
    for widths in (None, partners):
        found = buckets(sizes, widths, bound=bound)
        assert sorted(member for bucket in found for member in bucket.members) == list(range(len(sizes)))
        assert all(sizes[member] <= bucket.size for bucket in found for member in bucket.members)
        assert all((widths or sizes)[member] <= bucket.partners for bucket in found for member in bucket.members)
        assert sum(bucket.cost for bucket in found) <= bound * cost_alone(sizes, widths) * (1 + 1e-9)


def test_buckets_are_the_fewest_and_the_cheapest_of_those():
    """Against all ways to cut the sizes into runs."""
    order = sorted(WIDE)

    def best(number):
        costs = []
        for cuts in combinations(range(1, len(order)), number - 1):
            ends = [0, *cuts, len(order)]
            runs = [order[a:b] for a, b in pairwise(ends)]
            costs.append(sum(len(run) * run[-1] * (run[-1] + OWN) for run in runs))
        return min(costs)

    for bound in (1.0, 1.1, 1.3, 1.6, 5.0):
        found = buckets(WIDE, bound=bound)
        most = bound * cost_alone(WIDE)
        assert sum(bucket.cost for bucket in found) == best(len(found))
        assert len(found) == 1 or best(len(found) - 1) > most


def test_a_bound_of_one_pads_nothing_and_a_loose_one_makes_one_bucket():
    tight = buckets((7, 5, 7, 3), bound=1.0)
    assert [(bucket.size, bucket.members) for bucket in tight] == [(3, (3,)), (5, (1,)), (7, (0, 2))]
    assert [bucket.members for bucket in buckets((7, 5, 7, 3), bound=math.inf)] == [(0, 1, 2, 3)]
    assert buckets(()) == []


def test_lists_make_wide_mixes_cheap():
    """With as many partners each, cost is linear, and sizes within the bound share a bucket."""
    assert len(buckets((100, 110), (60, 60))) == 1
    assert len(buckets((100, 900), (60, 60), bound=1.25)) == 2


def test_nonsense_is_refused():
    with pytest.raises(UserError, match="bound"):
        buckets((3, 4), bound=0.9)
    with pytest.raises(UserError, match="Sizes"):
        buckets((3, 4), (2,))
    with pytest.raises(UserError, match="Sizes"):
        buckets((3, 0))
