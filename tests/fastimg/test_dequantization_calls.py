"""How ``dequantize`` is called: batches, channels, ``out``, memory layouts, starts, callbacks, warnings."""

import warnings

import numpy as np
import pytest

from fastimg import ConvergenceWarning
from fastimg.dequantization import DequantizationInfo, IterationState, dequantize
from tests.fastimg.dequantization_cases import assert_inside, bins_of, codes_of, hill, ramp

SHAPE = (9, 8)


def noisy(shape, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(hill(shape, 7.9) + rng.normal(size=shape), 0, 7).astype(np.uint8)


@pytest.fixture
def stack():
    """Codes (2, 2, H, W), each image another one."""
    images = [codes_of(truth) for truth in (hill(SHAPE, 1.5), hill(SHAPE), ramp(SHAPE), ramp(SHAPE, 0.2))]
    return np.array(images).reshape(2, 2, *SHAPE)


@pytest.mark.parametrize(("axis", "moved"), [(None, None), (0, 1), (1, 1), (-1, 1), (2, 0)])
def test_batches_and_channels_are_the_single_problems(to_device, to_host, stack, axis, moved):
    image = stack if axis is None else np.moveaxis(stack, moved, axis)
    result, info = dequantize(to_device(image), bits=3, channel_axis=axis, return_info=True)
    planes = to_host(result) if axis is None else np.moveaxis(to_host(result), axis, -3)
    codes = image if axis is None else np.moveaxis(image, axis, -3)
    assert result.shape == image.shape
    assert info.removed.shape == image.shape
    assert (
        info.energy.shape == info.kkt.shape == info.cycles.shape == info.converged.shape == codes.shape[:-2]
    )
    for index in np.ndindex(codes.shape[:-2]):
        alone, single = dequantize(to_device(codes[index].copy()), bits=3, return_info=True)
        np.testing.assert_array_equal(planes[index], to_host(alone))
        assert info.energy[index] == single.energy
        assert info.cycles[index] == single.cycles


def test_one_mask_serves_all_images_or_each_has_its_own(to_device, to_host, stack):
    mask = np.zeros(stack.shape, bool)
    mask[..., 3:5, 3:6] = True
    image = np.moveaxis(stack, 1, -1)
    masks = np.moveaxis(mask, 1, -1)
    one = dequantize(to_device(image), bits=3, channel_axis=-1, mask=to_device(mask[0, 0]))
    each = dequantize(to_device(image), bits=3, channel_axis=-1, mask=to_device(masks))
    np.testing.assert_array_equal(to_host(one), to_host(each))
    np.testing.assert_array_equal(to_host(one)[masks], image[masks])


@pytest.mark.parametrize("kind", ["fits", "wider", "strided", "narrow", "channels"])
def test_out_is_written_and_returned(xp, to_device, to_host, kind):
    image = np.moveaxis(np.array([codes_of(hill(SHAPE)), codes_of(ramp(SHAPE))]), 0, -1)
    shape = image.shape
    out = {
        "fits": lambda: xp.empty(shape, np.float32),
        "wider": lambda: xp.empty(shape, np.float64),
        "strided": lambda: xp.empty((*shape[:-1], 4), np.float32)[..., ::2],
        "narrow": lambda: xp.empty(shape, np.float16),
        "channels": lambda: xp.moveaxis(xp.empty((2, *SHAPE), np.float32), 0, -1),
    }[kind]()
    dtype = out.dtype
    expected = to_host(dequantize(to_device(image), bits=3, channel_axis=-1, dtype="float64"))
    assert dequantize(to_device(image), bits=3, channel_axis=-1, out=out) is out
    assert out.dtype == dtype
    np.testing.assert_allclose(to_host(out), expected, atol=4e-3 if kind == "narrow" else 1e-6)
    assert_inside(to_host(out), *bins_of(image))


def test_out_may_be_what_is_read(to_device, to_host):
    codes = codes_of(hill(SHAPE))
    lower, upper = (to_device(bound.astype(np.float32)) for bound in bins_of(codes))
    expected = to_host(dequantize(None, lower=lower, upper=upper))
    assert dequantize(None, lower=lower, upper=upper, out=lower) is lower
    np.testing.assert_array_equal(to_host(lower), expected)


@pytest.mark.parametrize("view", [lambda a: a[::-1, ::2], lambda a: a.T, lambda a: a[:, 5:]])
def test_strided_codes_are_read_as_they_are(to_device, to_host, view):
    codes = codes_of(hill((14, 18)))
    expected = dequantize(to_device(np.ascontiguousarray(view(codes))), bits=2)
    np.testing.assert_array_equal(to_host(dequantize(view(to_device(codes)), bits=2)), to_host(expected))


@pytest.mark.host_only  # CuPy has neither read-only nor byte-swapped arrays
@pytest.mark.parametrize("dtype", [">u2", "<u2", ">i4", "<i8"])
def test_read_only_and_byte_swapped_codes_are_read_and_keep_their_values(dtype):
    codes = codes_of(hill(SHAPE)).astype(dtype)
    before = codes.copy()
    codes.flags.writeable = False
    bounds = [bound.astype(">f8") for bound in bins_of(codes)]
    mask = np.eye(*SHAPE, dtype=bool)
    expected = dequantize(before.astype(np.int64), bits=2, mask=mask, dtype="float64")
    np.testing.assert_array_equal(dequantize(codes, bits=2, mask=mask, dtype="float64"), expected)
    given = dequantize(codes, lower=bounds[0], upper=bounds[1], mask=mask)
    assert given.dtype == np.float64
    assert given.dtype.isnative
    np.testing.assert_array_equal(given, expected)
    np.testing.assert_array_equal(codes, before)


@pytest.mark.host_only  # nested lists live on the CPU
def test_lists_are_arrays():
    codes = codes_of(hill(SHAPE)).astype(np.int64)
    np.testing.assert_array_equal(dequantize(codes.tolist(), bits=2), dequantize(codes, bits=2))


def test_inputs_keep_their_values(to_device, to_host):
    codes = noisy(SHAPE)
    lower, upper = bins_of(codes)
    initial = (lower + upper) / 2
    arrays = [to_device(array) for array in (lower, upper, initial)]
    dequantize(None, lower=arrays[0], upper=arrays[1], initial=arrays[2], anomaly_passes=2)
    for array, before in zip(arrays, (lower, upper, initial), strict=True):
        np.testing.assert_array_equal(to_host(array), before)


def test_the_last_frame_is_a_better_start_than_none(to_device):
    first, second = (codes_of(hill((24, 24), top), np.int32) for top in (7.9, 7.95))
    before = dequantize(to_device(first), bits=3)
    cold = dequantize(to_device(second), bits=3, return_info=True)[1]
    warm = dequantize(to_device(second), bits=3, initial=before, return_info=True)[1]
    assert warm.converged
    assert warm.cycles < cold.cycles


def test_a_start_outside_the_envelope_leads_to_the_same_result(to_device, to_host):
    codes = to_device(codes_of(hill(SHAPE), np.int32))
    expected = to_host(dequantize(codes, bits=2, tol=1e-8))
    start = to_device(np.full(SHAPE, 100.0))
    result = to_host(dequantize(codes, bits=2, tol=1e-8, initial=start))
    assert_inside(result, *bins_of(codes_of(hill(SHAPE))))
    np.testing.assert_allclose(result, expected, atol=2e-3)


def test_a_start_may_be_nan_under_the_mask(to_device, to_host):
    codes, mask = codes_of(hill(SHAPE)), np.zeros(SHAPE, bool)
    mask[3:6, 3:6] = True
    start = np.where(mask, np.nan, codes + 0.5)
    result = dequantize(to_device(codes), bits=2, mask=to_device(mask), initial=to_device(start))
    assert_inside(to_host(result), *bins_of(codes), ~mask)


def test_info_says_how_it_ended(to_device, to_host):
    result, info = dequantize(
        to_device(codes_of(hill(SHAPE))), bits=2, dtype="float64", tol=1e-6, return_info=True
    )
    assert isinstance(info, DequantizationInfo)
    assert type(info.energy) is type(info.kkt) is float
    assert type(info.cycles) is int
    assert info.converged is True
    assert not to_host(info.removed).any()
    values = to_host(result)
    mixed = np.diff(np.diff(values, axis=0), axis=1)
    bending = sum((np.diff(values, 2, axis=axis) ** 2).sum() for axis in (0, 1)) + 2 * (mixed**2).sum()
    assert info.energy == pytest.approx(bending / 2, rel=1e-6)


def test_the_callback_sees_the_energy_and_may_end_an_image(to_device, to_host):
    codes = np.array([noisy(SHAPE, 0), noisy(SHAPE, 1)])
    states = []

    def second_step(state):
        states.append(state)
        return sum(other.index == state.index for other in states) == 2

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result, info = dequantize(to_device(codes), bits=3, tol=1e-12, callback=second_step, return_info=True)
    assert [state.index for state in states] == [(0,), (0,), (1,), (1,)]
    assert all(isinstance(state, IterationState) and state.energy >= 0 and state.kkt >= 0 for state in states)
    assert states[1].cycles > states[0].cycles
    assert not info.converged.any()
    assert_inside(to_host(result), *bins_of(codes))


def test_progress_shows_a_bar(to_device, capsys):
    dequantize(to_device(codes_of(hill(SHAPE))), bits=2, progress=True)
    assert "cycle" in capsys.readouterr().err


def test_too_few_cycles_are_a_warning_and_a_result_in_its_envelope(to_device, to_host):
    codes = np.array([noisy((24, 24)), np.zeros((24, 24), np.uint8)])
    with pytest.warns(ConvergenceWarning, match=r"1 of 2 images did not .* in 1 cycles"):
        result, info = dequantize(to_device(codes), bits=3, tol=1e-12, max_cycles=1, return_info=True)
    assert info.converged.tolist() == [False, True]
    assert_inside(to_host(result), *bins_of(codes))


def test_the_same_call_gives_the_same_bits(to_device, to_host):
    codes = to_device(noisy(SHAPE))
    np.testing.assert_array_equal(to_host(dequantize(codes, bits=3)), to_host(dequantize(codes, bits=3)))
