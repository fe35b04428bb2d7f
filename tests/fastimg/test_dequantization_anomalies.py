"""Pixels in the wrong bin: ``anomaly_passes`` drops them, and leaves what is real."""

import numpy as np
import pytest

from fastimg.dequantization import dequantize
from fastimg.dequantization._anomalies import anomalies
from tests.fastimg.dequantization_cases import assert_inside, bins_of, codes_of, hill, ramp, rms

NOISE = (6, 6)


@pytest.fixture
def slope():
    """A ramp, its codes, and the codes with one pixel that noise has put into the next bin."""
    truth = ramp((12, 13), 0.02, 0.3)
    codes = codes_of(truth)
    spoiled = codes.copy()
    spoiled[NOISE] += 1
    return truth, codes, spoiled


def test_a_pixel_in_the_next_bin_is_removed(to_device, to_host, slope):
    truth, codes, spoiled = slope
    lower, upper = bins_of(codes)
    noisy = dequantize(to_device(spoiled), bits=3)
    result, info = dequantize(to_device(spoiled), bits=3, anomaly_passes=3, return_info=True)
    removed = to_host(info.removed)
    assert removed[NOISE]
    assert removed.sum() <= 3
    assert rms(to_host(noisy) - truth) > 0.1
    assert_inside(to_host(result), lower, upper)
    assert rms(to_host(result) - truth) < 0.1


def test_removed_pixels_alone_leave_their_bin(to_device, to_host, slope):
    _, _, spoiled = slope
    result, info = dequantize(to_device(spoiled), bits=3, anomaly_passes=3, return_info=True)
    removed, (lower, upper) = to_host(info.removed), bins_of(spoiled)
    assert_inside(to_host(result), lower, upper, ~removed)
    assert to_host(result)[NOISE] < lower[NOISE]


def test_without_passes_nothing_is_removed(to_device, to_host, slope):
    result, info = dequantize(to_device(slope[2]), bits=3, return_info=True)
    assert not to_host(info.removed).any()
    assert_inside(to_host(result), *bins_of(slope[2]))


def test_a_real_summit_is_left(to_device, to_host):
    codes = codes_of(hill((16, 16), 2.9))
    plain = to_host(dequantize(to_device(codes), bits=2, dtype="float64"))
    result, info = dequantize(to_device(codes), bits=2, dtype="float64", anomaly_passes=5, return_info=True)
    assert not to_host(info.removed).any()
    np.testing.assert_array_equal(to_host(result), plain)


def test_each_image_has_its_own_anomalies(to_device, to_host, slope):
    _, codes, spoiled = slope
    image = np.stack([codes, spoiled], axis=-1)
    info = dequantize(to_device(image), bits=3, channel_axis=-1, anomaly_passes=1, return_info=True)[1]
    removed = to_host(info.removed)
    assert not removed[..., 0].any()
    assert removed[(*NOISE, 1)]


def test_masked_and_known_pixels_are_never_removed(to_device, to_host, slope):
    spoiled, here = slope[2], np.zeros(slope[2].shape, bool)
    here[NOISE] = True
    for options in (
        {"mask": to_device(here)},
        {"mask": to_device(here), "mask_mode": "cut"},
        {"fixed": (to_device(here), 5.0)},
    ):
        result, info = dequantize(to_device(spoiled), bits=3, anomaly_passes=2, return_info=True, **options)
        assert not to_host(info.removed)[NOISE]
        assert to_host(result)[NOISE] == (5.0 if "fixed" in options else spoiled[NOISE])


def found(to_device, to_host, xp, values, bins=None, known=True):
    values = np.asarray(values, float)
    bins = np.floor(values) if bins is None else np.asarray(bins, float)
    arrays = [values, bins, bins + 1, bins, np.full(values.shape, known)]
    return to_host(anomalies(xp, *map(to_device, arrays)))


def test_an_extremum_counts_on_a_border_only(xp, to_device, to_host):
    peak = np.full((5, 5), 0.2)
    peak[2, 2] = 1.3
    assert np.argwhere(found(to_device, to_host, xp, peak)).tolist() == [[2, 2]]
    assert not found(to_device, to_host, xp, peak, np.zeros((5, 5))).any()
    assert np.argwhere(found(to_device, to_host, xp, -peak)).tolist() == [[2, 2]]


def test_a_plateau_counts_where_its_bound_holds_it(xp, to_device, to_host):
    plateau = np.full((6, 7), 0.2)
    plateau[2, 2:4] = 1.0
    assert np.argwhere(found(to_device, to_host, xp, plateau)).tolist() == [[2, 2], [2, 3]]
    plateau[2, 2:4] = 1.3
    assert not found(to_device, to_host, xp, plateau).any()


def test_the_edge_of_the_image_and_rounding_do_not_count(xp, to_device, to_host):
    edge = np.full((4, 4), 0.2)
    edge[0, 1] = 1.3
    assert not found(to_device, to_host, xp, edge).any()
    step = np.where(np.arange(6) < 3, 0.9, 1.1) + np.zeros((5, 1))
    step[2, 3] += 1e-12
    assert not found(to_device, to_host, xp, step).any()


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (2, 9), (3, 3)])
def test_small_images_have_none(xp, to_device, to_host, shape):
    assert not found(to_device, to_host, xp, np.full(shape, 0.5)).any()
