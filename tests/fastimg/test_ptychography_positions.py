"""Rasters and spirals: spacing, evenness, where they begin."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from fastimg.ptychography import raster_positions, spiral_positions

pytestmark = pytest.mark.host_only


def test_a_raster_goes_row_by_row_and_begins_at_0():
    positions = raster_positions((3, 4), (5, 2.5))
    assert positions.dtype == np.float64
    np.testing.assert_array_equal(positions[:5], [[0, 0], [0, 2.5], [0, 5], [0, 7.5], [5, 0]])
    assert positions.shape == (12, 2)


def test_jitter_is_bounded_seeded_and_still_begins_at_0():
    plain, moved = raster_positions((20, 30), 7), raster_positions((20, 30), 7, jitter=1.75, rng=3)
    np.testing.assert_array_equal(moved.min(axis=0), 0)
    offset = moved - plain
    assert 3.3 < np.ptp(offset, axis=0).min() <= np.ptp(offset, axis=0).max() <= 3.5
    np.testing.assert_array_equal(moved, raster_positions((20, 30), 7, jitter=1.75, rng=3))
    np.testing.assert_array_equal(
        moved, raster_positions((20, 30), 7, jitter=1.75, rng=np.random.default_rng(3))
    )


def test_a_spiral_is_as_dense_as_the_raster_of_its_step():
    positions = spiral_positions(None, 6.0, field=(240, 300))
    assert len(positions) == pytest.approx(40 * 50, rel=0.01)
    counts = np.histogram2d(*positions.T, bins=(4, 5))[0]
    # evenly, in every part of the field
    np.testing.assert_allclose(counts, 100, atol=8)


def test_the_spacing_of_a_spiral_is_what_its_documentation_says():
    positions = spiral_positions(2000, 10.0)
    nearest = KDTree(positions).query(positions, k=2)[0][:, 1]
    assert nearest.mean() == pytest.approx(9.6, abs=0.1)
    assert nearest[10:].min() > 8
    np.testing.assert_array_equal(positions.min(axis=0), 0)


def test_a_field_crops_the_same_spiral():
    whole, part = spiral_positions(500, 5.0), spiral_positions(40, 5.0, field=(30, 60))
    assert part.shape == (40, 2)
    assert np.ptp(part, axis=0)[0] <= 30
    steps = [positions - positions[0] for positions in (whole, part)]
    assert all(np.abs(steps[0] - place).sum(axis=1).min() < 1e-9 for place in steps[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: raster_positions((0, 3), 5), r"shape is \(0, 3\)"),
        (lambda: raster_positions((2.5, 3), 5), "shape is"),
        (lambda: raster_positions((2, 3, 4), 5), "shape is"),
        (lambda: raster_positions((2, 3), 0), "step is 0"),
        (lambda: raster_positions((2, 3), (1, np.nan)), "step is"),
        (lambda: raster_positions((2, 3), 5, jitter=-1), "jitter is -1"),
        (lambda: spiral_positions(0, 5), "count is 0"),
        (lambda: spiral_positions(None, 5), "count and field are None"),
        (lambda: spiral_positions(10, -5), "step is -5"),
        (lambda: spiral_positions(10, 5, field=(-1, 5)), "field is"),
        (lambda: spiral_positions(100, 5, field=(20, 20)), "count is 100, but 1. positions lie in the field"),
    ],
)
def test_what_is_wrong_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
