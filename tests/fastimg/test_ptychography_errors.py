"""Errors of objects and positions: blind to what ptychography cannot know, and to nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from fastimg.ptychography import gaussian_probe, object_error, position_error, raster_positions


@pytest.fixture(scope="module")
def scene():
    """A smooth object of 256 × 256 pixels, periodic, phases of some radians."""
    rng = np.random.default_rng(7)
    amplitude, phase = (ndimage.gaussian_filter(rng.normal(size=(256, 256)), 1.5, mode="wrap") for _ in "ab")
    return (0.7 + 0.1 * amplitude / amplitude.std()) * np.exp(0.5j * phase / phase.std())


def distorted(scene, shape=(110, 120), shift=(0.0, 0.0), ramp=(0.0, 0.0), factor=1.0, noise=0.0):
    """The part of the scene from (40, 50) on, moved, with a ramp, a factor and relative noise."""
    rows, columns = (np.exp(-2j * np.pi * np.fft.fftfreq(256) * s) for s in shift)
    moved = np.fft.ifft2(np.fft.fft2(scene) * rows[:, None] * columns)[40 : 40 + shape[0], 50 : 50 + shape[1]]
    rng = np.random.default_rng(1)
    moved = moved + noise * rng.normal(size=(*shape, 2)) @ [1, 1j] * np.sqrt((abs(moved) ** 2).mean() / 2)
    row, column = np.mgrid[: shape[0], : shape[1]]
    return factor * moved * np.exp(1j * (ramp[0] * row + ramp[1] * column))


def part(scene, shape=(110, 120)):
    return scene[40 : 40 + shape[0], 50 : 50 + shape[1]]


def lit(shape=(110, 120), edge=12):
    """A dose that is 1 but near the edges."""
    dose = np.zeros(shape)
    dose[edge:-edge, edge:-edge] = 1
    return dose


CHANGES = {
    "nothing": {},
    "factor": {"factor": -2.5j},
    "fraction": {"shift": (0.4, -0.5)},
    "several pixels": {"shift": (-6.3, 5.8)},
    "ramp": {"ramp": (0.02, -0.01)},
    "ramp of cycles": {"ramp": (0.7, -1.9)},
    "all": {"shift": (7.4, -3.6), "ramp": (-1.1, 0.33), "factor": 3 + 1j},
}


@pytest.mark.host_only
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_cannot_be_known_is_no_error(scene, change):
    assert object_error(distorted(scene, **change), part(scene), dose=lit()) < 1e-3


@pytest.mark.host_only
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("noise", [0.02, 0.3, 1.0])
def test_noise_is_the_error(scene, change, noise):
    # a factor fitted to noise is smaller: the error is that of Wiener's filter
    expected = noise / np.sqrt(1 + noise**2)
    found = object_error(distorted(scene, **change, noise=noise), part(scene), dose=lit())
    assert found == pytest.approx(expected, rel=0.03)


@pytest.mark.host_only
def test_rubbish_outside_the_light_does_not_count(scene):
    found = distorted(scene, shift=(2.5, -1.25), ramp=(0.2, 0.1))
    dark = lit() == 0
    found[dark] = 100 * np.random.default_rng(0).normal(size=dark.sum())
    found[0, 0] = np.nan
    assert object_error(found, part(scene), dose=lit()) < 1e-3


@pytest.mark.host_only
def test_pure_phase_and_pure_amplitude_are_registered(scene):
    for truth in (np.exp(1j * np.angle(scene)), np.abs(scene) + 0j):
        # what is multiplied by a phase is not band-limited: interpolation costs some 1e-3
        found = distorted(truth, shift=(5.3, -2.2), ramp=(0.4, 0.6))
        assert object_error(found, part(truth), dose=lit()) < 1e-2


@pytest.mark.host_only
def test_frames_of_different_shapes_and_origins_are_compared(scene):
    found = distorted(scene, shift=(1.3, 0.8), ramp=(0.3, 0))
    assert object_error(found, scene, origin=(38, 51), dose=lit()) < 1e-3
    # a truth that is smaller than the reconstruction counts where it is known; to its edges, mirrored
    small = scene[60:120, 70:150]
    assert object_error(found, small, origin=(-20, -20), dose=lit()) < 1e-2
    result = SimpleNamespace(object=found, origin=(40, 50), dose=lit())
    assert object_error(result, scene) < 1e-3


@pytest.mark.host_only
def test_the_ring_and_the_core_are_measured_apart(scene):
    dose = np.full((110, 120), 0.01)
    dose[30:-30, 30:-30] = 1
    found = distorted(scene, shift=(1.2, 0.3))
    ring = dose < 0.5
    found[ring] += 0.2 * found[ring] * np.random.default_rng(0).choice([-1, 1], ring.sum())
    assert object_error(found, part(scene), dose=dose) < 1e-3
    assert object_error(found, part(scene), dose=dose, dose_range=(1e-3, 0.1)) == pytest.approx(0.2, rel=0.05)


@pytest.mark.host_only
def test_positions_and_probe_give_the_dose(scene):
    found = distorted(scene)
    dose = np.zeros(found.shape)
    probe, positions = gaussian_probe(32, 12), raster_positions((8, 8), 9)
    for row, column in positions.astype(int):
        dose[row : row + 32, column : column + 32] += np.abs(probe) ** 2
    found = np.where(dose > 0.25 * dose.max(), found, 0)
    by_dose = object_error(found, part(scene), dose=dose)
    by_places = object_error(found, part(scene), positions=positions, probe=probe)
    assert by_places == pytest.approx(by_dose, abs=1e-12)
    shifted = object_error(
        found, scene, positions=positions + np.array([40, 50]), probe=probe, origin=(40, 50)
    )
    assert shifted == pytest.approx(by_dose, abs=1e-4)


def test_arrays_on_a_gpu_are_measured_too(scene, to_device):
    found, truth = distorted(scene, shift=(0.5, 0.25), noise=0.1), part(scene)
    expected = object_error(found, truth, dose=lit())
    assert object_error(to_device(found), to_device(truth), dose=to_device(lit())) == expected
    places = raster_positions((3, 3), 5)
    assert position_error(to_device(places + np.array([1, 2])), to_device(places)) == pytest.approx(
        0, abs=1e-12
    )


@pytest.mark.host_only
def test_positions_are_compared_but_for_their_mean():
    rng = np.random.default_rng(0)
    truth = raster_positions((30, 30), 7)
    found = truth + rng.normal(scale=0.3, size=truth.shape)
    assert position_error(found, truth) == pytest.approx(0.3 * np.sqrt(2), rel=0.05)
    assert position_error(found + np.array([5, -9]), truth) == pytest.approx(position_error(found, truth))
    turn = np.array([[1.01, 0.02], [-0.015, 0.99]])
    assert position_error(truth @ turn, truth) > 1
    assert position_error(truth @ turn + 3, truth, affine=True) < 1e-12
    assert position_error(found @ turn, truth, affine=True) == pytest.approx(0.3 * np.sqrt(2), rel=0.06)


@pytest.mark.host_only
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o: object_error(o[0], o), r"reconstruction has shape \(20,\)"),
        (lambda o: object_error(o, o[:1]), r"truth has shape \(1, 20\)"),
        (lambda o: object_error(o, o * np.nan), "truth contains NaN"),
        (lambda o: object_error(o, o, dose=np.ones((3, 3))), r"dose has shape \(3, 3\)"),
        (lambda o: object_error(o, o, dose=np.zeros((20, 20))), "dose has negative, NaN or infinite values"),
        (lambda o: object_error(o, o, positions=[[0, 0]]), "give a dose together only"),
        (lambda o: object_error(o, o, positions=[[9, 0]], probe=np.ones((12, 12))), r"a box at \(9, 0\)"),
        (lambda o: object_error(o, o, dose_range=(1, 0)), "dose_range is"),
        (lambda o: object_error(o, o, dose_range=(5, 6)), "no pixel of the truth has such a dose"),
        (lambda o: object_error(o, o, origin=(100, 0)), "no pixel of the truth is well lit"),
        (lambda o: object_error(o, o, origin=3), "origin is 3"),
        (
            lambda o: position_error([[1, 2]], [[1, 2], [3, 4]]),
            r"positions has shape \(1, 2\) and truth \(2, 2\)",
        ),
    ],
)
def test_what_is_wrong_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((20, 20), complex))
