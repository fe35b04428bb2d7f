"""Illuminations: the physics of a Gaussian beam and of a zone plate, orthogonality and power of modes."""

import numpy as np
import pytest
from scipy.special import j1

from fastimg.ptychography import gaussian_probe, probe_modes, zone_plate_probe
from fastimg.ptychography._propagators import angular_spectrum

ZONE_PLATE = {"wavelength": 1.24e-9, "diameter": 240e-6, "outermost_zone": 50e-9}
FOCAL_LENGTH = 240e-6 * 50e-9 / 1.24e-9


def intensity(probe):
    return np.abs(probe) ** 2


@pytest.mark.host_only
@pytest.mark.parametrize("size", [64, 65])
def test_a_gaussian_beam_has_its_width_centre_and_power(size):
    probe = gaussian_probe(size, 16, photons=1e4, dtype="complex128")
    middle = size // 2
    assert intensity(probe).sum() == pytest.approx(1e4)
    assert np.unravel_index(intensity(probe).argmax(), probe.shape) == (middle, middle)
    half = intensity(probe)[middle, middle] / 2
    np.testing.assert_allclose(intensity(probe)[[middle - 8, middle], [middle, middle + 8]], half)


@pytest.mark.host_only
def test_a_curved_gaussian_beam_is_one_behind_its_waist():
    wavelength, pixel, waist, way = 1e-9, 20e-9, 200e-9, 1e-4
    rayleigh = np.pi * waist**2 / wavelength
    fwhm = np.sqrt(2 * np.log(2)) * waist / pixel  # of the intensity, where waist is the 1/e² radius
    flat = gaussian_probe(256, fwhm, dtype="complex128")
    behind = np.fft.ifft2(np.fft.fft2(flat) * angular_spectrum(np, 256, "complex128", wavelength, way, pixel))
    wider = fwhm * np.sqrt(1 + (way / rayleigh) ** 2)
    radius = way * (1 + (rayleigh / way) ** 2)
    curvature = np.pi / wavelength * (wider / 2 * pixel) ** 2 / radius
    expected = gaussian_probe(256, wider, curvature=curvature, dtype="complex128")
    assert abs(np.vdot(expected, behind)) == pytest.approx(1, abs=1e-4)


@pytest.mark.host_only
def test_the_focus_of_a_zone_plate_is_the_airy_pattern():
    probe = zone_plate_probe(512, 5e-9, **ZONE_PLATE, dtype="complex128")
    radius = (np.arange(256, 512) - 256) * 5e-9
    v = np.pi * 240e-6 / (1.24e-9 * FOCAL_LENGTH) * np.maximum(radius, 1e-12)
    airy = (2 * j1(v) / v) ** 2
    profile = intensity(probe)[256, 256:] / intensity(probe)[256, 256]
    # a pupil cut on a grid of Fourier pixels: some per mille of the maximum
    np.testing.assert_allclose(profile[:60], airy[:60], atol=4e-3)


@pytest.mark.host_only
@pytest.mark.parametrize("defocus", [-150e-6, 150e-6])
def test_out_of_focus_a_zone_plate_throws_a_ring(defocus):
    pixel = 20e-9
    probe = zone_plate_probe(256, pixel, **ZONE_PLATE, central_stop=120e-6, defocus=defocus)
    row, column = np.mgrid[:256, :256] - 128
    radius = np.hypot(row, column) * pixel
    outer = 240e-6 / 2 * 150e-6 / FOCAL_LENGTH
    light = intensity(probe)
    inside = light[radius < outer].sum() / light.sum()
    hole = (
        light[radius < 0.4 * outer].mean() / light[(radius > 0.55 * outer) & (radius < 0.95 * outer)].mean()
    )
    assert inside > 0.93
    # the hole holds the spot of Arago and fringes
    assert hole < 0.15


@pytest.mark.host_only
def test_defocus_is_propagation_through_free_space():
    first, second = (zone_plate_probe(256, 20e-9, **ZONE_PLATE, defocus=z, dtype="c16") for z in (1e-5, 3e-5))
    transfer = angular_spectrum(np, 256, "c16", 1.24e-9, 2e-5, 20e-9)
    np.testing.assert_allclose(np.fft.ifft2(np.fft.fft2(first) * transfer), second, atol=1e-12)


@pytest.mark.host_only
def test_focal_length_and_outermost_zone_say_the_same():
    plain = {"wavelength": 1.24e-9, "diameter": 240e-6, "defocus": 2e-5}
    by_zone = zone_plate_probe(64, 40e-9, **plain, outermost_zone=50e-9)
    by_length = zone_plate_probe(64, 40e-9, **plain, focal_length=FOCAL_LENGTH)
    np.testing.assert_allclose(by_zone, by_length, atol=1e-7)


@pytest.mark.parametrize("rng", [None, 0])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_modes_are_orthogonal_and_share_the_power(to_device, to_host, xp, rng, dtype):
    probe = gaussian_probe(32, 8, curvature=1.5, photons=1e5, dtype=dtype)
    modes = probe_modes(to_device(probe), 6, rng)
    assert type(modes) is xp.ndarray
    assert modes.dtype == dtype
    flat = to_host(modes).reshape(6, -1).astype(complex)
    expected = np.diag(1e5 * 0.5 ** np.arange(6) / (2 - 0.5**5))
    np.testing.assert_allclose(flat.conj() @ flat.T, expected, atol=1e-2 if dtype == "complex64" else 1e-9)
    # the first one is the illumination itself
    assert abs(np.vdot(flat[0], probe)) == pytest.approx(np.sqrt(expected[0, 0] * 1e5), rel=1e-6)


@pytest.mark.host_only
def test_modes_of_a_gaussian_beam_are_hermite_gaussian():
    modes = probe_modes(gaussian_probe(64, 12, dtype="c16"), 6)
    place = np.arange(64) - 32
    width = 12 / (2 * np.sqrt(2 * np.log(2)))  # of the intensity
    amplitude = np.exp(-(place**2) / (4 * width**2))
    first, second = place / width * amplitude, ((place / width) ** 2 - 1) * amplitude
    order = [(amplitude, amplitude), (first, amplitude), (amplitude, first)]
    order += [(second, amplitude), (first, first), (amplitude, second)]
    for mode, (down, across) in zip(modes, order, strict=True):
        expected = np.outer(down, across)
        overlap = abs(np.vdot(expected, mode)) / np.linalg.norm(expected) / np.linalg.norm(mode)
        assert overlap == pytest.approx(1, abs=1e-9)


@pytest.mark.host_only
def test_random_modes_follow_their_seed():
    probe = gaussian_probe(32, 8)
    np.testing.assert_array_equal(probe_modes(probe, 3, 1), probe_modes(probe, 3, np.random.default_rng(1)))
    assert not np.allclose(probe_modes(probe, 3, 1), probe_modes(probe, 3, 2))


@pytest.mark.host_only
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_probe(0, 3), "size is 0"),
        (lambda: gaussian_probe(8, -3), "fwhm is -3"),
        (lambda: gaussian_probe(8, 3, photons=0), "photons is 0"),
        (lambda: gaussian_probe(8, 3, curvature=np.inf), "curvature is inf"),
        (
            lambda: zone_plate_probe(64, 60e-9, **ZONE_PLATE),
            "pixel is 6e-08 m; accepted is at most the outer",
        ),
        (
            lambda: zone_plate_probe(64, 20e-9, **ZONE_PLATE, defocus=1e-3),
            "defocus is 0.001 m, where the beam",
        ),
        (lambda: zone_plate_probe(64, 20e-9, **ZONE_PLATE, central_stop=1), "central_stop is 1"),
        (lambda: zone_plate_probe(64, 20e-9, **ZONE_PLATE, focal_length=1e-2), "accepted is one of them"),
        (lambda: probe_modes(np.ones((4, 5)), 2), r"probe has shape \(4, 5\)"),
        (lambda: probe_modes(np.ones((2, 4, 4)), 2), r"probe has shape \(2, 4, 4\)"),
        (lambda: probe_modes(np.ones((4, 4)), 0), "n is 0"),
        (lambda: probe_modes(np.zeros((4, 4)), 2), "probe is 0 everywhere"),
        (lambda: probe_modes(np.full((4, 4), np.nan), 2), "probe contains NaN"),
        (lambda: probe_modes(np.eye(1), 2), "covers too few pixels"),
        (lambda: probe_modes(np.ones((4, 4)), 2, power=(1,)), r"power is \(1,\)"),
    ],
)
def test_what_is_wrong_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.host_only
def test_real_dtypes_are_refused():
    with pytest.raises(TypeError, match="dtype is 'float32'"):
        gaussian_probe(8, 3, dtype="float32")
