"""Single and double precision, logarithms, and free factors: none of them changes a barycenter."""

import warnings

import numpy as np
import pytest

from fastimg import ConvergenceWarning
from fastimg.transport import _solver as solver
from fastimg.transport import barycenter, gaussian_convolve
from fastimg.transport._scalings import Scalings
from tests.fastimg.transport_cases import dense_barycenter, normalised, rough, spot

LINE = np.array([spot((64,), (8,), 1.5), spot((64,), (50,), 1.5)])


@pytest.mark.parametrize(
    ("dtype", "sigma", "domain"),
    [
        ("float32", 10.0, "float32"),
        ("float32", 3.0, "float64"),
        ("float32", 1.0, "log"),
        ("float32", 0.5, "log"),
        ("float64", 3.0, "float64"),
        ("float64", 1.0, "log"),
        ("float64", 0.5, "log"),
    ],
)
@pytest.mark.parametrize("debiased", [False, True], ids=["biased", "debiased"])
def test_the_domain_follows_the_range_and_the_result_does_not(
    to_device, to_host, dtype, sigma, domain, debiased
):
    measures = to_device(LINE.astype(dtype))
    result, info = barycenter(measures, sigma=sigma, iterations=30, debiased=debiased, return_info=True)
    assert info.domain == domain
    assert result.dtype == dtype
    if domain != "log":
        assert info.log_range < {"float32": 70, "float64": 600}[domain]
    rounded = to_device(LINE.astype(dtype).astype(np.float64))
    log = barycenter(rounded, sigma=sigma, iterations=30, debiased=debiased, stabilize="log")
    assert np.abs(to_host(result) - to_host(log)).sum() < {"float32": 1e-6, "float64": 1e-11}[dtype]


def test_logarithms_are_those_of_dense_costs(to_device, to_host):
    result = barycenter(to_device(LINE), sigma=0.7, iterations=12, stabilize="log")
    target = dense_barycenter(LINE, [(0.7,)] * 2, (0.5, 0.5), 12)
    np.testing.assert_allclose(to_host(result), target, rtol=1e-9)


def test_a_run_that_starts_over_counts_from_1_again(to_device):
    seen = []
    measures = to_device(LINE.astype(np.float32))
    barycenter(measures, sigma=3.0, iterations=6, callback=lambda s: seen.append((s.domain, s.iteration)))
    assert [place for place, _ in seen] == sorted(place for place, _ in seen)
    assert [iteration for domain, iteration in seen if domain == "float64"] == list(range(1, 7))


def test_without_stabilization_what_overflows_is_told(to_device):
    measures = to_device(LINE.astype(np.float32))
    with pytest.warns(ConvergenceWarning, match="left the range of float32: take stabilize='auto'"):
        barycenter(measures, sigma=0.5, stabilize=False, iterations=30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = barycenter(measures, sigma=4.0, stabilize=False, iterations=30)
    assert result.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_range_of_what_overflowed_is_infinite(to_device, dtype):
    far = np.zeros((2, 400), dtype)
    far[0, 10] = far[1, 390] = 1
    with pytest.warns(ConvergenceWarning, match=f"left the range of {dtype}"):
        _, info = barycenter(to_device(far), sigma=2.0, stabilize=False, iterations=10, return_info=True)
    assert info.log_range == np.inf
    assert not info.converged


def spectra_and_planes(grid=(6, 7, 20)):
    """Two measures of different masses on all fibres, such as two estimates of a hyperspectral cube."""
    rng = np.random.default_rng(0)
    z = np.linspace(0, 1, grid[2])
    shapes = np.exp(-(((z - np.array([0.2, 0.5, 0.8])[:, None]) / 0.15) ** 2)) + 0.05
    cube = rng.random((*grid[:2], 3)) @ shapes
    other = cube.mean((0, 1)) * (1 + 0.3 * rng.random(grid))
    return normalised(np.array([cube * (1 + 0.5 * np.sin(20 * z)), other]), 3)


CUBES = spectra_and_planes()
CUBE_SIGMAS = [(0.0, 0.0, 1.2), (0.9, 0.9, 0.0)]


@pytest.mark.parametrize("weight", [0.1, 0.9])
@pytest.mark.parametrize("debiased", [False, True], ids=["biased", "debiased"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-10)])
def test_free_factors_are_divided_out_and_the_barycenter_stays(
    to_device, to_host, device, weight, debiased, dtype, tolerance
):
    measures, weights = to_device(CUBES.astype(dtype)), (weight, 1 - weight)
    iterations = 15 if device == "emulated" else 150
    options = {"sigma": CUBE_SIGMAS, "weights": weights, "iterations": iterations, "debiased": debiased}
    result, info = barycenter(measures, return_info=True, **options)
    log, free = barycenter(to_device(CUBES), stabilize="log", return_info=True, **options)
    assert np.abs(to_host(result) - to_host(log)).sum() < tolerance
    assert info.domain == dtype
    assert info.log_range <= free.log_range * 1.01


def test_the_solver_is_algorithm_1_of_the_paper(xp, to_device, to_host):
    small = spectra_and_planes((3, 4, 6))
    solution = solver.solve(xp, to_device(small), CUBE_SIGMAS, (0.1, 0.9), iterations=40)
    target = dense_barycenter(small, CUBE_SIGMAS, (0.1, 0.9), 40)
    np.testing.assert_allclose(to_host(solution.barycenter), target, rtol=1e-10)
    assert not solution.is_stopped


@pytest.mark.parametrize("debiased", [False, True], ids=["biased", "debiased"])
def test_scalings_of_fibres_whose_masses_differ_grow_for_ever_without_harm(
    to_device, to_host, device, debiased
):
    if device == "emulated" and debiased:
        pytest.skip("thousands of launches")
    measures = rough(2, 5, 9)
    options = {"sigma": [0.0, 1.5], "debiased": debiased, "return_info": True}
    free = [
        barycenter(to_device(measures), stabilize="log", iterations=n, **options)[1].log_range
        for n in (100, 300)
    ]
    assert free[0] > 30
    assert free[1] > 2.5 * free[0]
    expected, _ = barycenter(to_device(measures), stabilize="log", iterations=300, **options)
    result, info = barycenter(to_device(measures.astype(np.float32)), iterations=300, **options)
    assert info.domain == "float32"
    assert np.abs(to_host(result) - to_host(expected)).sum() < 2e-6
    if not debiased:
        masses = np.sqrt(measures.sum(2).prod(0))
        np.testing.assert_allclose(to_host(result).sum(1), masses, rtol=1e-4)


@pytest.mark.host_only
def test_masses_of_the_plans_are_those_of_the_measures_on_each_fibre(xp, to_device, to_host):
    # u_k K v_k with v_k = measure_k / K u_k: along its fibres each kernel moves mass, but loses none
    for span in (5.0, np.inf):
        state = Scalings(xp, to_device(CUBES), CUBE_SIGMAS, (0.3, 0.7), span=span)
        for _ in range(37):
            state.step(is_measured=True, is_kept=True)
            state.measure()
        u, v = to_host(state.scalings), to_host(state.dual_scalings(state.scalings))
        marginals = np.array([u[k] * gaussian_convolve(v[k], CUBE_SIGMAS[k]) for k in range(2)])
        np.testing.assert_allclose(marginals[0].sum(2), CUBES[0].sum(2), rtol=1e-10)
        np.testing.assert_allclose(marginals[1].sum((0, 1)), CUBES[1].sum((0, 1)), rtol=1e-10)


@pytest.mark.host_only
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sigma", [2.0, 0.6, CUBE_SIGMAS])
def test_500_iterations_give_numbers(dtype, sigma):
    measures = CUBES.astype(dtype)
    result = barycenter(measures, sigma=sigma, iterations=500)
    assert np.isfinite(result).all()
    assert result.min() >= 0


@pytest.mark.parametrize("skipped", [0.0, 0.1, 0.107])
def test_a_width_whose_taps_do_not_count_leaves_its_axis_out(to_device, to_host, skipped):
    measures = normalised(CUBES, 3)
    expected = barycenter(to_device(measures), sigma=CUBE_SIGMAS, iterations=20)
    sigmas = [[skipped, skipped, 1.2], [0.9, 0.9, skipped]]
    result = barycenter(to_device(measures), sigma=sigmas, iterations=20)
    np.testing.assert_array_equal(to_host(result), to_host(expected))
    assert solver.skips(skipped)
    assert not solver.skips(0.109)


def test_zeros_of_the_measures_stay_in_all_domains(to_device, to_host):
    measures = rough(2, 6, 9)
    measures[0, :, 4:] = 0
    measures[1, 2] = 0
    measures = normalised(measures, 2)
    results = [
        to_host(barycenter(to_device(measures.astype(dtype)), sigma=2.0, stabilize=stabilize, iterations=40))
        for dtype, stabilize in (("float64", "auto"), ("float64", "log"), ("float32", "auto"))
    ]
    np.testing.assert_allclose(results[1], results[0], rtol=1e-11)
    np.testing.assert_allclose(results[2], results[0], rtol=1e-4)
    assert results[0].sum() == pytest.approx(1, abs=1e-2)


def test_the_limits_are_within_the_formats():
    assert solver.LIMITS["float32"] < -np.log(np.finfo(np.float32).tiny)
    assert solver.LIMITS["float64"] < -np.log(np.finfo(np.float64).tiny)
