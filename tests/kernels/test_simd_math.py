"""Logarithms and powers of two of vectors: largest error, bias, joints of the polynomials, special values."""

import numpy as np
import pytest

from fastimg.kernels.cpu._jit import jit
from fastimg.kernels.cpu._simd import lane_count, simd_kernel
from fastimg.kernels.cpu._simd_math import exp2_of_sum, log2_parts

pytestmark = pytest.mark.host_only

PRECISIONS = {32: np.float32, 64: np.float64}


@simd_kernel(0)
def store_log(simd, source, whole, rest):
    """Both parts of the logarithm of one vector."""
    exponent, log = log2_parts(simd, simd.load(source))
    simd.store(exponent, whole)
    simd.store(log, rest)


@simd_kernel(0)
def store_power(simd, factor, whole, rest, target):
    """2^(factor whole + rest) of one vector."""
    power = exp2_of_sum(simd, simd.load(whole), simd.load(rest), simd.load(factor))
    simd.store(power, target)


def _log2(values, precision):
    step = lane_count(precision) * precision // 8

    @jit()
    def run(x, whole, rest):
        for place in range(0, x.size * x.itemsize, step):
            store_log(precision, x.ctypes.data + place, whole.ctypes.data + place, rest.ctypes.data + place)

    whole, rest = np.empty_like(values), np.empty_like(values)
    run(values, whole, rest)
    return whole, rest


def _exp2(whole, rest, precision, factor=1.0):
    step = lane_count(precision) * precision // 8
    factors = np.full_like(whole, factor)

    @jit()
    def run(f, a, b, target):
        for place in range(0, a.size * a.itemsize, step):
            store_power(
                precision, f.ctypes.data + place, a.ctypes.data + place, b.ctypes.data + place,
                target.ctypes.data + place,
            )  # fmt: skip

    target = np.empty_like(whole)
    run(factors, whole, rest, target)
    return target


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_logarithm_of_a_mantissa_is_right_to_two_ulp_without_bias(precision):
    real = PRECISIONS[precision]
    x = np.geomspace(0.5**0.5, 2**0.5, 1 << 16).astype(real)[1:-1]
    x = np.resize(x, 1 << 16)
    whole, rest = _log2(x, precision)
    exact = np.log2(x.astype(np.longdouble))
    error = (whole.astype(np.longdouble) + rest - exact).astype(float) / np.finfo(real).eps
    assert abs(error).max() < 1.0
    assert abs(error.mean()) < 0.05


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_logarithm_joins_where_the_exponent_changes(precision):
    real = PRECISIONS[precision]
    root = real(2**0.5)
    x = np.resize(np.array([np.nextafter(root, real(0)), root, np.nextafter(root, real(9))], real), 96)
    whole, rest = _log2(x, precision)
    assert np.ptp(whole.astype(float) + rest) < 4 * np.finfo(real).eps


@pytest.mark.parametrize("precision", PRECISIONS)
def test_logarithms_hold_over_all_normal_numbers(precision):
    real = PRECISIONS[precision]
    bounds = np.finfo(real)
    x = np.geomspace(float(bounds.tiny), float(bounds.max) * 0.99, 1 << 14).astype(real)
    whole, rest = _log2(x, precision)
    assert (whole == np.round(whole)).all()
    assert abs(rest).max() <= 0.5001
    np.testing.assert_allclose(whole.astype(float) + rest, np.log2(x.astype(float)), rtol=4 * bounds.eps)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_power_is_right_to_three_ulp_without_bias(precision):
    real = PRECISIONS[precision]
    rest = np.linspace(-0.5, 0.5, 1 << 16).astype(real)
    whole = np.zeros_like(rest)
    error = (_exp2(whole, rest, precision) / np.exp2(rest.astype(np.longdouble)) - 1).astype(float)
    assert abs(error).max() < 3 * np.finfo(real).eps
    assert abs(error.mean()) < 0.2 * np.finfo(real).eps


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_power_with_a_large_exponent_is_as_right(precision):
    real = PRECISIONS[precision]
    limit = 120.0 if precision == 32 else 1000.0
    whole = np.round(np.linspace(-limit, limit, 1 << 12)).astype(real)
    rest = np.resize(np.linspace(-0.4, 0.4, 37), whole.size).astype(real)
    power = _exp2(whole, rest, precision, factor=0.9)
    exact = np.exp2(np.longdouble(real(0.9)) * whole.astype(np.longdouble) + rest.astype(np.longdouble))
    assert abs(power / exact - 1).max() < 3 * np.finfo(real).eps


@pytest.mark.parametrize("precision", PRECISIONS)
def test_powers_end_at_zero_and_infinity_and_keep_nan(precision):
    real = PRECISIONS[precision]
    whole = np.resize(np.array([-np.inf, -5000, 5000, 0, 3], real), 80)
    rest = np.resize(np.array([0, 0.25, 0.25, np.nan, 0], real), 80)
    power = _exp2(whole, rest, precision)
    np.testing.assert_array_equal(power[:5], np.array([0, 0, np.inf, np.nan, 8], real))
