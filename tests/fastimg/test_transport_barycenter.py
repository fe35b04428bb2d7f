"""``barycenter`` against a dense version, by what barycenters obey, and how it is called."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastimg import ConvergenceWarning
from fastimg.transport import BarycenterInfo, BarycenterState, barycenter, gaussian_convolve
from tests.fastimg.transport_cases import dense_barycenter, normalised, rough, spot

GRIDS = {(19,): 1.5, (1, 12): 1.0, (9, 8): (1.5, 2.0), (4, 5, 6): (1.0, 0.8, 1.2), (3, 2, 3, 4): 0.7}


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
def test_it_is_the_dense_one(to_device, to_host, grid, dtype, tolerance):
    measures, weights = rough(3, *grid), (0.5, 0.3, 0.2)
    sigmas = np.broadcast_to(GRIDS[grid], (3, len(grid)))
    result = barycenter(to_device(measures.astype(dtype)), sigma=GRIDS[grid], weights=weights, iterations=10)
    assert result.dtype == dtype
    assert result.shape == grid
    target = dense_barycenter(measures, sigmas, weights, 10)
    assert np.abs(to_host(result) - target).sum() < tolerance


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("iterations", [1, 4, 5, 12])
def test_each_measure_may_have_its_own_kernel(to_device, to_host, dtype, iterations):
    measures = rough(3, 5, 6, 4)
    sigmas = [[1.0, 2.0, 0.5], [0.7, 0.9, 1.5], [2.0, 0.5, 1.0]]
    weights = [0.2, 0.5, 0.3]
    result = barycenter(
        to_device(measures.astype(dtype)), sigma=sigmas, weights=weights, iterations=iterations
    )
    target = dense_barycenter(measures, sigmas, weights, iterations)
    tolerance = {"float32": 2e-6, "float64": 1e-12}[dtype] * target.sum()
    assert np.abs(to_host(result) - target).sum() < tolerance


def test_a_measure_of_weight_0_does_not_act(to_device, to_host):
    measures = rough(3, 7, 8)
    measures[1] = np.eye(7, 8) / 7
    result = barycenter(to_device(measures), sigma=[[1, 2], [0, 3], [2, 1]], weights=[0.4, 0.0, 0.6])
    others = barycenter(to_device(measures[[0, 2]]), sigma=[[1, 2], [2, 1]], weights=[0.4, 0.6])
    np.testing.assert_array_equal(to_host(result), to_host(others))


def test_that_of_one_measure_is_the_measure_blurred_as_the_entropy_asks(to_device, to_host):
    measure = rough(1, 11, 12)
    ones = np.ones(measure.shape[1:])
    expected = gaussian_convolve(measure[0] / gaussian_convolve(ones, 2.0), 2.0)
    result, info = barycenter(to_device(measure), sigma=2.0, iterations=5, return_info=True)
    np.testing.assert_allclose(to_host(result), expected, rtol=1e-13)
    assert (info.error, info.iterations) == (0, 5)


def test_mass_is_conserved(to_device, to_host):
    measures = 7.5 * rough(3, 8, 9)
    result = to_host(barycenter(to_device(measures), sigma=2.0, tol=1e-12, iterations=2000))
    assert result.sum() == pytest.approx(7.5, rel=1e-10)
    assert (result > 0).all()


def test_the_order_of_the_measures_does_not_matter(to_device, to_host):
    measures, weights = rough(4, 9, 10), np.array([0.1, 0.2, 0.3, 0.4])
    sigmas = np.linspace(1, 2, 8).reshape(4, 2)
    order = [2, 0, 3, 1]
    one = barycenter(to_device(measures), sigma=sigmas, weights=weights)
    other = barycenter(to_device(measures[order]), sigma=sigmas[order], weights=weights[order])
    np.testing.assert_allclose(to_host(other), to_host(one), rtol=1e-12)


def test_it_moves_with_the_measures(to_device, to_host):
    # far from the edges, whose distance is the only thing that translation changes
    grid = (40, 40)
    places = np.array([[16, 14], [22, 23]])
    one, other = (
        to_host(barycenter(to_device(np.array([spot(grid, at + by, 1.2) for at in places])), sigma=1.5))
        for by in (np.array([0, 0]), np.array([3, -2]))
    )
    np.testing.assert_allclose(np.roll(one, (3, -2), (0, 1)), other, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("weight", "centre"), [(0.5, 20.0), (0.25, 24.0), (0.75, 16.0)])
def test_the_centre_of_mass_is_the_mean_of_the_centres(to_device, to_host, weight, centre):
    measures = np.array([spot((41,), (12,), 2.0), spot((41,), (28,), 2.0)])
    result = to_host(
        barycenter(to_device(measures), sigma=2.0, weights=[weight, 1 - weight], tol=1e-12, iterations=999)
    )
    assert np.sum(np.arange(41) * result) == pytest.approx(centre, abs=1e-6)


def variance(measure):
    places = np.arange(len(measure))
    mean = np.sum(places * measure) / measure.sum()
    return np.sum((places - mean) ** 2 * measure) / measure.sum()


@pytest.mark.host_only
@pytest.mark.parametrize("stabilize", ["auto", "log"])
def test_debiased_equal_gaussians_keep_their_variance_and_others_grow(to_device, to_host, stabilize):
    measures = np.array([spot((81,), (40,), 4.0)] * 2)
    options = {"sigma": 3.0, "iterations": 200, "stabilize": stabilize}
    blurred = to_host(barycenter(to_device(measures), **options))
    sharp = to_host(barycenter(to_device(measures), debiased=True, **options))
    assert variance(sharp) == pytest.approx(16, rel=1e-6)
    # Janati, Muzellec, Peyré and Cuturi (2020), theorem 3: the variance is that of a sum
    assert variance(blurred) > 20


@pytest.mark.host_only
def test_debiasing_with_a_kernel_for_each_measure_keeps_equal_gaussians(to_device, to_host):
    measures = np.array([spot((81,), (40,), 4.0)] * 3)
    result = barycenter(
        to_device(measures),
        sigma=[[3.0], [2.0], [3.0]],
        weights=[0.3, 0.4, 0.3],
        debiased=True,
        iterations=300,
    )
    assert variance(to_host(result)) == pytest.approx(16, rel=1e-3)


def test_widths_as_numbers_rows_and_tables_are_the_same(to_device, to_host):
    measures = to_device(rough(2, 7, 8))
    expected = to_host(barycenter(measures, sigma=1.5))
    for sigma in ([1.5, 1.5], [[1.5, 1.5]] * 2, np.full(2, 1.5), to_device(np.full((2, 2), 1.5))):
        np.testing.assert_array_equal(to_host(barycenter(measures, sigma=sigma)), expected)


def test_a_list_of_measures_is_their_stack(to_device, to_host):
    measures = rough(3, 7, 8).astype(np.float32)
    expected = to_host(barycenter(to_device(measures), sigma=1.0))
    result = barycenter([to_device(each) for each in measures], sigma=1.0)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(to_host(result), expected)


@pytest.mark.parametrize("kind", ["fits", "wider", "strided", "input"])
def test_out_is_written_and_returned(xp, to_device, to_host, kind):
    measures = to_device(rough(2, 7, 8).astype(np.float32))
    expected = to_host(barycenter(measures, sigma=1.0))
    out = {
        "fits": lambda: xp.empty((7, 8), np.float32),
        "wider": lambda: xp.empty((7, 8)),
        "strided": lambda: xp.empty((7, 16), np.float32)[:, ::2],
        "input": lambda: measures[0],
    }[kind]()
    assert barycenter(measures, sigma=1.0, out=out) is out
    np.testing.assert_array_equal(to_host(out), expected)


@pytest.mark.host_only  # CuPy has neither read-only nor byte-swapped arrays
@pytest.mark.parametrize("dtype", [">f8", ">f4", "f2", "u2", "?"])
def test_any_real_dtype_is_read_and_kept(dtype):
    codes = np.array([np.eye(5, 6), np.eye(5, 6)[::-1]]) * (1 if dtype == "?" else 2)
    measures = codes.astype(dtype)
    measures.flags.writeable = False
    result = barycenter(measures, sigma=1.0)
    assert result.dtype == (np.float64 if dtype == ">f8" else np.float32)
    np.testing.assert_allclose(result, barycenter(codes, sigma=1.0), rtol=1e-4)
    np.testing.assert_array_equal(measures, codes.astype(dtype))


@pytest.mark.parametrize("is_list", [False, True], ids=["array", "list"])
def test_masses_of_half_precision_agree_to_its_rounding(to_device, to_host, is_list):
    exact = rough(2, 20, 21)
    measures = exact.astype(np.float16)
    sums = measures.sum((1, 2), dtype=np.float64)
    assert abs(sums[1] / sums[0] - 1) > 1e-6
    given = [to_device(each) for each in measures] if is_list else to_device(measures)
    result = to_host(barycenter(given, sigma=2.0, tol=1e-5, iterations=500))
    assert result.dtype == np.float32
    assert result.sum(dtype=np.float64) == pytest.approx(sums[0], rel=1e-5)
    np.testing.assert_allclose(result, to_host(barycenter(to_device(exact), sigma=2.0)), rtol=1e-2)
    np.testing.assert_array_equal(measures, exact.astype(np.float16))


@pytest.mark.parametrize(("debiased", "tol"), [(False, 1e-8), (True, 1e-5)])
def test_tol_ends_the_run_and_info_tells_how(to_device, to_host, debiased, tol):
    measures = to_device(rough(2, 9, 8))
    result, info = barycenter(
        measures, sigma=2.0, tol=tol, iterations=1000, debiased=debiased, return_info=True
    )
    assert isinstance(info, BarycenterInfo)
    assert info.converged
    assert 0 < info.error <= tol
    assert info.iterations < 1000
    assert info.iterations % 5 == 0
    assert info.domain == "float64"
    assert 0 < info.log_range < 20
    exact = barycenter(measures, sigma=2.0, iterations=info.iterations, debiased=debiased)
    np.testing.assert_array_equal(to_host(result), to_host(exact))


def test_too_few_iterations_are_a_warning_only_where_there_is_a_tol(to_device):
    measures = to_device(rough(2, 9, 8))
    with pytest.warns(ConvergenceWarning, match=r"differ by .* after 3 iterations, not by tol=1e-09"):
        _, info = barycenter(measures, sigma=1.0, tol=1e-9, iterations=3, return_info=True)
    assert (info.converged, info.iterations) == (False, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        barycenter(measures, sigma=1.0, iterations=3)


def test_the_callback_sees_each_iteration_and_may_end_it(to_device, to_host):
    measures, seen = to_device(rough(2, 9, 8)), []

    def at_the_seventh(state):
        assert isinstance(state, BarycenterState)
        seen.append((state.iteration, state.error, to_host(state.barycenter).copy()))
        return state.iteration == 7

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result, info = barycenter(measures, sigma=1.0, tol=1e-12, callback=at_the_seventh, return_info=True)
    assert [iteration for iteration, *_ in seen] == list(range(1, 8))
    assert (info.iterations, info.converged) == (7, False)
    np.testing.assert_array_equal(seen[-1][2], to_host(result))
    np.testing.assert_array_equal(to_host(barycenter(measures, sigma=1.0, iterations=7)), to_host(result))
    assert info.error == seen[-1][1] < seen[0][1]


def test_progress_shows_a_bar(to_device, capsys):
    barycenter(to_device(rough(2, 5, 5)), sigma=1.0, iterations=7, progress=True)
    shown = capsys.readouterr().err
    assert "7/7" in shown
    assert "iteration" in shown


def test_the_same_call_gives_the_same_bits(to_device, to_host):
    measures = to_device(rough(2, 33, 35).astype(np.float32))
    options = {"sigma": 3.0, "iterations": 12, "debiased": True}
    one, other = (to_host(barycenter(measures, **options)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_mass_that_cannot_move_is_told(to_device, to_host):
    measures = np.zeros((2, 3, 8))
    measures[0, 0], measures[1, 1] = 1 / 8, 1 / 8
    with pytest.warns(ConvergenceWarning, match="cannot reach that of the others, by axes of sigma 0"):
        result, info = barycenter(
            to_device(measures), sigma=[0.0, 2.0], tol=1e-6, iterations=20, return_info=True
        )
    assert not to_host(result).any()
    assert not info.converged


@pytest.mark.host_only
@settings(max_examples=150, deadline=None)
@given(
    grid=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    count=st.integers(1, 3),
    sigma=st.sampled_from([0.0, 0.05, 0.3, 1.0, 4.0, 1e4]),
    dtype=st.sampled_from(["float32", "float64"]),
    shape=st.sampled_from(["noise", "point", "zeros", "constant", "wide"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_gives_a_finite_measure(grid, count, sigma, dtype, shape, seed):
    rng = np.random.default_rng(seed)
    measures = rng.random((count, *grid)) + 1e-3
    if shape == "constant":
        measures[...] = 1
    elif shape == "wide":
        measures **= 9
    elif shape == "zeros":
        measures *= rng.random(measures.shape) < 0.5
        measures.reshape(count, -1)[:, 0] = 1
    elif shape == "point":
        measures[...] = 0
        for each in measures.reshape(count, -1):
            each[rng.integers(each.size)] = 1
    measures = normalised(measures, len(grid)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # points that cannot meet
        result, info = barycenter(measures, sigma=sigma, iterations=7, return_info=True)
        other = barycenter(measures, sigma=sigma, iterations=7, stabilize="log")
    assert result.shape == tuple(grid)
    assert result.dtype == dtype
    assert np.isfinite(result).all()
    assert (result >= 0).all()
    assert np.isfinite(info.error)
    np.testing.assert_allclose(result, other, rtol=1e-4, atol=1e-6 * max(1, other.max()))
