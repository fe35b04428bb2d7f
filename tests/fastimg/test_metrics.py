"""Measures of quality: definitions, invariances, and scikit-image's numbers."""

import numpy as np
import pytest

from fastimg.metrics import cross_correlation, ergas, psnr, rmse, sam, ssim, uiqi


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    reference = rng.uniform(1, 5, (20, 24, 6))
    return reference + rng.normal(0, 0.2, reference.shape), reference


def both(to_device, images):
    return [to_device(each) for each in images]


def test_rmse_is_the_root_of_the_mean_square(to_device, images):
    found, expected = images
    np.testing.assert_allclose(rmse(*both(to_device, images)), np.sqrt(((found - expected) ** 2).mean()))


def test_sam_is_the_mean_angle(to_device, images):
    found, expected = images
    norms = np.linalg.norm(found, axis=2) * np.linalg.norm(expected, axis=2)
    angles = np.arccos((found * expected).sum(axis=2) / norms)
    np.testing.assert_allclose(sam(*both(to_device, images)), np.degrees(angles).mean(), rtol=1e-12)


def test_sam_does_not_see_brightness_and_resolves_small_angles(to_device):
    spectra = np.ones((3, 3, 2))
    turned = spectra + np.array([0, 1e-9])
    assert sam(to_device(spectra * 7), to_device(spectra)) < 1e-13
    np.testing.assert_allclose(sam(to_device(turned), to_device(spectra)), np.degrees(0.5e-9), rtol=1e-6)


def test_sam_of_black_pixels(to_device):
    light, black = np.ones((1, 1, 4)), np.zeros((1, 1, 4))
    assert sam(to_device(light), to_device(black)) == pytest.approx(90)
    assert sam(to_device(black), to_device(black)) == 0


def test_ergas_is_relative_to_each_bands_mean(to_device, images):
    found, expected = images
    relative = ((found - expected) ** 2).mean((0, 1)) / expected.mean((0, 1)) ** 2
    value = ergas(*both(to_device, images), ratio=4)
    np.testing.assert_allclose(value, 25 * np.sqrt(relative.mean()))
    scale = np.arange(1.0, 7.0)
    scaled = ergas(to_device(found * scale), to_device(expected * scale), ratio=4)
    np.testing.assert_allclose(scaled, value)


def test_cross_correlation_is_that_of_numpy_and_does_not_see_gain_and_offset(to_device, images):
    found, expected = images
    each = [np.corrcoef(found[..., b].ravel(), expected[..., b].ravel())[0, 1] for b in range(6)]
    value = cross_correlation(*both(to_device, images))
    np.testing.assert_allclose(value, np.mean(each))
    changed = cross_correlation(to_device(3 * found + 100), to_device(expected))
    np.testing.assert_allclose(changed, value)


def test_cross_correlation_of_constant_bands(to_device):
    flat, other = np.ones((4, 4, 2)), np.ones((4, 4, 2))
    other[0, 0, 0] = 5
    assert cross_correlation(to_device(flat), to_device(flat)) == 1
    assert cross_correlation(to_device(flat), to_device(other)) == 0.5


def test_uiqi_is_its_definition_in_each_window(to_device, images):
    found, expected = images
    values = []
    for band in range(6):
        for i in range(20 - 8 + 1):
            for j in range(24 - 8 + 1):
                x, y = (each[i : i + 8, j : j + 8, band] for each in (found, expected))
                covariance = ((x - x.mean()) * (y - y.mean())).mean()
                mean = x.mean() * y.mean() / (x.mean() ** 2 + y.mean() ** 2)
                values.append(4 * covariance / (x.var() + y.var()) * mean)
    np.testing.assert_allclose(uiqi(*both(to_device, images)), np.mean(values), rtol=1e-10)


def test_uiqi_of_flat_windows_compares_their_means(to_device):
    flat = np.full((8, 8, 1), 2.0)
    assert uiqi(to_device(flat), to_device(flat)) == 1
    np.testing.assert_allclose(uiqi(to_device(2 * flat), to_device(flat)), 0.8)


@pytest.mark.parametrize("metric", [rmse, sam, cross_correlation, uiqi, lambda a, b: ergas(a, b, 4)])
def test_single_precision_is_summed_in_double(to_device, images, metric):
    single = [each.astype(np.float32) for each in images]
    double = [each.astype(np.float64) for each in single]
    assert metric(*both(to_device, single)) == metric(*both(to_device, double))
    assert isinstance(metric(*both(to_device, single)), float)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("metric", [rmse, sam, cross_correlation, uiqi, lambda a, b: ergas(a, b, 4)])
def test_values_that_are_not_finite_are_refused(to_device, images, metric, value):
    check_refusal_of(value, metric, *both(to_device, images))


@pytest.mark.host_only
@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("metric", [psnr, ssim])
def test_values_that_are_not_finite_are_refused_by_scikit_images_metrics(images, metric, value):
    pytest.importorskip("skimage")
    check_refusal_of(value, metric, *images)


def check_refusal_of(value, metric, found, expected):
    wrong = found.copy()
    wrong[1, 2, 3] = value
    accepted = rf"is {value} at \(1, 2, 3\); accepted are finite values"
    with pytest.raises(ValueError, match=f"^estimate {accepted}"):
        metric(wrong, expected)
    with pytest.raises(ValueError, match=f"^reference {accepted}"):
        metric(found, wrong)


@pytest.mark.host_only
@pytest.mark.filterwarnings("error")
def test_psnr_and_ssim_of_what_has_no_signal():
    pytest.importorskip("skimage")
    black, light = np.zeros((8, 8, 2)), np.ones((8, 8, 2))
    for image in (black, light, -light):
        assert psnr(image, image) == np.inf
        assert ssim(image, image) == 1
    accepted = "accepted is one above 0, or a peak that says it"
    with pytest.raises(ValueError, match=f"reference, band 0, has the largest value 0; {accepted}"):
        psnr(light, black)
    with pytest.raises(ValueError, match=f"reference has the largest value 0; {accepted}"):
        ssim(light, black)
    assert psnr(light, black, peak=1) == 0
    assert 0 < ssim(light, black, peak=1) < 1
    for metric in (psnr, ssim):
        for peak in (0, -1.0, np.nan):
            with pytest.raises(ValueError, match=f"peak is {peak}; accepted are finite numbers above 0"):
                metric(light, light, peak=peak)


@pytest.mark.host_only
def test_psnr_and_ssim_are_those_of_scikit_image(images):
    metrics = pytest.importorskip("skimage.metrics")
    found, expected = images
    each = [
        metrics.peak_signal_noise_ratio(expected[..., b], found[..., b], data_range=expected[..., b].max())
        for b in range(6)
    ]
    np.testing.assert_allclose(psnr(found, expected), np.mean(each))
    similarity = metrics.structural_similarity(expected, found, data_range=expected.max(), channel_axis=-1)
    np.testing.assert_allclose(ssim(found, expected), similarity)
    assert psnr(expected, expected) == np.inf


def test_psnr_on_a_gpu_is_refused(xp, to_device, images):
    if xp is np:
        pytest.skip("these are on the CPU")
    with pytest.raises(TypeError, match="psnr and ssim accept NumPy arrays"):
        psnr(*both(to_device, images))


def test_what_does_not_agree_is_named(to_device):
    cube = to_device(np.ones((4, 5, 2)))
    with pytest.raises(ValueError, match=r"estimate has shape \(4, 5, 2\) and reference \(4, 5, 3\)"):
        rmse(cube, to_device(np.ones((4, 5, 3))))
    with pytest.raises(ValueError, match=r"estimate has shape \(4, 5\); accepted is \(rows, cols, bands\)"):
        sam(to_device(np.ones((4, 5))), to_device(np.ones((4, 5))))
    with pytest.raises(ValueError, match="ratio is 0; accepted are finite numbers above 0"):
        ergas(cube, cube, 0)
    with pytest.raises(ValueError, match="reference has a band of mean 0"):
        ergas(cube, 0 * cube, 4)
    with pytest.raises(ValueError, match="window is 8; accepted for 4 × 5 pixels are 1 to 4"):
        uiqi(cube, cube)
    with pytest.raises(TypeError, match="estimate has dtype complex128"):
        rmse(1j * cube, cube)
