"""``distance_interpolation``: linear between contours, by Euclidean distance."""

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, label

from fastimg.dequantization import distance_interpolation
from tests.fastimg.dequantization_cases import assert_inside, bins_of, codes_of, hill, ramp, rms

pytestmark = pytest.mark.host_only  # arrays on a GPU are refused, as the tests of errors check


@pytest.mark.parametrize("width", [1, 2, 3, 8])
def test_even_steps_become_an_exact_ramp(width):
    codes = np.repeat(np.arange(6, dtype=np.uint8), width) + np.zeros((4, 1), np.uint8)
    expected = (np.arange(6 * width) + 0.5) / width + np.zeros((4, 1))
    inner = slice(width, -width)  # the first and the last step have one contour only
    np.testing.assert_allclose(distance_interpolation(codes, bits=3)[:, inner], expected[:, inner], rtol=1e-6)
    np.testing.assert_allclose(
        distance_interpolation(codes.T.copy(), bits=3)[inner], expected.T[inner], rtol=1e-6
    )


def test_a_step_with_one_contour_bends_from_it_to_the_middle_of_its_bin():
    codes = np.repeat(np.arange(2, dtype=np.uint8), 4)[None]
    part = (np.arange(4) + 0.5) / 3.5
    dome = part * (1 - part / 2)
    expected = np.concatenate([1 - dome[::-1], 1 + dome])
    result = distance_interpolation(codes, bits=1)
    np.testing.assert_allclose(result[0], expected, rtol=1e-6)
    assert result[0, 0] == 0.5
    assert result[0, -1] == 1.5


def test_every_pixel_is_where_the_nearest_lower_and_higher_pixels_put_it():
    rng = np.random.default_rng(0)
    codes = codes_of(hill((14, 15), 4.9) + 0.2 * rng.random((14, 15)))
    result = distance_interpolation(codes, bits=3, dtype="float64")
    places = np.argwhere(codes >= 0)
    checked = 0
    for row, column in places:
        code, distance = codes[row, column], np.hypot(*(places - (row, column)).T)
        below, above = (
            distance[other.ravel()].min(initial=np.inf) - 0.5 for other in (codes < code, codes > code)
        )
        if below < 1 and above < 1:  # such a pixel lies in a region that has both contours
            assert result[row, column] == pytest.approx(code + below / (below + above), abs=1e-12)
            checked += 1
    assert checked > 20


@pytest.mark.parametrize(("count", "smooth"), [(2, 6), (5, 3), (40, 4), (200, 0), (3, 0)])
def test_distances_are_those_of_a_search_through_all_pixels(count, smooth):
    rng = np.random.default_rng(count)
    field = gaussian_filter(rng.random((31, 42)), smooth)
    codes = np.floor((field - field.min()) / np.ptp(field) * (count - 1e-9)).astype(np.uint8)
    result = distance_interpolation(codes, bits=8, dtype="float64") - codes
    places = np.argwhere(codes >= 0)
    apart = np.hypot(*(places[:, None] - places).transpose(2, 0, 1))
    flat = codes.ravel()
    for code in np.unique(codes):
        here = codes == code
        below, above = (
            np.where(other, apart, np.inf).min(1).reshape(codes.shape) - 0.5
            for other in (flat < code, flat > code)
        )
        region, number = label(here, structure=np.ones((3, 3)))
        for n in range(1, number + 1):
            low, high = below[region == n], above[region == n]
            if low.min() > 1:
                expected = 1 - dome(high)
            elif high.min() > 1:
                expected = dome(low)
            else:
                expected = low / (low + high)
            np.testing.assert_allclose(result[region == n], expected, atol=1e-12)


def dome(distance):
    part = distance / distance.max()
    return part * (1 - part / 2)


@settings(max_examples=40, deadline=None)
@given(
    npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 7)),
    st.sampled_from(["floor", "nearest"]),
    st.sampled_from(["float32", "float64"]),
)
def test_codes_stay_in_their_bins(codes, rounding, dtype):
    result = distance_interpolation(codes, bits=3, rounding=rounding, dtype=dtype)
    assert result.dtype == dtype
    assert_inside(result, *bins_of(codes, rounding=rounding))


def test_levels_are_the_units_of_the_result():
    codes = codes_of(hill((12, 12)))
    levels = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    part = distance_interpolation(codes, bits=2, dtype="float64") - codes
    lower, upper = bins_of(codes, levels=levels)
    result = distance_interpolation(codes, levels=levels, dtype="float64")
    np.testing.assert_allclose(result, lower + part * (upper - lower), rtol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 1), (6, 8)])
def test_an_image_of_one_code_is_the_middle_of_its_bin(shape):
    np.testing.assert_array_equal(distance_interpolation(np.full(shape, 3, np.uint8), bits=2), 3.5)


def test_upside_down_is_upside_down():
    codes = codes_of(hill((13, 14)))
    result = distance_interpolation(codes, bits=2, dtype="float64")
    inverted = distance_interpolation(3 - codes, bits=2, dtype="float64")
    np.testing.assert_allclose(inverted, 4 - result, rtol=1e-12)


def test_a_hill_is_closer_to_its_original_than_its_codes_are():
    truth = hill((48, 48), 7.9)
    codes = codes_of(truth)
    assert rms(distance_interpolation(codes, bits=3) - truth) < 0.7 * rms(codes + 0.5 - truth)


def test_batches_and_channels_are_the_single_images():
    image = np.stack([codes_of(hill((9, 8))), codes_of(ramp((9, 8))), np.ones((9, 8), np.uint8)], axis=-1)
    result = distance_interpolation(np.stack([image, image[::-1]]), bits=3, channel_axis=-1)
    for channel in range(3):
        alone = distance_interpolation(image[..., channel], bits=3)
        np.testing.assert_array_equal(result[0, ..., channel], alone)
        np.testing.assert_allclose(result[1, ..., channel], alone[::-1], rtol=1e-6)


def test_out_is_written_and_returned():
    codes = codes_of(hill((9, 8)))
    out = np.empty((9, 16))[:, ::2]
    assert distance_interpolation(codes, bits=2, out=out) is out
    np.testing.assert_array_equal(out, distance_interpolation(codes, bits=2, dtype="float64"))


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 3)])
def test_empty_images_are_empty_results(shape):
    assert distance_interpolation(np.zeros(shape, np.uint8), bits=1).shape == shape


def test_wider_codes_become_double_precision():
    assert distance_interpolation(np.zeros((2, 2), np.int32), bits=1).dtype == np.float64
    assert distance_interpolation(np.zeros((2, 2), ">u2"), bits=1).dtype == np.float32


@pytest.mark.parametrize(
    ("error", "options", "message"),
    [
        (ValueError, {}, "of bits and levels accepted is exactly one"),
        (ValueError, {"bits": 1, "levels": [0, 1]}, "of bits and levels"),
        (ValueError, {"bits": 1}, r"image has the code 2 at \(1, 1\); accepted are 0 to 1, by bits=1"),
        (ValueError, {"bits": 2, "rounding": "up"}, "rounding is 'up'"),
        (ValueError, {"levels": [-1e308, 1e308, 1.1e308, 1.2e308]}, "levels has the edges .* too far apart"),
        (
            ValueError,
            {"levels": [0.0, 1e38, 2e38, 1e39], "dtype": "float32"},
            r"levels has 1e\+39 at \(1, 1\), beyond the range of the result's dtype, float32",
        ),
        (TypeError, {"bits": 2, "dtype": int}, "dtype is int64"),
        (ValueError, {"bits": 2, "out": np.empty(3)}, r"out has shape \(3,\)"),
    ],
)
def test_what_is_wrong_is_named(error, options, message):
    with pytest.raises(error, match=message):
        distance_interpolation(np.array([[0, 1], [1, 2]]), **options)
