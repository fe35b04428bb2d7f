"""The ptychography kernels against their plain NumPy twins, and by invariants."""

import numpy as np
import pytest

import fastimg
from fastimg.kernels.cpu import pie as cpu_pie
from tests.kernels.conftest import Changed
from tests.kernels.pie_scenes import (
    BATCH,
    FRAMES,
    assert_close,
    batch_of,
    check,
    expected,
    normal,
    parametrize_mask,
    parametrize_own,
    parametrize_precision,
    parametrize_size,
    scene,
)

FAMILY = "pie"


@pytest.fixture(autouse=True, params=["as called", "two threads"])
def threads(request, device, monkeypatch):
    """Run each test as it comes, and with the parallel versions that larger batches take on the CPU."""
    if request.param == "as called":
        return
    precision = getattr(request.node, "callspec", None) and request.node.callspec.params.get("precision")
    if device != "numpy" or precision != "float32":
        pytest.skip("the parallel versions are the CPU's; one precision shows them")
    if fastimg.get_num_threads() < 2:
        pytest.skip("one thread only")
    monkeypatch.setattr(cpu_pie, "PARALLEL_POINTS", 0)


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
