"""The other ways to fuse: means, component substitution, coupled factorisation."""

import numpy as np
import pytest

from fastimg.fusion import arithmetic_mean, cnmf, geometric_mean, gsa, simulate_pair, starck_murtagh, upsample
from tests.fastimg.fusion_cases import RATIO, measures, pair, response

BLUR = starck_murtagh()


@pytest.mark.parametrize("weight", [0.5, 0.2])
def test_means_are_those_of_the_estimates(to_device, to_host, weight):
    h, m, table = pair()
    options = {"spectral_response": table, "ratio": RATIO, "weight": weight, "denoise": False}
    first, second = measures(h, m, table)
    found = to_host(arithmetic_mean(to_device(h), to_device(m), **options))
    np.testing.assert_allclose(found, weight * first + (1 - weight) * second, rtol=1e-11)
    found = to_host(geometric_mean(to_device(h), to_device(m), **options))
    np.testing.assert_allclose(found, first**weight * second ** (1 - weight), rtol=1e-11)


def test_gsa_is_exact_where_bands_are_combinations_of_channels(to_device, to_host):
    rng = np.random.default_rng(0)
    channels = rng.random((16, 20, 3))
    cube = channels @ rng.normal(size=(3, 7)) + rng.normal(size=7)
    h, _ = simulate_pair(cube, np.ones((1, 7)), ratio=4, blur=BLUR)
    found = to_host(gsa(to_device(h), to_device(channels), ratio=4, blur=BLUR))
    np.testing.assert_allclose(found, cube, atol=1e-10)


def test_gsa_adds_nothing_where_the_fine_image_has_no_detail(to_device, to_host):
    h, _, _ = pair()
    flat = np.ones((16, 20, 2))
    found = to_host(gsa(to_device(h), to_device(flat), ratio=4, blur=BLUR))
    np.testing.assert_allclose(found, upsample(h, 4), atol=1e-9)


def test_cnmf_finds_mixtures_of_few_spectra(to_device, to_host):
    rng = np.random.default_rng(0)
    spectra = rng.random((3, 12))
    # pure on squares, so that the coarse image has pure pixels
    label = np.kron(rng.integers(0, 3, (4, 5)), np.ones((8, 8), int))
    cube = spectra[label]
    table = np.repeat(np.eye(4), 3, axis=1) / 3
    h, m = simulate_pair(cube, table, ratio=4)
    found = to_host(
        cnmf(to_device(h), to_device(m), spectral_response=table, ratio=4, endmembers=3, iterations=400)
    )
    assert np.abs(found - cube).mean() < 0.01 * cube.mean()
    assert found.min() >= 0


def test_cnmf_is_in_the_units_of_the_hyperspectral_image_and_the_same_each_time(to_device, to_host):
    h, m, table = pair()
    options = {"spectral_response": table, "ratio": 4, "blur": BLUR, "endmembers": 6, "iterations": 20}
    one, again = (to_host(cnmf(to_device(h), to_device(m), **options)) for _ in range(2))
    other = to_host(cnmf(to_device(1e5 * h), to_device(1e5 * m), **options))
    np.testing.assert_array_equal(one, again)
    np.testing.assert_allclose(other, 1e5 * one, rtol=1e-9)


def test_cnmf_ends_where_the_spectra_stay(to_device, to_host):
    h, m, table = pair()
    options = {"spectral_response": table, "ratio": 4, "endmembers": 4, "iterations": 15}
    short = to_host(cnmf(to_device(h), to_device(m), alternations=9, tol=10.0, **options))
    np.testing.assert_array_equal(short, to_host(cnmf(to_device(h), to_device(m), alternations=1, **options)))


def test_results_have_the_precision_of_the_images(to_device, to_host):
    h, m, table = pair()
    single = to_device(h.astype(np.float32)), to_device(m.astype(np.float32))
    options = {"spectral_response": table, "ratio": 4}
    for found in (
        arithmetic_mean(*single, denoise=False, **options),
        geometric_mean(*single, denoise=False, **options),
        gsa(*single, ratio=4),
        cnmf(*single, endmembers=3, iterations=3, **options),
    ):
        assert found.dtype == np.float32
        assert found.shape == (16, 20, 21)


def test_black_pixels_and_negative_noise_do_no_harm(to_device, to_host):
    h, m, table = pair()
    h[0], m[:4] = -1e-3, -1e-3
    options = {"spectral_response": table, "ratio": 4}
    images = to_device(h), to_device(m)
    found = [
        arithmetic_mean(*images, denoise=False, **options),
        geometric_mean(*images, denoise=False, **options),
        gsa(*images, ratio=4),
        cnmf(*images, endmembers=20, iterations=10, **options),
    ]
    assert all(np.isfinite(to_host(each)).all() for each in found)


def test_the_response_of_the_cases_covers_all_bands():
    assert (response().sum(axis=0) > 0).all()
