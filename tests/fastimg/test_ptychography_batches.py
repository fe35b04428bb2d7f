"""Mini-batches that are spread over the scan."""

from itertools import pairwise

import numpy as np
import pytest

from fastimg.ptychography import raster_positions
from fastimg.ptychography._batches import ordered_batches, spread_groups

pytestmark = pytest.mark.host_only


@pytest.fixture
def positions():
    return raster_positions((7, 9), 5, jitter=1, rng=np.random.default_rng(0))


@pytest.mark.parametrize("batch", [1, 4, 8, 62, 63])
def test_each_iteration_uses_every_position_once(positions, batch):
    order, bounds = ordered_batches(spread_groups(positions, batch), np.random.default_rng(1))
    assert sorted(order) == list(range(63))
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 63
    assert all(stop == start for (_, stop), (start, _) in pairwise(bounds))
    assert len(bounds) == -(-63 // batch)
    assert max(stop - start for start, stop in bounds) == batch


def test_groups_are_of_equal_size(positions):
    sizes = [len(group) for group in spread_groups(positions, 8)]
    assert sum(sizes) == 63
    assert max(sizes) - min(sizes) <= 1


def test_a_batch_is_spread_as_a_random_one_is_not(positions):
    rng = np.random.default_rng(2)

    def closest(members):
        distances = np.linalg.norm(positions[members, None] - positions[None, members], axis=-1)
        return np.min(distances[~np.eye(len(members), dtype=bool)])

    groups = spread_groups(positions, 8)
    order, bounds = ordered_batches(groups, rng)
    spread = np.mean([closest(order[a:b]) for a, b in bounds])
    drawn = np.mean([closest(rng.permutation(63)[:8]) for _ in range(50)])
    assert spread > 1.2 * drawn


def test_another_iteration_draws_other_batches(positions):
    groups = spread_groups(positions, 8)
    first, second = (ordered_batches(groups, np.random.default_rng((0, i)))[0] for i in (0, 1))
    assert (first != second).any()
    np.testing.assert_array_equal(first, ordered_batches(groups, np.random.default_rng((0, 0)))[0])
