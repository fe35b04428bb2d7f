"""The barycenter of two estimates: equal to the plain algorithm, in any precision, on any backend."""

import tracemalloc

import numpy as np
import pytest

from fastimg import ConvergenceWarning
from fastimg.fusion import hmwb, spectral_inverse, upsample
from fastimg.fusion._hmwb import fuse_tile
from fastimg.fusion._measures import FLOOR
from fastimg.fusion._precision import Plan, precisions_from
from fastimg.fusion._run import Settings, empty_measures
from fastimg.fusion._scalings import Scalings
from tests.fastimg.fusion_cases import (
    JOINT,
    RATIO,
    WIDE,
    blurred,
    dense_hmwb,
    gaussian,
    log_hmwb,
    measures,
    pair,
    scene,
    widths,
)

SHAPE = (16, 20, 21)
# Spectra that, with their mirror images, make all the mass go from one end of the bands to the other
END_TO_END = np.exp(-np.arange(60) / 2) + 1e-4


def fuse(to_device, images, parameters=WIDE, **options):
    h, m, table = images
    return hmwb(
        to_device(h),
        to_device(m),
        spectral_response=table,
        ratio=RATIO,
        denoise=False,
        **{"iterations": 12, **parameters, **options},
    )


def plain(images, parameters=WIDE, *, weight=0.1, iterations=12, inverse="pinv", **options):
    both = measures(*images, inverse=inverse)
    return dense_hmwb(*both, *widths(SHAPE, parameters), weight, iterations, **options)


@pytest.mark.parametrize("inverse", ["pinv", "regression"])
@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_it_equals_the_plain_algorithm(to_device, to_host, inverse, weight):
    images = pair()
    fused = to_host(fuse(to_device, images, weight=weight, spectral_inverse=inverse))
    expected = plain(images, weight=weight, inverse=inverse)
    assert fused.dtype == np.float64
    # ranges of the scalings are small here: only the order of sums differs
    np.testing.assert_allclose(fused, expected, rtol=1e-10)


def test_single_precision_equals_it_to_single_precision(to_device, to_host):
    h, m, table = pair()
    single = (h.astype(np.float32), m.astype(np.float32), table)
    fused = to_host(fuse(to_device, single))
    assert fused.dtype == np.float32
    np.testing.assert_allclose(fused, plain((h, m, table)), rtol=1e-5)


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("mixed", 1e-5), ("float64", 1e-10), ("log", 1e-10)]
)
def test_precisions_agree(to_device, to_host, precision, tolerance):
    images = pair()
    fused, info = fuse(to_device, images, precision=precision, return_info=True)
    assert info.precision == precision
    np.testing.assert_allclose(to_host(fused), plain(images), rtol=tolerance)


@pytest.mark.parametrize("precision", ["auto", "log"])
def test_kernels_that_act_on_all_axes_are_served(to_device, to_host, precision):
    images = pair()
    assert all(min(each) > 0.2 for each in widths(SHAPE, JOINT))
    fused = fuse(to_device, images, JOINT, precision=precision, weight=0.3)
    # no fibre of the scalings has a free factor here
    expected = plain(images, JOINT, weight=0.3, is_gauged=False)
    np.testing.assert_allclose(to_host(fused), expected, rtol=1e-9)


def test_dividing_out_free_factors_changes_nothing(to_device, to_host):
    images = pair()
    fused = to_host(fuse(to_device, images, iterations=8))
    np.testing.assert_allclose(fused, plain(images, iterations=8, is_gauged=False), rtol=1e-10)


def test_marginals_have_the_sums_of_the_measures(xp, to_host):
    first, second = (each / each.mean() for each in measures(*pair()))
    both = widths(SHAPE, WIDE)
    settings = Settings(0.1, 1, "float64", *both)
    own = empty_measures(xp, SHAPE, np.dtype(np.float64), settings)
    own.m[..., :21], own.h[..., :21] = xp.asarray(first), xp.asarray(second)
    scalings = Scalings(xp, own.m, own.h, 21, *both, 0.1, precisions_from("float64", own.m.dtype)[0])
    for _ in range(10):
        scalings.step(Plan(100.0, 100.0), None)
    u_m, u_h = (to_host(each)[..., :21] for each in (scalings.u_m, scalings.u_h))
    spectral, spatial = ([gaussian(n, w) for n, w in zip(SHAPE, each, strict=True)] for each in both)
    marginal_m = u_m * blurred(first / blurred(u_m, spectral), spectral)
    marginal_h = u_h * blurred(second / blurred(u_h, spatial), spatial)
    np.testing.assert_allclose(marginal_m.sum(axis=2), first.sum(axis=2), rtol=1e-10)
    np.testing.assert_allclose(marginal_h.sum(axis=(0, 1)), second.sum(axis=(0, 1)), rtol=1e-10)


def test_the_result_is_in_the_units_of_the_hyperspectral_image(to_device, to_host):
    h, m, table = pair()
    one = to_host(fuse(to_device, (h, m, table)))
    other = to_host(fuse(to_device, (1e6 * h, 1e-9 * m, table)))
    np.testing.assert_allclose(other, 1e6 * one, rtol=1e-10)


def test_integers_of_sixteen_bits_give_single_precision(to_device, to_host):
    h, m, table = pair()
    rounded = [np.maximum(np.rint(each), 0).astype(np.uint16) for each in (h, m)]
    fused = to_host(fuse(to_device, (*rounded, table)))
    assert fused.dtype == np.float32
    np.testing.assert_array_equal(fused, to_host(fuse(to_device, (*map(np.float32, rounded), table))))


def test_inputs_are_not_written(to_device, to_host):
    h, m, table = pair()
    on_device = [to_device(each.astype(np.float32)) for each in (h, m)]
    before = [to_host(each).copy() for each in on_device]
    fuse(lambda array: array, (*on_device, table))
    for array, kept in zip(on_device, before, strict=True):
        np.testing.assert_array_equal(to_host(array), kept)


def test_the_same_bits_come_out_again(to_device, to_host):
    images = pair()
    first, second = (to_host(fuse(to_device, images)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_out_is_filled_and_returned(xp, to_device, to_host):
    images = pair()
    out = xp.empty((*SHAPE[:2], 2 * SHAPE[2]), np.float32)[..., ::2]
    assert fuse(to_device, images, out=out) is out
    np.testing.assert_allclose(to_host(out), to_host(fuse(to_device, images)), rtol=1e-6)


def test_a_matrix_and_an_estimate_can_be_given(to_device, to_host):
    h, m, table = pair()
    given = fuse(
        to_device,
        (h, m, table),
        spectral_inverse=spectral_inverse("regression", table, h),
        spatial_inverse=to_device(upsample(h, RATIO)),
    )
    expected = to_host(fuse(to_device, (h, m, table), spectral_inverse="regression"))
    np.testing.assert_allclose(to_host(given), expected, rtol=1e-10)


def test_the_centre_of_the_blur_places_the_samples(to_device, to_host):
    h, m, table = pair()
    shifted = np.zeros(11)
    shifted[6:] = [1, 4, 6, 4, 1]  # three pixels from the middle tap
    given = fuse(to_device, (h, m, table), spatial_inverse=to_device(upsample(h, RATIO, offset=(3.0, 3.0))))
    np.testing.assert_allclose(
        to_host(fuse(to_device, (h, m, table), blur=shifted)), to_host(given), rtol=1e-10
    )


@pytest.mark.parametrize(("weight", "end"), [(0.1, "mixed"), (0.9, "float64")])
def test_precision_widens_where_the_range_asks_for_it_and_nothing_is_lost(to_device, to_host, weight, end):
    both = np.exp(np.random.default_rng(1).uniform(-12, 0, (2, 8, 8, 12)))
    kernels = {"widths_m": (0, 0, 0.4), "widths_h": (0.35, 0.35, 0)}
    fused, info = fuse_tile(
        *(to_device(each.astype(np.float32)) for each in both),
        mass_ratio=1.0,
        weight=weight,
        iterations=100,
        **kernels,
    )
    names = [name for name, _ in info.phases]
    assert names == ["float32", end]
    assert info.phases[1][1] > 1
    assert max(info.range_m, info.range_h) > 80
    np.testing.assert_allclose(to_host(fused), dense_hmwb(*both, *kernels.values(), weight, 100), rtol=2e-5)


def test_a_precision_that_is_too_narrow_is_warned_of(to_device):
    both = [np.ones((2, 2, 1)) * each for each in (END_TO_END, END_TO_END[::-1])]
    with pytest.warns(ConvergenceWarning, match=r"left the range of float32: take precision='auto'"):
        fuse_tile(
            *(to_device(each.astype(np.float32)) for each in both),
            mass_ratio=1.0,
            widths_m=(0, 0, 0.7),
            widths_h=(0.5, 0.5, 0),
            iterations=30,
            precision="float32",
        )


def test_where_double_precision_does_not_reach_logarithms_go_on(to_device, to_host):
    both = [np.ones((2, 2, 1)) * each for each in (END_TO_END, END_TO_END[::-1])]
    kernels = {"widths_m": (0, 0, 0.7), "widths_h": (0.5, 0.5, 0)}
    fused, info = fuse_tile(*map(to_device, both), mass_ratio=1.0, weight=0.1, iterations=60, **kernels)
    assert [name for name, _ in info.phases] == ["float64", "log"]
    assert info.range_m > 700
    expected = log_hmwb(*both, *kernels.values(), 0.1, 60)
    np.testing.assert_allclose(to_host(fused), expected, rtol=1e-9)


def test_a_callback_sees_each_iteration_and_can_end_the_run(to_device, to_host):
    images, seen = pair(), []

    def watch(state):
        seen.append((state.iteration, state.precision, to_host(state.fused)))
        return state.iteration == 5

    fused, info = fuse(to_device, images, callback=watch, return_info=True)
    assert [number for number, _, _ in seen] == [1, 2, 3, 4, 5]
    assert info.iterations == 5
    np.testing.assert_allclose(to_host(fused), seen[-1][2], rtol=1e-14)
    np.testing.assert_allclose(to_host(fused), plain(images, iterations=5), rtol=1e-10)
    np.testing.assert_allclose(seen[1][2], plain(images, iterations=2), rtol=1e-10)


def test_a_tile_is_the_whole_where_it_is_the_whole(to_device, to_host):
    h, m, table = pair()
    first, second = measures(h, m, table)
    fused, _ = fuse_tile(
        to_device(first / 7),
        to_device(second),
        mass_ratio=7.0,
        widths_m=widths(SHAPE, WIDE)[0],
        widths_h=widths(SHAPE, WIDE)[1],
        iterations=12,
    )
    np.testing.assert_allclose(to_host(fused), to_host(fuse(to_device, (h, m, table))), rtol=1e-10)


def test_the_floor_is_a_part_of_the_mean():
    h, m, table = pair()
    h[0, 0] = -5.0
    fused = fuse(np.asarray, (h, m, table), iterations=1)
    assert fused.min() > 0
    assert FLOOR == 1e-3


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 8, 2), (8, 4, 16), (12, 4, 33)])
def test_small_cubes_and_any_number_of_bands(to_device, to_host, shape):
    rng = np.random.default_rng(3)
    rows, cols, bands = shape
    table = np.ones((1, bands)) / bands
    h, m = rng.uniform(1, 2, (rows // 4, cols // 4, bands)), rng.uniform(1, 2, (rows, cols, 1))
    fused = to_host(fuse(to_device, (h, m, table)))
    expected = dense_hmwb(*measures(h, m, table), *widths(shape, WIDE), 0.1, 12)
    np.testing.assert_allclose(fused, expected, rtol=1e-10)


@pytest.mark.parametrize(
    "kernels",
    [((0, 0, 0), (0, 0, 0)), ((0, 0, 1.5), (0, 0, 0)), ((0, 0, 0), (0.8, 0, 0)), ((0, 0, 0), (0, 0.8, 0))],
)
def test_axes_that_no_kernel_acts_on(to_device, to_host, kernels):
    both = np.random.default_rng(2).uniform(1, 2, (2, 5, 6, 7))
    fused, _ = fuse_tile(
        *map(to_device, both), mass_ratio=1.0, widths_m=kernels[0], widths_h=kernels[1], iterations=5
    )
    np.testing.assert_allclose(to_host(fused), dense_hmwb(*both, *kernels, 0.1, 5), rtol=1e-11)


@pytest.mark.parametrize("shape", [(1, 9, 4), (9, 1, 4), (1, 1, 9)])
def test_lines_and_single_pixels(to_device, to_host, shape):
    rng = np.random.default_rng(4)
    table = rng.uniform(0, 1, (2, shape[2]))
    h, m = rng.uniform(1, 2, shape), rng.uniform(1, 2, (*shape[:2], 2))
    fused = hmwb(
        to_device(h), to_device(m), spectral_response=table, ratio=1, denoise=False, iterations=5, **WIDE
    )
    first, second = (np.maximum(each, 1e-3 * each.mean()) for each in (m @ np.linalg.pinv(table).T, h))
    both = first * (second.sum() / first.sum()), second
    expected = dense_hmwb(*both, *widths(shape, WIDE), 0.1, 5)
    np.testing.assert_allclose(to_host(fused), expected, rtol=1e-10)


@pytest.mark.host_only
@pytest.mark.parametrize(
    ("dtype", "precision", "iterations"),
    [("float32", "float32", 30), ("float32", "mixed", 120), ("float64", "float64", 30)],
)
def test_it_takes_eight_cubes_of_memory_at_most(dtype, precision, iterations):
    cube = scene(64, 80, 90)
    table = np.repeat(np.eye(3), 30, axis=1) / 30
    h, m = np.ascontiguousarray(cube[::4, ::4], dtype), (cube @ table.T).astype(dtype)
    options = {"spectral_response": table, "ratio": 4, "denoise": False, "iterations": iterations}
    # what is compiled and cached in a first run is no working memory
    _, info = hmwb(h, m, return_info=True, **options)
    assert info.precision == precision
    tracemalloc.start()
    hmwb(h, m, **options)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 8 * cube.size * np.dtype(dtype).itemsize
