"""The virtual experiment against plain sums, against optics, and its counting statistics."""

import warnings

import numpy as np
import pytest
from scipy import ndimage

from fastimg.ptychography import gaussian_probe, probe_modes, raster_positions, simulate
from fastimg.ptychography._propagators import angular_spectrum

NEAR = {"propagator": "near-field", "wavelength": 1e-10, "detector_pixel": 1e-6}


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def smooth(rng, shape, width=1.5):
    noise = ndimage.gaussian_filter(rng.normal(size=shape), width, mode="wrap")
    return noise / noise.std()


def some_object(rng, shape=(48, 52)):
    return (0.8 + 0.05 * smooth(rng, shape)) * np.exp(0.5j * smooth(rng, shape))


def moved_probe(probe, fraction):
    """Move an illumination by its Fourier series."""
    rows, columns = (np.exp(-2j * np.pi * np.fft.fftfreq(len(probe)) * part) for part in fraction)
    return np.fft.ifft2(np.fft.fft2(probe) * rows[:, None] * columns)


def by_hand(image, modes, positions, transfer=None):
    size = modes.shape[-1]
    frames = np.zeros((len(positions), size, size))
    for frame, place in zip(frames, positions, strict=True):
        row, column = np.rint(place).astype(int)
        for mode in modes:
            wave = moved_probe(mode, place - (row, column)) * image[row : row + size, column : column + size]
            wave = np.fft.fft2(wave, norm="ortho")
            frame += np.abs(wave if transfer is None else np.fft.ifft2(wave * transfer, norm="ortho")) ** 2
    return frames


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize(("size", "modes"), [(16, 1), (16, 3), (15, 2)])
def test_intensities_are_equation_4(rng, to_device, to_host, xp, size, modes, dtype):
    image = some_object(rng).astype(dtype)
    probe = probe_modes(gaussian_probe(size, 5, curvature=1, dtype=dtype), modes)
    positions = raster_positions((4, 4), 7, jitter=1.5, rng=rng)
    positions[0] = -0.4, 0.5
    scan = simulate(to_device(image), to_device(probe), to_device(positions))
    assert type(scan.intensities) is xp.ndarray
    assert scan.intensities.dtype == image.real.dtype
    expected = by_hand(image, probe, positions)
    tolerance = 2e-6 if dtype == "complex64" else 1e-13
    np.testing.assert_allclose(to_host(scan.intensities), expected, rtol=0, atol=tolerance * expected.max())
    np.testing.assert_array_equal(to_host(scan.positions), positions)
    np.testing.assert_array_equal(to_host(scan.probe), probe)


@pytest.mark.parametrize("focus_distance", [None, 0.02])
def test_the_near_field_is_an_angular_spectrum(rng, to_device, to_host, focus_distance):
    image, probe = some_object(rng), gaussian_probe(24, 9, dtype="c16")
    positions = raster_positions((2, 3), 9, jitter=1, rng=rng)
    scan = simulate(
        *map(to_device, (image, probe, positions)), distance=0.03, focus_distance=focus_distance, **NEAR
    )
    scale = 1 if focus_distance is None else 0.05 / 0.02
    squared = np.fft.fftfreq(24, 1e-6 / scale) ** 2
    transfer = np.exp(2j * np.pi * (0.03 / scale) * np.sqrt(1e20 - squared[:, None] - squared))
    expected = by_hand(image, probe[None], positions, transfer)
    # the test's phase of 2e9 radians is right to 1e-6
    np.testing.assert_allclose(to_host(scan.intensities), expected, rtol=0, atol=1e-5 * expected.max())
    assert scan.propagator == "near-field"
    assert scan.object_pixel == pytest.approx(1e-6 / scale)


def test_a_divergent_beam_sees_the_scaled_frame_of_a_parallel_one(rng, to_device, to_host):
    arrays = some_object(rng), gaussian_probe(24, 9), raster_positions((2, 2), 9)
    arrays = [to_device(array) for array in arrays]
    divergent = simulate(*arrays, distance=0.4, focus_distance=0.1, **{**NEAR, "detector_pixel": 5e-6})
    parallel = simulate(*arrays, distance=0.08, **NEAR)
    np.testing.assert_allclose(to_host(divergent.intensities), to_host(parallel.intensities), rtol=1e-5)


@pytest.mark.host_only
def test_a_gaussian_beam_spreads_in_the_near_field_as_optics_has_it():
    pixel, waist, wavelength = 1e-6, 10e-6, 1e-10
    fwhm = np.sqrt(2 * np.log(2)) * waist / pixel
    rayleigh = np.pi * waist**2 / wavelength
    for distance in (0.2 * rayleigh, 0.5 * rayleigh):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the beam has none of the steepest waves
            scan = simulate(
                np.ones((128, 128)),
                gaussian_probe(128, fwhm, dtype="c16"),
                [[0, 0]],
                distance=distance,
                **NEAR,
            )
        wider = fwhm * np.sqrt(1 + (distance / rayleigh) ** 2)
        expected = np.abs(gaussian_probe(128, wider, dtype="c16")) ** 2
        np.testing.assert_allclose(scan.intensities[0], expected, atol=1e-6 * expected.max())


@pytest.mark.host_only
def test_evanescent_waves_decay():
    # pixels of a tenth of a wavelength: only the lowest of these frequencies travel, some along the detector
    with pytest.warns(UserWarning, match="near field undersampled"):
        transfer = angular_spectrum(np, 64, "c16", 1e-6, 1e-6, 1e-7)
    frequency = np.fft.fftfreq(64, 1e-7)
    travels = np.hypot(*np.meshgrid(frequency, frequency)) < 1e6
    np.testing.assert_allclose(np.abs(transfer[travels]), 1)
    assert np.abs(transfer[~travels]).max() < 1
    assert np.abs(transfer[32, 32]) < 1e-15


@pytest.mark.host_only
def test_an_undersampled_near_field_warns_and_says_what_would_do():
    arguments = np.ones((32, 32)), gaussian_probe(32, 9), [[0, 0]]
    # half the frame, 16 µm, is reached at z λ / (2 pixel) = 16 µm
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate(*arguments, distance=0.3199, **NEAR)
    with pytest.warns(UserWarning, match="34 pixels a side would do") as records:
        simulate(*arguments, distance=0.33, **NEAR)
    assert records[0].filename == __file__


def test_photons_set_the_counts_and_the_power_of_the_probe(rng, to_device, to_host):
    image, probe = some_object(rng).astype("c8"), gaussian_probe(16, 5, photons=7.0)
    positions = raster_positions((5, 5), 7, jitter=1, rng=rng)
    arrays = [to_device(array) for array in (image, probe, positions)]
    scan = simulate(*arrays, photons=1e5, rng=0)
    counts = to_host(scan.intensities)
    np.testing.assert_array_equal(counts, np.rint(counts))
    assert counts.sum() / 25 == pytest.approx(1e5, rel=5 / np.sqrt(25e5))
    # without noise, the returned probe gives these counts
    again = simulate(arrays[0], scan.probe, arrays[2])
    assert to_host(again.intensities).sum() / 25 == pytest.approx(1e5, rel=1e-5)


def test_counts_are_poissonian_about_the_rates(rng, to_device, to_host):
    image, probe = some_object(rng), gaussian_probe(16, 5, dtype="c16")
    positions = raster_positions((6, 6), 5, jitter=1, rng=rng)
    arrays = [to_device(array) for array in (image, probe, positions)]
    counts = to_host(simulate(*arrays, photons=1e4, background=2.5, rng=1).intensities)
    rates = to_host(simulate(*arrays, background=0).intensities)
    rates = rates * (1e4 / rates.sum(axis=(1, 2)).mean()) + 2.5
    pearson = ((counts - rates) ** 2 / rates).sum()
    assert abs(pearson / rates.size - 1) < 5 * np.sqrt(2 / rates.size)
    # in the dark nearly all counts are background
    dark = counts[rates < 2.6]
    assert np.mean(dark == 0) == pytest.approx(np.exp(-2.52), abs=4 * np.sqrt(0.08 / dark.size))


def test_the_same_seed_gives_the_same_counts_wherever_the_arrays_live(rng, to_device, to_host):
    arrays = (
        some_object(rng),
        gaussian_probe(16, 5, dtype="c16"),
        raster_positions((3, 3), 5, jitter=1, rng=rng),
    )
    here = simulate(*arrays, photons=1e4, rng=np.random.default_rng(3)).intensities
    there = to_host(simulate(*map(to_device, arrays), photons=1e4, rng=3).intensities)
    np.testing.assert_array_equal(here, there)
    assert (here != simulate(*arrays, photons=1e4, rng=4).intensities).any()


def test_a_scan_longer_than_the_workspace_is_simulated_part_by_part(
    rng, to_device, to_host, kernels, monkeypatch
):
    image, probe = some_object(rng), gaussian_probe(16, 5, dtype="c16")
    positions = raster_positions((4, 4), 7, jitter=1, rng=rng)
    arrays = [to_device(array) for array in (image, probe, positions)]
    whole = to_host(simulate(*arrays).intensities)
    monkeypatch.setattr(kernels, "WORKSPACE_BYTES", 3 * 2 * probe.nbytes)
    np.testing.assert_allclose(to_host(simulate(*arrays).intensities), whole, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"obj": np.ones(5)}, r"obj has shape \(5,\)"),
        ({"probe": np.ones((8, 9))}, r"probe has shape \(1, 8, 9\)"),
        ({"positions": np.ones((0, 2))}, r"positions has shape \(0, 2\)"),
        ({"positions": np.ones(2)}, r"positions has shape \(2,\)"),
        ({"obj": np.full((20, 20), np.nan)}, "obj contains NaN"),
        ({"probe": np.full((8, 8), np.inf)}, "probe contains NaN or infinity"),
        ({"positions": np.array([[0, np.nan]])}, "positions contains NaN"),
        (
            {"positions": np.array([[0.0, -0.6]])},
            r"positions reach from \(0, -0.6\).* are \(0, 0\) to \(12, 12\)",
        ),
        ({"positions": np.array([[12.6, 0.0]])}, r"to \(12.6, 0\); accepted for boxes of 8 × 8"),
        ({"photons": 0}, "photons is 0"),
        ({"photons": 1e20}, "photons is 1e\\+20"),
        ({"background": -1}, "background is -1"),
        ({"background": np.nan}, "background is nan"),
        ({"obj": np.zeros((20, 20)), "photons": 10}, "give frames of 0 counts on average"),
        ({"propagator": "near-field"}, "wavelength is None"),
        ({"propagator": "fft"}, "propagator is 'fft'"),
    ],
)
def test_what_is_wrong_is_named(to_device, given, message):
    arrays = {"obj": np.ones((20, 20)), "probe": np.ones((8, 8)), "positions": np.zeros((1, 2))}
    options = {k: to_device(v) if isinstance(v, np.ndarray) else v for k, v in (arrays | given).items()}
    with pytest.raises(ValueError, match=message):
        simulate(**options)
