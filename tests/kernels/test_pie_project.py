"""The projection of a mini-batch against its plain NumPy twin, and by invariants."""

import numpy as np
import pytest

from tests.kernels.conftest import Changed
from tests.kernels.pie_scenes import (
    OUTPUTS,
    assert_close,
    expected,
    normal,
    parametrize_precision,
    project_arguments,
    scene,
)
from tests.reference import fft
from tests.reference import pie as reference

FAMILY = "pie"


@pytest.fixture
def project(call, kernels, to_device):
    """Project the batch of a scene; return the outputs by name."""

    def project(s, **changes):
        probe, near = to_device(s.probe), len(s.transfer) > 0
        work = kernels.pie.workspace(probe, len(s.corner), len(s.fraction) > 0, near)
        return dict(zip(OUTPUTS, call("project", *project_arguments(s, work, **changes)), strict=True))

    return project


PROJECTIONS = [
    # size, modes, mask, subpixel, near, update, model
    (16, 1, "everywhere", False, False, True, False),
    (16, 1, "own", False, False, True, True),
    (16, 2, "shared", True, False, True, False),
    (16, 3, "own", True, False, False, True),
    (16, 2, "own", False, True, True, True),
    (32, 1, "own", True, False, True, True),
    (32, 2, "own", False, False, False, False),
    (32, 2, "everywhere", True, True, True, False),
    (32, 3, "shared", False, False, True, True),
    (48, 1, "shared", True, False, False, False),
    (48, 2, "everywhere", True, False, True, True),
    (7, 1, "shared", False, False, True, True),
    (7, 2, "own", True, True, True, False),
    (9, 3, "own", True, False, True, True),
    (20, 1, "everywhere", True, False, True, False),
    (20, 2, "own", False, False, False, True),
]


@parametrize_precision
@pytest.mark.parametrize(("size", "modes", "mask", "subpixel", "near", "update", "model"), PROJECTIONS)
def test_project(project, rng, precision, size, modes, mask, subpixel, near, update, model):
    s = scene(rng, size, precision, modes=modes, mask=mask, subpixel=subpixel, near=near)
    results = project(s, update=update, model=model)
    desired = expected("project", *project_arguments(s, None, update=update, model=model))
    for name, result in zip(OUTPUTS, desired, strict=True):
        # where an intensity happens to be small, its phase is that of rounding errors
        assert_close(results[name], result, precision, 1000)
        norm = np.linalg.norm(result)
        assert np.linalg.norm(results[name] - result) <= 20 * np.finfo(precision).eps * norm, name


@parametrize_precision
@pytest.mark.parametrize(("modes", "subpixel"), [(1, False), (1, True), (2, False)])
def test_dark_frames_and_dark_pixels_are_no_exception(project, rng, precision, modes, subpixel):
    """No light in the model or in the measurement, and neither."""
    s = scene(rng, 16, precision, modes=modes, mask="own", subpixel=subpixel)
    s.object[2:18, 3:19] = 0
    s.intensity[s.selection[1]] = 0
    results = project(s)
    for name, result in zip(OUTPUTS, expected("project", *project_arguments(s, None)), strict=True):
        assert np.isfinite(results[name]).all()
        assert_close(results[name], result, precision, 1000)


@parametrize_precision
@pytest.mark.parametrize("scale", [2.0**-13, 2.0**13])
def test_the_unit_of_the_counts_does_not_matter(project, rng, precision, scale):
    s = scene(rng, 16, precision, modes=1, mask="own")
    first = project(s)
    s.intensity *= scale**2
    s.probe *= scale
    second = project(s)
    assert_close(second["numerator"] / scale**2, first["numerator"], precision, 1000)
    np.testing.assert_allclose(second["error"] / scale**2, first["error"], rtol=1e3 * np.finfo(precision).eps)


@pytest.mark.parametrize("size", [16, 7])
@pytest.mark.parametrize("subpixel", [False, True])
def test_a_smaller_batch_uses_the_memory_of_a_larger_one(call, kernels, to_device, rng, size, subpixel):
    s = scene(rng, size, "float64", subpixel=subpixel, batch=6)
    work = kernels.pie.workspace(to_device(s.probe), 6, subpixel, False)
    call("project", *project_arguments(s, work))
    s.corner, s.fraction, s.selection = s.corner[:2], s.fraction[:2], s.selection[:2]
    arguments = project_arguments(s, work)
    for actual, desired in zip(call("project", *arguments), expected("project", *arguments), strict=True):
        assert_close(actual, desired, "float64", 1000)


@pytest.mark.parametrize("size", [16, 7])
def test_one_mode_with_unit_beta_and_gamma_is_epie(call, project, rng, size):
    """The sequential rules of Maiden and Rodenburg, Ultramicroscopy 109, 1256 (2009)."""
    s = scene(rng, size, "float64", modes=1, mask="everywhere", batch=1)
    probe, box = s.probe[0], s.object[:size, :size].copy()
    wave = np.fft.fft2(probe * box, norm="ortho")
    wave *= np.sqrt(s.intensity[s.selection[0]]) / np.abs(wave)
    change = np.fft.ifft2(wave, norm="ortho") - probe * box
    outputs = project(s, beta=1.0)
    illumination = outputs["numerator"], outputs["power"], outputs["power_peak"]
    (object,) = call("object_update", Changed(s.object), s.corner, *illumination, 0.7, 1.0, False)
    rule = outputs["probe_numerator"], outputs["probe_weight"], 0.8
    (new_probe,) = call("probe_update", Changed(s.probe), *rule)
    by_object = box + 0.7 * change * probe.conj() / np.max(np.abs(probe) ** 2)
    by_probe = probe + 0.8 * change * box.conj() / np.max(np.abs(box) ** 2)
    np.testing.assert_allclose(object[:size, :size], by_object, atol=1e-12)
    np.testing.assert_allclose(new_probe[0], by_probe, atol=1e-12)


@pytest.mark.parametrize("size", [32, 20])
@pytest.mark.parametrize("subpixel", [False, True])
def test_single_precision_loses_few_digits_in_a_step(call, project, rng, size, subpixel):
    """Object within 1e-6, probe within 5e-6, relative to their norms."""
    s = scene(rng, size, "float32", subpixel=subpixel, batch=6)
    results, wide = project(s), expected("project", *project_arguments(s, None))
    exact = dict(zip(OUTPUTS, wide, strict=True))
    names = "numerator", "power", "power_peak"
    (object,) = call("object_update", Changed(s.object), s.corner, *map(results.get, names), 0.7, 0.3, False)
    arguments = Changed(s.object), s.corner, *map(exact.get, names), 0.7, 0.3, False
    (object_exact,) = expected("object_update", *arguments)
    assert np.linalg.norm(object - object_exact) < 1e-6 * np.linalg.norm(object_exact)
    names = "probe_numerator", "probe_weight"
    (probe,) = call("probe_update", Changed(s.probe), *map(results.get, names), 0.7)
    (probe_exact,) = expected("probe_update", Changed(s.probe), *map(exact.get, names), 0.7)
    assert np.linalg.norm(probe - probe_exact) < 5e-6 * np.linalg.norm(probe_exact)


@parametrize_precision
@pytest.mark.parametrize(("size", "subpixel"), [(16, False), (16, True), (7, False), (7, True)])
def test_the_same_call_gives_the_same_bits(call, project, rng, precision, size, subpixel):
    s = scene(rng, size, precision, subpixel=subpixel, batch=6)
    first, second = project(s), project(s)
    for name in OUTPUTS:
        assert first[name].tobytes() == second[name].tobytes(), name
    illumination = first["numerator"], first["power"], first["power_peak"]
    arguments = Changed(s.object), s.corner, *illumination, 0.75, 0.3, False
    objects = [call("object_update", *arguments)[0] for _ in range(2)]
    assert objects[0].tobytes() == objects[1].tobytes()


@pytest.mark.parametrize("subpixel", [False, True])
def test_what_a_position_gives_does_not_depend_on_its_neighbours(project, rng, subpixel):
    s = scene(rng, 16, "float32", subpixel=subpixel, batch=6)
    straight = project(s)
    s.corner, s.fraction, s.selection = (
        s.corner[::-1].copy(),
        s.fraction[::-1].copy(),
        s.selection[::-1].copy(),
    )
    back = project(s)
    for name in ("numerator", "model", "error"):
        assert straight[name].tobytes() == back[name][::-1].copy().tobytes(), name


@pytest.mark.host_only
@pytest.mark.parametrize(
    ("size", "subpixel", "precision"),
    [(64, False, "float32"), (64, True, "float32"), (64, True, "float64"), (70, True, "float32")],
)
def test_two_threads_give_what_one_gives(call, project, rng, precision, size, subpixel):
    """The object to the bit, sums over the batch to rounding."""
    import fastimg

    s = scene(rng, size, precision, modes=3, subpixel=subpixel, batch=6)
    before, results = fastimg.get_num_threads(), []
    try:
        for threads in (1, 2):
            try:
                fastimg.set_num_threads(threads)
            except ValueError:
                pytest.skip("one thread only")
            results.append(project(s))
            illumination = [results[-1][name] for name in ("numerator", "power", "power_peak")]
            arguments = Changed(s.object), s.corner, *illumination, 0.75, 0.3, False
            results[-1]["object"] = call("object_update", *arguments)[0]
    finally:
        fastimg.set_num_threads(before)
    for name in ("numerator", "power", "model", "error", "object"):
        assert results[0][name].tobytes() == results[1][name].tobytes(), name
    assert_close(results[0]["probe_numerator"], results[1]["probe_numerator"], precision, 200)
    assert_close(results[0]["probe_weight"], results[1]["probe_weight"], precision)


def test_the_reference_shifts_the_probe_as_the_fourier_shift_does(rng):
    spectrum = np.empty((1, 1, 9, 9), complex)
    probe = normal(rng, (1, 9, 9), complex)
    reference.shift_modes(fft.fft2(probe), np.array([[2.0, -1.0]]), spectrum)
    np.testing.assert_allclose(fft.ifft2(spectrum)[0], np.roll(probe, (2, -1), (1, 2)), atol=1e-14)
