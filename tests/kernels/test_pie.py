"""The ptychography kernels against their plain NumPy twins, and by invariants."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.reference import fft
from tests.reference import pie as reference

PRECISIONS = ("float32", "float64")
BATCH, FRAMES = 3, 5
MASKS = ("everywhere", "shared", "own")


class Changed:
    """An argument that a kernel changes in place."""

    def __init__(self, array):
        self.array = array


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def call(kernels, xp, to_device, to_host):
    """Call a kernel with inputs from the host and outputs as (shape, dtype); return these and the changed."""

    def call(name, *arguments):
        places, outputs = [], []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                places.append(to_device(argument))
            elif isinstance(argument, tuple):
                places.append(xp.empty(*argument))
                outputs.append(places[-1])
            elif isinstance(argument, Changed):
                places.append(to_device(argument.array.copy()))
                outputs.append(places[-1])
            else:
                places.append(argument)
        assert getattr(kernels.pie, name)(*places) is None
        return [to_host(output) for output in outputs]

    return call


@pytest.fixture
def project(call, kernels, to_device):
    """Project the batch of a scene; return the outputs by name."""

    def project(s, **changes):
        probe, near = to_device(s.probe), len(s.transfer) > 0
        work = kernels.pie.workspace(probe, len(s.corner), len(s.fraction) > 0, near)
        return dict(zip(OUTPUTS, call("project", *project_arguments(s, work, **changes)), strict=True))

    return project


OUTPUTS = ("numerator", "power", "power_peak", "probe_numerator", "probe_weight", "model", "error")


def project_arguments(s, work, beta=0.6, update=True, model=True):
    batch, own = len(s.corner), len(s.corner) if len(s.fraction) else 1
    frame = s.probe.shape[1:]
    return (
        s.object,
        s.probe,
        s.corner,
        s.fraction,
        s.intensity,
        s.selection,
        s.mask,
        s.transfer,
        beta,
        work,
        ((batch, *frame), s.complex),
        ((own, *frame), s.real),
        ((own,), s.real),
        ((len(s.probe) * update, *frame), s.complex),
        Changed(np.zeros(frame, s.real)),
        ((batch * model, *frame), s.real),
        ((batch,), np.float64),
    )


def expected(name, *arguments):
    """What the reference gives in double precision."""
    places, outputs = [], []
    for argument in arguments:
        if isinstance(argument, tuple):
            argument = np.zeros(argument[0], widened(np.dtype(argument[1])))
            outputs.append(argument)
        elif isinstance(argument, Changed):
            argument = argument.array.astype(widened(argument.array.dtype))
            outputs.append(argument)
        elif isinstance(argument, np.ndarray):
            argument = argument.astype(widened(argument.dtype))
        places.append(argument)
    getattr(reference, name)(*places)
    return outputs


def widened(dtype):
    return np.result_type(dtype, np.float64) if dtype.kind in "fc" else dtype


def assert_close(actual, desired, precision, factor=50):
    """Equal to a few roundings of the largest value."""
    tolerance = factor * np.finfo(precision).eps * max(np.abs(desired).max(initial=0), 1e-30)
    np.testing.assert_allclose(actual, desired, rtol=0, atol=tolerance)


def check(call, name, *arguments, precision, factor=50):
    results = call(name, *arguments)
    for actual, desired in zip(results, expected(name, *arguments), strict=True):
        assert_close(actual, desired, precision, factor)
    return results


def normal(rng, shape, dtype):
    values = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.normal(size=shape)
    return values.astype(dtype)


def scene(rng, size, precision, *, modes=2, mask="own", subpixel=False, near=False, batch=BATCH):
    """A batch whose boxes touch the border of the object, overlap, and coincide."""
    real, kind = np.dtype(precision), np.result_type(precision, np.complex64)
    shape = size + 5, size + 8
    corner = np.array([(0, 0), (5, 8), (2, 3), (2, 3), (0, 8), (5, 0)])[:batch]
    intensity = rng.uniform(0, 8 * modes, (FRAMES, size, size)).astype(real)
    intensity[rng.random(intensity.shape) < 0.05] = 0
    known = rng.random(({"everywhere": 0, "shared": 1, "own": FRAMES}[mask], size, size)) < 0.9
    if len(known):
        intensity[~np.broadcast_to(known, intensity.shape)] = np.nan
    row, column = np.ogrid[:size, :size]
    transfer = np.exp(0.3j * (row - column) ** 2)[None] if near else np.empty((0, size, size))
    fraction = rng.uniform(-0.5, 0.5, (batch, 2))
    fraction[0] = 0
    return SimpleNamespace(
        real=real,
        complex=kind,
        precision=precision,
        object=normal(rng, shape, kind),
        probe=normal(rng, (modes, size, size), kind),
        corner=corner.astype(np.int64),
        fraction=fraction if subpixel else np.empty((0, 2)),
        intensity=intensity,
        selection=np.array([4, 0, 2, 1, 3, 2])[:batch].astype(np.int64),
        mask=known.astype(np.uint8) * 3,
        transfer=transfer.astype(kind),
    )


def batch_of(s, own, rng):
    """Waves, probe of a batch and power, shared or each position's own."""
    batch, (modes, *frame) = len(s.corner), s.probe.shape
    waves = normal(rng, (batch, modes, *frame), s.complex)
    probe = normal(rng, (batch if own else 1, modes, *frame), s.complex)
    power = np.sum(np.abs(probe) ** 2, axis=1)
    power[:, :2] = 0
    return waves, probe, power, power.max(axis=(1, 2))


parametrize_precision = pytest.mark.parametrize("precision", PRECISIONS)
parametrize_size = pytest.mark.parametrize("size", [16, 7])
parametrize_own = pytest.mark.parametrize("own", [False, True])
parametrize_mask = pytest.mark.parametrize("mask", MASKS)


@pytest.mark.parametrize("subpixel", [False, True])
def test_place_boxes(call, rng, subpixel):
    position = rng.uniform(-2, 12, (9, 2))
    position[0] = 2.5, 3.5
    selection = np.array([0, 8, 3, 1, 5, 7, 2])
    outputs = ((7, 2), np.int64), ((7, 2), np.float64)
    arguments = (position, selection, 9, 7, subpixel, *outputs)
    corner, fraction = check(call, "place_boxes", *arguments, precision="float64")
    assert corner.min() == 0
    assert corner[:, 0].max() <= 9
    assert corner[:, 1].max() <= 7
    assert np.abs(fraction).max() <= 0.5


def test_positions_without_fractions_need_no_array_for_them(call, rng):
    position, selection = rng.uniform(0, 9, (4, 2)), np.array([3, 1])
    outputs = ((2, 2), np.int64), ((0, 2), np.float64)
    corner, _ = call("place_boxes", position, selection, 9, 9, False, *outputs)
    np.testing.assert_array_equal(corner, np.rint(position[selection]))


@parametrize_precision
@parametrize_size
def test_shift_modes_and_unshift_modes(call, rng, precision, size):
    s = scene(rng, size, precision, subpixel=True)
    waves, *_ = batch_of(s, False, rng)
    output = (waves.shape, s.complex)
    check(call, "shift_modes", s.probe, s.fraction, output, precision=precision)
    output = (s.probe.shape, s.complex)
    check(call, "unshift_modes", waves, s.fraction, output, precision=precision)


@parametrize_precision
@parametrize_size
def test_the_adjoint_of_shifting_modes_is_shifting_them_back(call, rng, precision, size):
    s = scene(rng, size, precision, subpixel=True)
    waves, *_ = batch_of(s, False, rng)
    (forward,) = call("shift_modes", s.probe, s.fraction, (waves.shape, s.complex))
    (back,) = call("unshift_modes", waves, s.fraction, (s.probe.shape, s.complex))
    scale = np.linalg.norm(waves) * np.linalg.norm(forward)
    assert abs(np.vdot(waves, forward) - np.vdot(back, s.probe)) < 10 * np.finfo(precision).eps * scale


def test_shifted_modes_are_where_a_whole_pixel_puts_them(call, rng):
    probe = normal(rng, (1, 8, 8), np.complex128)
    shift = np.array([[1.0, -2.0]])
    (spectrum,) = call("shift_modes", np.fft.fft2(probe), shift, ((1, 1, 8, 8), np.complex128))
    np.testing.assert_allclose(np.fft.ifft2(spectrum)[0], np.roll(probe, (1, -2), (1, 2)), atol=1e-14)


@parametrize_precision
@parametrize_size
@parametrize_own
def test_the_kernels_of_a_batch(call, rng, precision, size, own):
    s = scene(rng, size, precision)
    waves, probe, power, peak = batch_of(s, own, rng)
    beyond = ((len(waves),), s.real)
    same = {"precision": precision}
    check(call, "probe_power", probe, (power.shape, s.real), (peak.shape, s.real), **same)
    check(call, "mode_intensity", waves, ((BATCH, size, size), s.real), **same)
    check(call, "exit_waves", s.object, probe, s.corner, (waves.shape, s.complex), beyond, **same)
    check(call, "object_numerator", waves, probe, ((BATCH, size, size), s.complex), **same)
    check(call, "probe_differences", Changed(waves), s.object, probe, s.corner, **same)
    output = (s.probe.shape, s.complex)
    check(call, "sum_probe_changes", waves, s.object, probe, s.corner, output, **same)


@parametrize_precision
@parametrize_size
@pytest.mark.parametrize("beta", [0.4, 1.0])
def test_sum_probe_weights(call, rng, precision, size, beta):
    s = scene(rng, size, precision)
    peak = rng.random(BATCH).astype(precision)
    output = ((size, size), s.real)
    check(call, "sum_probe_weights", s.object, s.corner, peak, beta, output, precision=precision)


@parametrize_precision
@pytest.mark.parametrize("conjugate", [False, True])
def test_apply_transfer(call, rng, precision, conjugate):
    s = scene(rng, 7, precision, near=True)
    waves, *_ = batch_of(s, False, rng)
    check(call, "apply_transfer", Changed(waves), s.transfer, conjugate, precision=precision)


@parametrize_precision
@parametrize_size
@parametrize_mask
@pytest.mark.parametrize("model", [False, True])
def test_modulus(call, rng, precision, size, mask, model):
    s = scene(rng, size, precision, mask=mask)
    waves, *_ = batch_of(s, False, rng)
    outputs = ((BATCH * model, size, size), s.real), ((BATCH,), np.float64)
    arguments = (Changed(waves), s.intensity, s.selection, s.mask, *outputs)
    check(call, "modulus", *arguments, precision=precision)


@parametrize_precision
def test_waves_that_have_the_measured_modulus_are_left_alone(call, rng, precision):
    s = scene(rng, 16, precision, modes=1, mask="everywhere")
    waves, *_ = batch_of(s, False, rng)
    intensity = (np.abs(waves[:, 0].astype(np.complex128)) ** 2).astype(s.real)
    outputs = ((0, 16, 16), s.real), ((BATCH,), np.float64)
    arguments = (Changed(waves), intensity, np.arange(BATCH), s.mask, *outputs)
    same, _, error = call("modulus", *arguments)
    assert_close(same, waves, precision, 8)
    np.testing.assert_allclose(error, 0, atol=(16 * np.finfo(precision).eps) ** 2 * intensity.sum())


@parametrize_precision
@parametrize_size
@parametrize_own
@pytest.mark.parametrize("atomic", [False, True])
def test_object_update(call, rng, precision, size, own, atomic):
    s = scene(rng, size, precision, batch=6)
    _, _, power, peak = batch_of(s, own, rng)
    numerator = normal(rng, (6, size, size), s.complex)
    arguments = (Changed(s.object), s.corner, numerator, power, peak, 0.75, 0.3, atomic)
    check(call, "object_update", *arguments, precision=precision)


def test_what_no_light_falls_on_keeps_its_value(call, rng):
    s = scene(rng, 7, "float64")
    power, peak = np.zeros((1, 7, 7)), np.zeros(1)
    numerator = normal(rng, (BATCH, 7, 7), s.complex)
    arguments = Changed(s.object), s.corner, numerator, power, peak, 0.75, 0.3, False
    np.testing.assert_array_equal(call("object_update", *arguments)[0], s.object)
    arguments = Changed(s.probe), normal(rng, s.probe.shape, s.complex), power[0], 0.75
    np.testing.assert_array_equal(call("probe_update", *arguments)[0], s.probe)


@parametrize_precision
@parametrize_size
def test_probe_update(call, rng, precision, size):
    s = scene(rng, size, precision)
    numerator = normal(rng, s.probe.shape, s.complex)
    weight = rng.uniform(0.1, 1, (size, size)).astype(precision)
    weight[1, :3] = 0
    check(call, "probe_update", Changed(s.probe), numerator, weight, 0.75, precision=precision)


@parametrize_precision
@parametrize_size
@parametrize_own
def test_signal_boxes(call, rng, precision, size, own):
    s = scene(rng, size, precision)
    _, _, power, peak = batch_of(s, own, rng)
    numerator = normal(rng, (BATCH, size, size), s.complex)
    outputs = [((BATCH, size, size), s.complex)] * 2
    arguments = (s.object, s.corner, numerator, power, peak, 0.75, 0.3, *outputs)
    check(call, "signal_boxes", *arguments, precision=precision)
    dark = (s.object, s.corner, numerator, 0 * power, 0 * peak, 0.75, 0.3, *outputs)
    check(call, "signal_boxes", *dark, precision=precision)


@parametrize_precision
@parametrize_size
@parametrize_mask
def test_detector_boxes(call, rng, precision, size, mask):
    s = scene(rng, size, precision, mask=mask)
    s.mask[: len(s.mask) - 1] = 0
    model = rng.random((BATCH, size, size)).astype(s.real)
    model[0] = 0
    outputs = [((BATCH, size, size), s.real)] * 2
    arguments = (model, s.intensity, s.selection, s.mask, *outputs)
    check(call, "detector_boxes", *arguments, precision=precision)


@parametrize_precision
@parametrize_size
@parametrize_own
def test_gradient_shift(call, rng, precision, size, own):
    s = scene(rng, size, precision)
    _, _, power, _ = batch_of(s, own, rng)
    numerator = normal(rng, (BATCH, size, size), s.complex)
    output = ((BATCH, 2), s.real)
    # a sum of terms of both signs, so its rounding is larger than its value
    check(
        call, "gradient_shift", s.object, s.corner, numerator, power, output, precision=precision, factor=500
    )


def test_the_gradient_finds_a_small_shift(call):
    """Of a box whose exit waves belong to the object a hundredth of a pixel further."""
    row, column = np.mgrid[:24, :24]
    object, moved = (np.exp(1j * np.sin(0.3 * (row + d)) * np.cos(0.2 * (column - d))) for d in (0, 0.01))
    power = np.exp(-0.05 * ((row - 12) ** 2 + (column - 12) ** 2))[None]
    outputs = ((1, 2), np.float64)
    corner, numerator = np.zeros((1, 2), np.int64), moved[None] * power
    (shift,) = call("gradient_shift", object, corner, numerator, power, outputs)
    # each axis by itself, which leaves out how the two gradients overlap
    np.testing.assert_allclose(shift, [[-0.01, 0.01]], rtol=0.2)


@parametrize_precision
@pytest.mark.parametrize("adam", [False, True])
def test_move_positions(call, rng, precision, adam):
    state = [Changed(rng.random((FRAMES, 2))) for _ in range(2)]
    count = Changed(np.arange(FRAMES))
    last = Changed(np.zeros((FRAMES, 2)))
    shift = normal(rng, (BATCH, 2), precision)
    rules = np.array([0.1, 0.3]), adam, 0.25
    arguments = Changed(rng.random((FRAMES, 2))), np.array([4, 0, 2]), shift, *rules, *state, count, last
    results = call("move_positions", *arguments)
    for actual, desired in zip(results, expected("move_positions", *arguments), strict=True):
        np.testing.assert_allclose(actual, desired, rtol=1e-14)


@parametrize_precision
@pytest.mark.parametrize("modes", [1, 3])
def test_gram_and_mix_modes(call, rng, precision, modes):
    kind = np.result_type(precision, np.complex64)
    values = normal(rng, (modes, 7, 7), kind)
    matrix = normal(rng, (modes, modes), np.complex128)
    check(call, "gram", values, ((modes, modes), np.complex128), precision=precision)
    check(call, "mix_modes", values, matrix, (values.shape, kind), precision=precision)


@parametrize_precision
@parametrize_own
def test_dose(call, rng, precision, own):
    s = scene(rng, 7, precision, batch=6)
    *_, power, _ = batch_of(s, own, rng)
    check(call, "dose", s.corner, power, Changed(rng.random(s.object.shape)), precision=precision)


# planned by the CPU's own FFT and not; every mode count, mask, propagator and output with others of each
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
