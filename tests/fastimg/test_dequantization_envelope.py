"""``dequantize`` never leaves the envelope, however the envelope is made and whatever lies in it."""

import warnings

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastimg import ConvergenceWarning
from fastimg.dequantization import dequantize
from tests.fastimg.dequantization_cases import assert_inside, bins_of, codes_of, hill, rms

PROPERTIES = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
shapes = npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
powers = {"float32": (-37, 0, 35), "float64": (-300, -6, 0, 6, 300)}
scaled = st.sampled_from([(10.0**power, dtype) for dtype in powers for power in powers[dtype]])


@st.composite
def quantized(draw):
    """Codes between a smooth image and noise, with a number of bits that holds them."""
    shape, bits = draw(shapes), draw(st.sampled_from([1, 2, 3, 5, 8, 12, 16]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    noise = draw(st.sampled_from([0.0, 0.3, 1.0, 30.0])) * rng.normal(size=shape)
    image = np.clip(np.floor(hill(shape, 2**bits - 1e-6) + noise), 0, 2**bits - 1)
    kinds = [kind for kind in ("uint8", "uint16", "int32", "uint64") if np.iinfo(kind).max >= 2**bits - 1]
    return image.astype(draw(st.sampled_from(kinds))), bits, rng


def quietly(*arguments, **options):
    """Noise may take more cycles than a test has; the envelope holds all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return dequantize(*arguments, max_cycles=30, **options)


@pytest.mark.host_only
@PROPERTIES
@given(
    quantized(),
    st.sampled_from(["floor", "nearest"]),
    st.sampled_from([0.0, 0.25, 2.0]),
    st.sampled_from([None, "float32", "float64"]),
)
def test_codes_stay_in_their_bins(case, rounding, relax, dtype):
    codes, bits, _ = case
    result = quietly(codes, bits=bits, rounding=rounding, relax=relax, dtype=dtype)
    natural = np.float32 if codes.dtype.itemsize <= 2 else np.float64
    assert result.shape == codes.shape
    assert result.dtype == (dtype or natural)
    assert_inside(result, *bins_of(codes, rounding=rounding, relax=relax))


@pytest.mark.host_only
@PROPERTIES
@given(
    quantized(), st.floats(0, 1), st.sampled_from(["bridge", "cut"]), st.sampled_from(["float32", "float64"])
)
def test_masked_pixels_keep_the_input_and_the_others_their_bins(case, share, mode, dtype):
    codes, bits, rng = case
    mask = rng.random(codes.shape) < share
    result = quietly(codes, bits=bits, mask=mask, mask_mode=mode, dtype=dtype)
    assert_inside(result, *bins_of(codes), ~mask)
    np.testing.assert_array_equal(result[mask], codes[mask].astype(dtype))


@pytest.mark.host_only
@PROPERTIES
@given(quantized(), scaled)
def test_uneven_levels_hold_their_codes(case, scale_and_dtype):
    (codes, bits, rng), (scale, dtype) = case, scale_and_dtype
    codes = (codes >> max(0, bits - 8)).astype(np.uint8)
    levels = scale * np.cumsum(rng.uniform(0.1, 2, 2 ** min(bits, 8) + 1))
    result = quietly(codes, levels=levels, dtype=dtype)
    assert_inside(result, *bins_of(codes, levels=levels))


@pytest.mark.host_only
@PROPERTIES
@given(shapes, st.integers(0, 2**32 - 1), scaled | st.just((1e37, "float32")))
def test_any_bounds_hold_some_of_them_missing(shape, seed, scale_and_dtype):
    (scale, dtype), rng = scale_and_dtype, np.random.default_rng(seed)
    lower = (scale * rng.normal(size=shape)).astype(dtype)
    upper = lower + (scale * rng.exponential(size=shape)).astype(dtype)
    lower[rng.random(shape) < 0.2], upper[rng.random(shape) < 0.2] = -np.inf, np.inf
    result = quietly(None, lower=lower, upper=upper)
    assert result.dtype == dtype
    assert_inside(result, lower.astype(np.float64), upper.astype(np.float64))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 2), (3, 3), (12, 9)])
def test_every_shape_stays_inside_on_the_device(xp, to_device, to_host, shape, dtype):
    codes = codes_of(hill(shape))
    result = dequantize(to_device(codes), bits=2, dtype=dtype)
    assert isinstance(result, xp.ndarray)
    assert result.dtype == dtype
    assert_inside(to_host(result), *bins_of(codes))


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 4, 4), (3, 0, 4)])
def test_an_empty_image_is_an_empty_result(to_device, shape):
    result, info = dequantize(to_device(np.zeros(shape, np.uint8)), bits=8, return_info=True)
    assert result.shape == shape
    assert result.dtype == np.float32
    assert np.shape(info.energy) == shape[:-2]
    assert np.all(info.converged)


def test_bounds_that_single_precision_cannot_hold_are_rounded_inwards(to_device, to_host):
    lower = np.full((3, 3), 0.1)
    result = to_host(dequantize(None, lower=to_device(lower), upper=to_device(lower + 1e-8), dtype="float32"))
    assert result.dtype == np.float32
    assert_inside(result, lower, lower + 1e-8)


def test_out_of_single_precision_is_rounded_inwards(xp, to_device, to_host):
    lower = np.full((3, 3), 0.1)
    out = xp.empty((3, 3), np.float32)
    dequantize(None, lower=to_device(lower), upper=to_device(lower + 1e-8), out=out)
    assert_inside(to_host(out), lower, lower + 1e-8)


def test_three_spellings_of_the_same_bins_give_the_same_bits(to_device, to_host):
    codes = codes_of(hill((12, 11)))
    results = [
        dequantize(to_device(codes), bits=2),
        dequantize(to_device(codes), levels=to_device(np.arange(5.0))),
        dequantize(to_device(codes), levels=[0, 1, 2, 3, 4]),
        dequantize(None, lower=to_device(codes), upper=to_device(codes + np.uint8(1))),
    ]
    for result in results:
        assert result.dtype == np.float32
        np.testing.assert_array_equal(to_host(result), to_host(results[0]))


def test_rounding_to_nearest_lies_half_a_code_below_rounding_down(to_device, to_host):
    codes = to_device(codes_of(hill((12, 11))).astype(np.int32))
    down, nearest = (
        dequantize(codes, bits=2, rounding=rounding, tol=1e-8) for rounding in ("floor", "nearest")
    )
    assert nearest.dtype == np.float64
    np.testing.assert_allclose(to_host(nearest) + 0.5, to_host(down), atol=1e-3)


def test_relaxing_is_widening_the_bounds_by_hand(to_device, to_host):
    codes = codes_of(hill((10, 12)))
    relax = np.where(np.arange(12) < 6, 0.0, 0.75) + np.zeros((10, 1))
    lower, upper = bins_of(codes, relax=relax)
    by_hand = dequantize(None, lower=to_device(lower), upper=to_device(upper))
    result = dequantize(to_device(codes), bits=2, relax=to_device(relax), dtype="float64")
    np.testing.assert_array_equal(to_host(result), to_host(by_hand))


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1e-300, "float64"), (1e300, "float64"), (1e307, "float64"), (1e-37, "float32"), (3e37, "float32")],
)
def test_the_smallest_and_largest_numbers_give_the_shape_of_others(to_device, to_host, scale, dtype):
    codes = codes_of(hill((14, 13)))
    levels = np.arange(5) * scale
    result = dequantize(to_device(codes), levels=to_device(levels), dtype=dtype, tol=1e-8)
    assert_inside(to_host(result), *bins_of(codes, levels=levels))
    expected = dequantize(to_device(codes), bits=2, dtype=dtype, tol=1e-8)
    np.testing.assert_allclose(to_host(result) / scale, to_host(expected), atol=1e-3)


@pytest.mark.parametrize(("largest", "dtype"), [(1.7e308, "float64"), (3.4e38, "float32")])
def test_where_there_is_no_bound_the_plate_ends_at_the_largest_number(to_device, to_host, largest, dtype):
    lower = np.full((6, 6), -np.inf)
    lower[0, :2] = -largest, largest
    upper = np.where(np.isfinite(lower), lower, np.inf)
    result = dequantize(
        None, lower=to_device(lower), upper=to_device(upper), dtype=dtype, boundary="free", max_cycles=20
    )
    assert_inside(to_host(result), lower.astype(dtype), upper.astype(dtype))


def test_a_known_value_far_from_the_bins_leaves_them_finite(to_device, to_host):
    codes, far = np.zeros((8, 8), np.uint8), np.eye(8, dtype=bool)
    result = dequantize(to_device(codes), bits=1, fixed=(to_device(far), 1e300), dtype="float64")
    assert_inside(to_host(result), *bins_of(codes), ~far)
    np.testing.assert_array_equal(to_host(result)[far], 1e300)


def test_a_start_far_from_the_bins_under_the_mask_leaves_them_finite(to_device, to_host):
    codes, mask = codes_of(hill((9, 9))), np.eye(9, dtype=bool)
    start = to_device(np.full((9, 9), 1.7e308))
    result = quietly(to_device(codes), bits=2, mask=to_device(mask), initial=start)
    assert_inside(to_host(result), *bins_of(codes))


def test_one_number_bounds_every_pixel(to_device, to_host):
    lower = ramp_of_single_precision()
    result = dequantize(None, lower=to_device(lower), upper=9.5)
    assert result.dtype == np.float32
    assert_inside(to_host(result), lower.astype(np.float64), 9.5)


def ramp_of_single_precision():
    return np.linspace(0.1, 1, 30, dtype=np.float32).reshape(5, 6)


def test_levels_of_a_gamma_curve_are_undone(to_device, to_host):
    truth = hill((24, 24), top=0.99)
    levels = np.linspace(0, 1, 7) ** 2.2
    codes = (np.searchsorted(levels, truth, side="right") - 1).astype(np.uint8)
    result = to_host(dequantize(to_device(codes), levels=to_device(levels), dtype="float64"))
    lower, upper = bins_of(codes, levels=levels)
    assert_inside(result, lower, upper)
    assert rms(result - truth) < 0.5 * rms((lower + upper) / 2 - truth)


def test_sixteen_bits_are_sixteen_bits(to_device, to_host):
    truth = 40000 + hill((24, 24), 4.9)
    codes = codes_of(truth, np.uint16)
    result = dequantize(to_device(codes), bits=16)
    assert result.dtype == np.float32
    assert_inside(to_host(result), *bins_of(codes))
    assert rms(to_host(result) - truth) < 0.5 * rms(codes + 0.5 - truth)


def test_thirty_two_bits_are_exact_in_double_precision(to_device, to_host):
    codes = (2**32 - 16 + np.arange(16)).reshape(4, 4).astype(np.uint32)
    result = dequantize(to_device(codes), bits=32)
    assert result.dtype == np.float64
    assert_inside(to_host(result), *bins_of(codes))


def test_a_binary_image_is_one_bit(to_device, to_host):
    image = hill((9, 9)) > 2
    result = dequantize(to_device(image), bits=1)
    assert_inside(to_host(result), *bins_of(image))


def test_heights_in_whole_metres_become_a_terrain(to_device, to_host):
    truth = 2400 + hill((20, 18), 6.0)
    heights = np.rint(truth).astype(np.float32)
    result = dequantize(None, lower=to_device(heights - 0.5), upper=to_device(heights + 0.5))
    assert result.dtype == np.float32
    assert_inside(to_host(result), heights - 0.5, heights + 0.5)
    assert rms(to_host(result) - truth) < 0.6 * rms(heights - truth)


def test_a_hole_in_a_terrain_may_be_nan_and_stays_so(to_device, to_host):
    heights = np.rint(2400 + hill((14, 15), 6.0)).astype(np.float32)
    heights[4:8, 5:9] = np.nan
    mask = np.isnan(heights)
    given = to_device(heights)
    result = to_host(dequantize(given, lower=given - 0.5, upper=given + 0.5, mask=to_device(mask)))
    np.testing.assert_array_equal(np.isnan(result), mask)
    assert_inside(result[~mask], (heights - 0.5)[~mask], (heights + 0.5)[~mask])


def test_codes_under_the_mask_may_be_out_of_range(to_device, to_host):
    codes = codes_of(hill((9, 9)), np.int16)
    codes[2, 3] = -999
    result = to_host(dequantize(to_device(codes), bits=2, mask=to_device(codes < 0)))
    assert result[2, 3] == -999
    assert_inside(result, *bins_of(codes), codes >= 0)
