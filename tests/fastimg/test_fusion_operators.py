"""What takes images to the grid of the fused cube, and cubes to images."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.ndimage import convolve, convolve1d

from fastimg.fusion import (
    denoise_total_variation,
    denoise_wiener,
    kernel_widths,
    resample_response,
    simulate_pair,
    spectral_inverse,
    starck_murtagh,
    upsample,
)
from fastimg.fusion._measures import FLOOR, fill_spatial, fill_spectral, mean_of_spectral
from fastimg.fusion._spatial_inverse import upsampling_taps
from fastimg.fusion._spectral_inverse import inverse_from_sums, regression_sums
from tests.fastimg.fusion_cases import pair, response, scene


def test_the_papers_kernels_move_mass_along_wavelength_or_in_the_plane():
    first, second = kernel_widths((128, 128, 93), 1e-6, 1e-3), kernel_widths((128, 128, 93), 1e-4, 501)
    assert first[:2] == (0, 0)
    assert second[2] == 0
    np.testing.assert_allclose(first[2], 92 * np.sqrt(1e-6 / 2e-3))
    np.testing.assert_allclose(second[:2], 127 * np.sqrt(1e-4 / 2))


def test_a_kernel_skips_an_axis_exactly_where_its_nearest_tap_is_negligible():
    width = np.sqrt(-0.5 / np.log(2e-19))
    below, above = (kernel_widths((1, 2, 1), 2 * (factor * width) ** 2, 1)[1] for factor in (0.999, 1.001))
    assert below == 0
    assert above > 0


@pytest.mark.parametrize("ratio", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 2, 3), (5, 4, 2), (70, 3, 1), (130, 2, 2)])
def test_upsampling_is_the_periodic_cubic_spline(to_device, to_host, shape, ratio):
    image = np.random.default_rng(0).random(shape)
    fine = to_host(upsample(to_device(image), ratio, offset=(0.5, 0.0)))
    expected = image
    for axis, offset in ((0, 0.5), (1, 0.0)):
        n = shape[axis]
        closed = np.concatenate([expected, expected.take([0], axis)], axis)
        spline = CubicSpline(np.arange(n + 1), closed, axis=axis, bc_type="periodic")
        expected = spline(((np.arange(n * ratio) - offset) / ratio) % n)
    np.testing.assert_allclose(fine, expected, atol=1e-13)


def test_upsampling_keeps_means_and_single_precision(to_device, to_host):
    image = np.random.default_rng(0).random((9, 7, 3)).astype(np.float32)
    fine = to_host(upsample(to_device(image), 4))
    assert fine.dtype == np.float32
    np.testing.assert_allclose(fine.mean((0, 1)), image.mean((0, 1)), rtol=1e-6)


def test_parts_of_an_axis_are_those_of_the_whole():
    samples, ratio = 150, 4
    coarse = np.random.default_rng(0).random(samples)
    whole = upsample(coarse[:, None, None], ratio)
    for start, stop in ((0, 10), (298, 333), (590, 600)):
        indices, weights = upsampling_taps(samples, ratio, start, stop)
        assert len(indices) < 90
        part = upsample(np.tile(coarse[:, None, None], (1, 2, 1)), ratio)[start:stop, 0, 0]
        np.testing.assert_allclose(weights @ coarse[indices], part, atol=1e-15)
        np.testing.assert_allclose(part, whole[start:stop, 0, 0], atol=1e-15)


def test_the_least_inverse_is_the_pseudo_inverse_and_the_regression_the_best_prediction():
    h, _, table = pair()
    np.testing.assert_allclose(spectral_inverse("pinv", table), np.linalg.pinv(table))
    seen, spectra = (h @ table.T).reshape(-1, 4), h.reshape(-1, 21)
    best = np.linalg.lstsq(seen, spectra, rcond=None)[0].T
    np.testing.assert_allclose(spectral_inverse("regression", table, h), best, rtol=1e-8)
    given = np.arange(84.0).reshape(21, 4)
    np.testing.assert_array_equal(spectral_inverse(given, table), given)


def test_regression_is_made_of_sums_that_add_up(xp, to_device):
    h, _, table = pair()
    whole = regression_sums(xp, to_device(h), table)
    parts = [regression_sums(xp, to_device(each), table) for each in (h[:1], h[1:])]
    for k in range(2):
        np.testing.assert_allclose(whole[k], parts[0][k] + parts[1][k], rtol=1e-13)
    inverse = spectral_inverse("regression", table, to_device(h))
    np.testing.assert_allclose(inverse, inverse_from_sums(*whole), rtol=1e-13)


def test_estimates_are_floored_and_their_sums_told(xp, to_device, to_host):
    h, m, table = pair()
    matrix = spectral_inverse("pinv", table)
    mean = mean_of_spectral(xp, to_device(m), matrix)
    np.testing.assert_allclose(mean, (m @ matrix.T).mean())
    out = xp.ones((16, 20, 32))
    total = fill_spectral(xp, to_device(m), matrix, FLOOR * mean, out)
    np.testing.assert_allclose(to_host(out)[..., :21], np.maximum(m @ matrix.T, FLOOR * mean))
    assert (to_host(out)[..., 21:] == 1).all()
    np.testing.assert_allclose(total, to_host(out)[..., :21].sum())
    total = fill_spatial(xp, to_device(h), 4, (0.0, 0.0), 0.1, out)
    np.testing.assert_allclose(to_host(out)[..., :21], np.maximum(upsample(h, 4), 0.1), atol=1e-12)
    np.testing.assert_allclose(total, to_host(out)[..., :21].sum())


def test_the_simulated_pair_is_blurred_sampled_and_weighted(to_device, to_host):
    cube, table = scene(), response()
    h, m = simulate_pair(to_device(cube), table, ratio=4, blur=starck_murtagh())
    expected = convolve1d(
        convolve1d(cube, starck_murtagh(), 0, mode="wrap"), starck_murtagh(), 1, mode="wrap"
    )
    np.testing.assert_allclose(to_host(h), expected[::4, ::4], rtol=1e-13)
    np.testing.assert_allclose(to_host(m), cube @ table.T, rtol=1e-13)


def test_a_kernel_of_two_axes_its_factors_and_its_multiples_are_the_same(to_device, to_host):
    cube, table, line = scene(), response(), starck_murtagh()
    flat, factors, multiple = (
        to_host(simulate_pair(to_device(cube), table, ratio=4, blur=blur)[0])
        for blur in (np.outer(line, line), line, 3 * line)
    )
    np.testing.assert_allclose(flat, factors, rtol=1e-13)
    np.testing.assert_allclose(multiple, factors, rtol=1e-13)


def test_a_kernel_that_is_not_symmetric_is_not_turned():
    cube, table = scene(), response()
    kernel = np.random.default_rng(1).random((3, 4))
    h, _ = simulate_pair(cube, table, ratio=2, blur=kernel)
    # a correlation, whose middle tap is at length // 2
    turned = kernel[::-1, ::-1, None] / kernel.sum()
    expected = convolve(cube, turned, mode="wrap", origin=(0, -1, 0))
    np.testing.assert_allclose(h, expected[::2, ::2], rtol=1e-12)


def test_a_width_is_a_gaussian_and_none_sees_one_pixel():
    cube, table = np.zeros((24, 24, 1)), np.ones((1, 1))
    cube[12, 12] = 1
    distance = np.subtract.outer(np.arange(0, 24, 2), [12])
    line = np.exp(-(distance**2) / (2 * 1.5**2))[:, 0]
    wide = simulate_pair(cube, table, ratio=2, blur=1.5)[0][..., 0]
    np.testing.assert_allclose(wide / wide.max(), np.outer(line, line), atol=2e-4)
    np.testing.assert_array_equal(simulate_pair(cube, table, ratio=2)[0], cube[::2, ::2])


def test_noise_has_the_given_level_in_each_band(to_device, to_host):
    cube = scene(64, 64)
    cube[..., 0] *= 100
    clean = simulate_pair(cube, response(), ratio=1)
    noisy = simulate_pair(to_device(cube), response(), ratio=1, snr_h=30, snr_m=40, rng=5)
    for image, expected, decibels in zip(map(to_host, noisy), clean, (30, 40), strict=True):
        power = (expected**2).mean((0, 1)) / ((image - expected) ** 2).mean((0, 1))
        np.testing.assert_allclose(10 * np.log10(power), decibels, atol=0.3)


def test_a_seed_gives_the_same_noise_on_any_device(to_device, to_host):
    options = {"ratio": 4, "snr_h": 20, "snr_m": 20, "rng": 3}
    here = simulate_pair(scene(), response(), **options)
    there = simulate_pair(to_device(scene()), response(), **options)
    for first, second in zip(here, there, strict=True):
        np.testing.assert_allclose(to_host(second), first, rtol=1e-12)


def test_a_response_is_interpolated_between_wavelengths_and_has_the_sum_one():
    known, table = [400.0, 500, 600], [[0.0, 1], [1, 1], [0, 1]]
    found = resample_response(known, table, [350, 425, 500, 550])
    np.testing.assert_allclose(found[0], np.array([0, 0.25, 1, 0.5]) / 1.75)
    np.testing.assert_allclose(found[1], np.array([0, 1, 1, 1]) / 3)


def test_wiener_keeps_edges_and_smooths_noise(to_device, to_host):
    rng = np.random.default_rng(0)
    clean = np.where(np.arange(64) < 32, 1.0, 9.0)[:, None, None] + np.zeros((1, 48, 2))
    noisy = clean + rng.normal(0, 0.3, clean.shape)
    found = to_host(denoise_wiener(to_device(noisy)))
    errors = np.abs(found - clean).mean(), np.abs(noisy - clean).mean()
    assert errors[0] < 0.55 * errors[1]
    assert abs(found[31:33].mean((1, 2)) - [1, 9]).max() < 0.1


def test_wiener_leaves_what_has_no_noise(to_device, to_host):
    ramp = np.add.outer(np.arange(20.0), np.arange(30.0))[..., None]
    np.testing.assert_allclose(to_host(denoise_wiener(to_device(ramp))), ramp, atol=1e-9)
    clean = np.random.default_rng(0).random((20, 30, 2))
    np.testing.assert_allclose(
        to_host(denoise_wiener(to_device(clean), noise=to_device(np.zeros(2)))), clean, atol=1e-12
    )


def test_wiener_of_a_constant_beyond_its_edges_is_the_constant(to_device, to_host):
    flat = np.full((7, 5, 1), 1e4, np.float32)
    np.testing.assert_allclose(to_host(denoise_wiener(to_device(flat), size=5)), flat, rtol=1e-6)


@pytest.mark.host_only
def test_total_variation_is_that_of_scikit_image():
    restoration = pytest.importorskip("skimage.restoration")
    h, _, _ = pair()
    expected = restoration.denoise_tv_chambolle(h / h.max(), weight=0.02, channel_axis=-1) * h.max()
    np.testing.assert_allclose(denoise_total_variation(h, weight=0.02), expected)
    single = denoise_total_variation(h.astype(np.float32), weight=0.02)
    assert single.dtype == np.float32
    assert (denoise_total_variation(np.zeros((4, 4, 2))) == 0).all()
