"""The kernels of Sinkhorn iterations on grids against their plain twins."""

import math

import numpy as np
import pytest

from tests.kernels.conftest import Changed
from tests.kernels.sinkhorn_cases import (
    RTOL,
    Output,
    assert_close,
    check,
    expected,
    launcher,
    parametrize_precision,
    positive,
    run_as_large,
)

DENSE = math.inf

# Lines of one point to some hundred along the first, the last and a middle axis, among axes of odd sizes
GRIDS = [
    ((1, 1), 1),
    ((1, 7), 1),
    ((7, 1), 0),
    ((2, 3), 0),
    ((33, 5), 0),
    ((5, 33), 1),
    ((70, 3), 0),
    ((3, 70), 1),
    ((130, 2), 0),
    ((2, 130), 1),
    ((2, 33, 3), 1),
    ((3, 2, 7, 5), 2),
]
parametrize_grid = pytest.mark.parametrize(("grid", "axis"), GRIDS, ids=str)
parametrize_reach = pytest.mark.parametrize("reach", [DENSE, 3.0], ids=["dense", "cut"])


@pytest.fixture
def launch(kernels, xp, to_device, to_host):
    return launcher(kernels, xp, to_device, to_host)


@pytest.fixture(autouse=True, params=["as called", "two threads"])
def threads(request, device, monkeypatch):
    """Run each test as it comes, and with the parallel versions that large arrays take on the CPU."""
    if request.param == "two threads":
        run_as_large(device, monkeypatch)


def widths(n):
    """No width, narrow ones, and ones over a part of the line."""
    return 0.0, 0.4, 1.7, n / 9, n / 4


@parametrize_precision
@parametrize_grid
@parametrize_reach
def test_convolutions_and_quotients(launch, rng, precision, grid, axis, reach):
    sigmas = widths(grid[axis])
    shape = (len(sigmas), *grid)
    values, numerators = positive(rng, shape, precision, 2), positive(rng, shape, precision)
    output = Output(shape, precision)
    check(launch, "convolve_axis", values, axis, sigmas, reach, None, output)
    check(launch, "convolve_axis", values, axis, sigmas, reach, numerators, output)


@parametrize_precision
@parametrize_grid
@parametrize_reach
def test_turns(launch, rng, precision, grid, axis, reach):
    sigmas = widths(grid[axis])
    shape = (len(sigmas), *grid)
    values = Changed(positive(rng, shape, precision, 2))
    measures = positive(rng, shape, precision) * (rng.random(shape) < 0.7).astype(precision)
    arguments = values, measures, axis, sigmas, reach, np.empty(shape, precision)
    assert_close(launch("turn_axis", *arguments)[0], expected("turn_axis", *arguments)[0])


@parametrize_precision
@parametrize_grid
def test_means(launch, rng, precision, grid, axis):
    check_mean(launch, mean_arguments(rng, precision, grid, axis))


def mean_arguments(rng, precision, grid, axis, reach=DENSE):
    sigmas, weights = widths(grid[axis]), (0.3, 0.1, 0.0, 0.35, 0.25)
    shape = (len(sigmas), *grid)
    values, previous = Changed(positive(rng, shape, precision)), Changed(positive(rng, shape, precision))
    debiasing, outputs = positive(rng, grid, precision), (Output((1,)), Output((len(sigmas), 2)))
    mean = Output(grid, precision)
    # the scalings take the place of the ones before
    return [values, axis, sigmas, reach, weights, 1e-3, debiasing, previous, mean, previous, *outputs]


def check_mean(launch, arguments):
    """Compare values, scalings and barycenter relatively, and error and ranges by what they are made of."""
    results, targets = launch("mean_axis", *arguments), expected("mean_axis", *arguments)
    mean, error, ranges = results[2:]
    rtol = RTOL[mean.dtype.name]
    for result, target in zip(results[:3], targets[:3], strict=True):
        assert_close(result, target)
    # each deviation is a difference of numbers of which each has its rounding
    previous, last = arguments[7].array, targets[1]
    size = np.max(previous * (targets[2] / last), initial=0) * mean.size
    np.testing.assert_allclose(error, targets[3], rtol=rtol, atol=rtol * float(size))
    np.testing.assert_allclose(ranges, targets[4], rtol=1e-6, atol=2 * rtol)
    return results


@parametrize_precision
def test_means_of_a_cut_kernel(launch, rng, precision):
    check_mean(launch, mean_arguments(rng, precision, (33, 5), 0, reach=2.5))


@parametrize_precision
def test_what_is_not_asked_for_is_not_needed(launch, rng, precision):
    arguments = mean_arguments(rng, precision, (7, 33), 1)
    whole = launch("mean_axis", *arguments)
    arguments[6] = None
    plain = launch("mean_axis", *arguments)
    arguments[7], arguments[9:] = None, [None] * 3
    values, mean = launch("mean_axis", *arguments)
    np.testing.assert_array_equal(values, plain[0])
    np.testing.assert_array_equal(mean, plain[2])
    assert np.abs(whole[2] / mean - 1).max() > 0.1


@parametrize_precision
def test_a_measure_of_weight_0_is_left_out_even_where_it_is_0(launch, rng, precision):
    grid, ranges = (3, 33), Output((2, 2))
    values = positive(rng, (2, *grid), precision)
    values[1] = 0
    arguments = (
        Changed(values), 1, (2.0, 3.0), DENSE, (1.0, 0.0), 0.0, None, None, Output(grid, precision),
        Output((2, *grid), precision), None, ranges,
    )  # fmt: skip
    _, mean, scalings, ranges = launch("mean_axis", *arguments)
    assert_close(mean, expected("mean_axis", *arguments)[1])
    np.testing.assert_allclose(scalings[0], 1, rtol=RTOL[precision])
    np.testing.assert_allclose(ranges[0], 0, atol=RTOL[precision])


@parametrize_precision
@pytest.mark.parametrize("axis", [0, 1])
def test_zeros_stay_zeros(launch, rng, precision, axis):
    grid = (7, 33)
    values, measures = np.zeros((2, 2, *grid), precision)
    values[0], measures[0] = positive(rng, (2, *grid), precision)
    work, mean, scalings = (
        np.empty((2, *grid), precision),
        Output(grid, precision),
        Output((2, *grid), precision),
    )
    turned = launch("turn_axis", Changed(values), measures, axis, (2.0, 2.0), DENSE, work)[0]
    assert turned[0].all()
    assert not turned[1].any()
    ranges = Output((2, 2))
    values, mean, scalings, ranges = launch(
        "mean_axis", Changed(values), axis, (2.0, 2.0), DENSE, (0.5, 0.5), 0.0, None, None, mean,
        scalings, None, ranges,
    )  # fmt: skip
    assert not mean.any()
    assert not scalings.any()
    assert not values.any()
    assert (ranges == [[np.inf, -np.inf]] * 2).all()


@parametrize_precision
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_range_with_what_is_no_number_is_infinite(launch, rng, precision, wrong):
    grid = (5, 33)
    values = positive(rng, (2, *grid), precision)
    values[1, 2, 3] = wrong
    ranges = launch(
        "mean_axis", Changed(values), 0, (0.0, 0.0), DENSE, (1.0, 0.0), 0.0, None, None,
        Output(grid, precision), None, None, Output((2, 2)),
    )[-1]  # fmt: skip
    assert np.isfinite(ranges[0]).all()
    if np.isnan(wrong):
        assert ranges[1, 1] == np.inf
    values[1] = values[0]
    values[0, 2, 3] = wrong
    ranges = launch(
        "mean_axis", Changed(values), 0, (0.0, 0.0), DENSE, (1.0, 0.0), 0.0, None, None,
        Output(grid, precision), None, None, Output((2, 2)),
    )[-1]  # fmt: skip
    assert ranges[:, 1].max() == np.inf


@parametrize_precision
@pytest.mark.parametrize("shape", [(1,), (7, 33), (2, 5, 67)])
def test_balance(launch, rng, precision, shape):
    arrays = [positive(rng, shape, precision, 3) for _ in range(3)]
    arrays[1][..., ::3] = 0
    arrays[2][..., ::6] = 0
    (result,) = check(launch, "balance", Changed(arrays[0]), *arrays[1:])
    assert not result[..., ::3].any()


@parametrize_precision
@parametrize_grid
def test_convolutions_of_logarithms(launch, rng, precision, grid, axis):
    sigmas = widths(grid[axis])
    shape = (len(sigmas), *grid)
    values = rng.normal(0, 30, shape).astype(precision)
    values[rng.random(shape) < 0.1] = -np.inf
    assert_logs(launch, values, axis, sigmas)


@parametrize_precision
@pytest.mark.parametrize("grid", [(2, 70), (70, 2)])
def test_logarithms_far_beyond_the_format(launch, rng, precision, grid):
    axis = int(np.argmax(grid))
    steps = np.linspace(-1e4, 1e4, 70).reshape((-1, 1) if axis == 0 else (1, -1))
    values = (
        np.stack([steps, -steps, 0 * steps - 1e4, 0 * steps + 1e4]) + rng.normal(size=(4, *grid))
    ).astype(precision)
    values[3, :, 1] = -np.inf
    assert np.isfinite(assert_logs(launch, values, axis, (0.2, 3.0, 20.0, 1.0))[:3]).all()


def test_a_line_without_mass_has_none_after_a_convolution(launch):
    values = np.full((1, 2, 9), -np.inf)
    values[0, 1, 4] = 0
    (result,) = launch("log_convolve_axis", values, 1, (2.0,), Output(values.shape))
    assert (result[0, 0] == -np.inf).all()
    np.testing.assert_allclose(result[0, 1], -((np.arange(9) - 4) ** 2) / 8, atol=1e-14)


def assert_logs(launch, values, axis, sigmas):
    """Compare with the reference, up to the rounding of the largest values and of the costs beside them."""
    arguments = values, axis, sigmas, Output(values.shape, values.dtype)
    (result,), (target,) = launch("log_convolve_axis", *arguments), expected("log_convolve_axis", *arguments)
    largest = np.abs(values[np.isfinite(values)]).max(initial=0)
    np.testing.assert_allclose(result, target, rtol=0, atol=np.finfo(values.dtype).eps * (200 + 2 * largest))
    return result


@pytest.mark.parametrize(("grid", "axis"), [((33, 5), 0), ((5, 130), 1), ((3, 70, 2), 1)])
def test_a_convolution_is_its_own_adjoint(launch, rng, grid, axis):
    sigmas = widths(grid[axis])
    x, y = rng.normal(size=(2, len(sigmas), *grid))
    output = Output(x.shape)
    (kx,) = launch("convolve_axis", x, axis, sigmas, DENSE, None, output)
    (ky,) = launch("convolve_axis", y, axis, sigmas, DENSE, None, output)
    assert abs(np.vdot(kx, y) - np.vdot(x, ky)) < 1e-13 * np.linalg.norm(kx) * np.linalg.norm(y)


def test_small_numbers_beside_large_ones_keep_their_precision(launch):
    # an FFT would lose all of them: the range is 1e-200 to 1
    n = 130
    values = np.exp(-np.linspace(0, 460, n))[None, None] * np.ones((1, 2, 1))
    check(launch, "convolve_axis", values, 1, (3.0,), DENSE, None, Output(values.shape))
