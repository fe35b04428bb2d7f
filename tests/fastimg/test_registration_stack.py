"""``register_stack``: batches against single pairs, weights, spectra, memory."""

import dataclasses
import subprocess
import sys
import warnings

import numpy as np
import pytest

from fastimg.registration import StackShifts, phase_cross_correlation, register_stack
from tests.fastimg.registration_images import band_limited, moved, precision_of

DTYPES = ("float32", "float64", "complex64", "complex128")


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def noisy_pair(rng, leading_reference, leading_moving, shape=(16, 18), *, is_complex=False):
    """Stacks of images of one scene, moved and with noise."""
    scene = band_limited(rng, shape, is_complex=is_complex)

    def stack(leading):
        images = np.empty((*leading, *shape), scene.dtype)
        for index in np.ndindex(leading):
            images[index] = moved(scene, rng.uniform(-5, 5, 2)) + 0.1 * rng.random(shape)
        return images

    return stack(leading_reference), stack(leading_moving)


def test_the_defaults_recover_known_shifts(rng, to_device, to_host):
    image = band_limited(rng, (16, 15))
    shifts = rng.uniform(-6, 6, (4, 2))
    moving = np.stack([moved(image, -shift) for shift in shifts])
    found = register_stack(to_device(image), to_device(moving))
    assert isinstance(found, StackShifts)
    np.testing.assert_allclose(to_host(found.shift), shifts, atol=0.0055)
    assert np.abs(to_host(found.error)).max() < 0.05
    np.testing.assert_allclose(to_host(found.phasediff), 0, atol=1e-6)


@pytest.mark.parametrize(
    ("references", "movings"),
    [
        ((), ()),
        ((), (5,)),
        ((5,), ()),
        ((5,), (5,)),
        ((1,), (5,)),
        ((5,), (1,)),
        ((3, 1), (2,)),
        ((2, 3), (2, 3)),
        ((2, 1), (1, 3)),
        ((1, 1), (1,)),
    ],
)
@pytest.mark.parametrize("normalization", [None, "phase"])
def test_leading_axes_broadcast_as_a_loop_over_pairs(
    rng, to_device, to_host, references, movings, normalization
):
    reference, moving = noisy_pair(rng, references, movings, (7, 9))
    found = register_stack(
        to_device(reference), to_device(moving), upsample_factor=20, normalization=normalization
    )
    leading = np.broadcast_shapes(references, movings)
    assert found.shift.shape == (*leading, 2)
    assert found.error.shape == found.phasediff.shape == leading
    pairs = [np.broadcast_to(stack, (*leading, 7, 9)) for stack in (reference, moving)]
    for index in np.ndindex(leading):
        one = phase_cross_correlation(
            *(to_device(np.ascontiguousarray(stack[index])) for stack in pairs),
            upsample_factor=20,
            normalization=normalization,
        )
        # one reference may be transformed once for all: the same numbers, but not the same roundings
        np.testing.assert_allclose(to_host(found.shift)[index], to_host(one[0]), atol=1e-12)
        np.testing.assert_allclose(to_host(found.error)[index], to_host(one[1]), atol=1e-7)
        np.testing.assert_allclose(to_host(found.phasediff)[index], to_host(one[2]), atol=1e-10)


@pytest.mark.parametrize("references", [(), (7,), (7, 1)])
def test_the_result_does_not_depend_on_how_the_batch_is_cut(
    rng, kernels, to_device, to_host, monkeypatch, references
):
    reference, moving = noisy_pair(rng, references, (7,), (8, 8))
    whole = register_stack(to_device(reference), to_device(moving))
    monkeypatch.setattr(kernels, "WORKSPACE_BYTES", 3 * 4 * 64 * 16)
    cut = register_stack(to_device(reference), to_device(moving))
    for one, other in zip(dataclasses.astuple(whole), dataclasses.astuple(cut), strict=True):
        np.testing.assert_array_equal(to_host(one), to_host(other))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(16, 16), (9, 10)])
def test_the_precision_is_that_of_the_images(rng, xp, to_device, to_host, dtype, shape):
    reference, moving = (
        to_device(stack.astype(dtype))
        for stack in noisy_pair(rng, (), (3,), shape, is_complex=dtype.startswith("c"))
    )
    found = register_stack(reference, moving, upsample_factor=10)
    for array in dataclasses.astuple(found):
        assert isinstance(array, xp.ndarray)
        assert array.dtype == precision_of(dtype)
    double = register_stack(to_device(to_host(reference) + 0.0), moving, upsample_factor=10)
    np.testing.assert_allclose(to_host(found.shift), to_host(double.shift), atol=0.11)


def test_integers_are_registered_in_single_precision(rng, to_device, to_host):
    image = rng.integers(0, 256, (16, 16), np.uint8)
    moving = np.stack([np.roll(image, shift, (0, 1)) for shift in [(1, 2), (-3, 4)]])
    found = register_stack(to_device(image), to_device(moving))
    assert found.shift.dtype == np.float32
    np.testing.assert_array_equal(to_host(found.shift), [[-1, -2], [3, -4]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_spectra_give_the_same_as_images(rng, to_device, to_host, dtype):
    reference, moving = (
        stack.astype(dtype) for stack in noisy_pair(rng, (), (3,), (9, 16), is_complex=dtype.startswith("c"))
    )
    real = register_stack(to_device(reference), to_device(moving))
    precision = np.result_type(dtype, np.complex64)
    spectra = [np.fft.fft2(stack).astype(precision) for stack in (reference, moving)]
    fourier = register_stack(*map(to_device, spectra), space="FOURIER")
    assert fourier.shift.dtype == real.shift.dtype
    np.testing.assert_allclose(to_host(fourier.shift), to_host(real.shift), atol=0.0101)
    np.testing.assert_allclose(to_host(fourier.error), to_host(real.error), atol=1e-3)


def test_images_larger_than_a_cache_are_registered(rng, to_device, to_host):
    image = np.fft.fft2(rng.random((256, 256)))
    moving = np.fft.fft2(np.roll(np.fft.ifft2(image), (-90, 31), (0, 1)))
    found = register_stack(to_device(image), to_device(moving), space="fourier", upsample_factor=10)
    assert found.shift.dtype == np.float64
    np.testing.assert_array_equal(to_host(found.shift), [90, -31])


def test_both_images_are_multiplied_by_the_weight(rng, to_device, to_host):
    reference, moving = noisy_pair(rng, (), (3,), (12, 16))
    weight = np.outer(np.hanning(12), np.hanning(16))
    weighted = register_stack(to_device(reference), to_device(moving), weight=to_device(weight))
    by_hand = register_stack(to_device(weight * reference), to_device(weight * moving))
    np.testing.assert_allclose(to_host(weighted.shift), to_host(by_hand.shift), atol=1e-12)
    np.testing.assert_allclose(to_host(weighted.error), to_host(by_hand.error), atol=1e-7)


def test_the_weight_does_not_change_the_precision(rng, to_device):
    reference, moving = (to_device(stack.astype("f4")) for stack in noisy_pair(rng, (), (3,)))
    assert register_stack(reference, moving, weight=to_device(np.ones((16, 18)))).shift.dtype == np.float32


@pytest.mark.parametrize("layout", ["strided", "reversed", "transposed", "broadcast"])
def test_stacks_of_any_strides_are_registered(rng, xp, to_device, to_host, layout):
    reference, moving = (to_device(stack) for stack in noisy_pair(rng, (4,), (4,), (9, 9)))
    view = {
        "strided": lambda a: a[::2],
        "reversed": lambda a: a[::-1, ::-1, ::-1],
        "transposed": lambda a: a.transpose(0, 2, 1),
        "broadcast": lambda a: xp.broadcast_to(a[:1], a.shape),
    }[layout]
    found = register_stack(view(reference), view(moving))
    plain = register_stack(*(to_device(np.ascontiguousarray(to_host(view(a)))) for a in (reference, moving)))
    np.testing.assert_array_equal(to_host(found.shift), to_host(plain.shift))


def test_read_only_byte_swapped_input_keeps_its_values(rng):
    reference, moving = noisy_pair(rng, (), (3,))
    foreign = moving.astype(">f8")
    foreign.flags.writeable = reference.flags.writeable = False
    found = register_stack(reference, foreign)
    np.testing.assert_array_equal(found.shift, register_stack(reference, moving).shift)
    np.testing.assert_array_equal(foreign, moving)


def test_an_empty_batch_has_empty_results(xp, to_device):
    found = register_stack(to_device(np.ones((8, 8))), to_device(np.ones((0, 8, 8), np.float32)))
    assert found.shift.shape == (0, 2)
    assert found.error.shape == found.phasediff.shape == (0,)
    assert found.shift.dtype == np.float64


@pytest.mark.parametrize("space", ["real", "fourier"])
@pytest.mark.parametrize("normalization", [None, "phase"])
def test_a_pair_with_an_empty_image_has_no_error_measure(rng, xp, to_device, to_host, space, normalization):
    reference, moving = noisy_pair(rng, (), (3,), (8, 9))
    moving[1] = 0
    stacks = [to_device(np.fft.fft2(stack) if space == "fourier" else stack) for stack in (reference, moving)]
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        found = register_stack(*stacks, space=space, normalization=normalization)
    np.testing.assert_array_equal(np.isnan(to_host(found.error)), [False, True, False])
    assert to_host(found.phasediff)[1] == 0
    # on a device, to warn would mean to wait
    assert [record.filename for record in records] == ([__file__] if xp is np else [])


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_shift_does_not_depend_on_the_unit_of_the_images(rng, to_device, to_host, scale):
    reference, moving = (stack.astype("f4") for stack in noisy_pair(rng, (), (3,), (16, 9)))
    plain = register_stack(to_device(reference), to_device(moving))
    scaled = register_stack(*(to_device(np.float32(scale) * stack) for stack in (reference, moving)))
    np.testing.assert_allclose(to_host(scaled.shift), to_host(plain.shift), atol=0.0101)
    np.testing.assert_allclose(to_host(scaled.error), to_host(plain.error), atol=1e-3)


@pytest.mark.parametrize(
    ("reference", "moving", "options", "message"),
    [
        ((8,), (8, 8), {}, r"reference has shape \(8,\); accepted is \(..., height, width\)"),
        ((8, 8), (0, 8), {}, "moving has shape"),
        ((8, 8), (3, 8, 9), {}, r"reference and moving have images of \(8, 8\) and \(8, 9\)"),
        ((2, 8, 8), (3, 8, 8), {}, r"the leading axes of reference and moving are \(2,\) and \(3,\)"),
        ((8, 8), (8, 8), {"normalization": 1}, "normalization is 1"),
        ((8, 8), (8, 8), {"space": "k"}, "space is 'k'"),
        ((8, 8), (8, 8), {"upsample_factor": 0}, "upsample_factor is 0"),
        ((8, 8), (8, 8), {"weight": np.ones(8)}, r"weight has shape \(8,\); accepted is"),
        ((8, 8), (8, 8), {"weight": -np.ones((8, 8))}, "weight has negative values"),
        ((8, 8), (8, 8), {"weight": np.full((8, 8), np.nan)}, "weight contains NaN"),
        (
            (8, 8),
            (8, 8),
            {"weight": np.ones((8, 8)), "space": "fourier"},
            "weight is accepted with space='real'",
        ),
    ],
)
def test_what_is_wrong_is_named(to_device, reference, moving, options, message):
    options = {name: to_device(value) if name == "weight" else value for name, value in options.items()}
    with pytest.raises(ValueError, match=message):
        register_stack(to_device(np.ones(reference)), to_device(np.ones(moving)), **options)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["reference", "moving"])
def test_values_that_are_not_finite_are_named(to_device, bad, place):
    stacks = {"reference": np.ones((8, 8)), "moving": np.ones((3, 8, 8))}
    stacks[place][..., 2, 5] = bad
    with pytest.raises(ValueError, match=f"{place} contains NaN or infinity"):
        register_stack(*(to_device(stack) for stack in stacks.values()))


def test_dtypes_that_are_not_accepted_are_named():
    with pytest.raises(TypeError, match="reference has dtype"):
        register_stack(np.ones((4, 4), np.longdouble), np.ones((4, 4)))
    with pytest.raises(TypeError, match="weight has dtype complex128"):
        register_stack(np.ones((4, 4)), np.ones((4, 4)), weight=np.ones((4, 4), complex))


def test_the_result_cannot_be_reassigned(to_device):
    found = register_stack(to_device(np.ones((4, 4))), to_device(np.ones((4, 4))))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.shift = None  # type: ignore[misc]


MEASURE = """
import os, sys, threading, time
import numpy as np
from fastimg.registration import register_stack

PAGE = os.sysconf("SC_PAGE_SIZE")

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE

dtype, broadcast = sys.argv[1], sys.argv[2] == "broadcast"
rng = np.random.default_rng(0)
make = lambda count: rng.integers(0, 256, (count, 48, 48), np.uint8) if dtype == "uint8" else \\
    rng.random((count, 48, 48), dtype)
# compile and start the threads, with too few pairs to leave the allocator the memory that is to be measured
register_stack(make(32)[0] if broadcast else make(32), make(32))
moving = make(10_000)
reference = moving[0] if broadcast else moving[::-1]
before, peak, done = resident(), 0, threading.Event()

def watch():
    global peak
    while not done.is_set():
        peak = max(peak, resident())
        time.sleep(0.0005)

watcher = threading.Thread(target=watch)
watcher.start()
found = register_stack(reference, moving)
done.set()
watcher.join()
assert found.shift.shape == (10_000, 2)
print((peak - before) / 2**20)
"""


@pytest.mark.host_only
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("references", ["pairs", "broadcast"])
def test_ten_thousand_pairs_take_at_most_64_mib_beyond_the_inputs(xp, dtype, references):
    if xp is not np:
        pytest.skip("measures the memory of the host")
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, dtype, references], capture_output=True, text=True, check=True
    )
    assert 0 < float(run.stdout) <= 64


def shifted_texture(rng, shape):
    image = band_limited(rng, shape)
    return image, np.roll(image, (3, -5), (-2, -1))


@pytest.mark.parametrize("normalization", ["phase", None])
@pytest.mark.parametrize("shape", [(32, 48), (31, 45)])
@pytest.mark.parametrize(
    ("dtype", "unit"),
    [("float32", 10.0**e) for e in (-37, -25, -17, -12, 12, 17, 30, 37)]
    + [("float64", 10.0**e) for e in (-300, -150, -100, 100, 150, 300)],
)
def test_the_result_does_not_depend_on_the_unit(rng, to_device, to_host, dtype, unit, shape, normalization):
    image, moving = shifted_texture(rng, shape)
    pair = [to_device((unit * array).astype(dtype)) for array in (image, np.stack([moving, moving[::-1]]))]
    found = register_stack(*pair, upsample_factor=10, normalization=normalization)
    np.testing.assert_allclose(to_host(found.shift)[0], (-3, 5), atol=1e-6)
    if normalization is None:
        assert to_host(found.error)[0] < 1e-2
    alone = phase_cross_correlation(pair[0], pair[1][0], upsample_factor=10, normalization=normalization)
    np.testing.assert_allclose(to_host(alone[0]), (-3, 5), atol=1e-6)


def test_the_unit_of_the_weight_does_not_matter(rng, to_device, to_host):
    image, moving = (to_device(array.astype("f4")) for array in shifted_texture(rng, (32, 48)))
    for unit in (1e-30, 1e30):
        weight = to_device(np.full((32, 48), unit, "f4"))
        found = register_stack(image, moving, upsample_factor=10, weight=weight)
        np.testing.assert_allclose(to_host(found.shift), (-3, 5), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"upsample_factor": None}, TypeError, "upsample_factor is None"),
        ({"upsample_factor": "10"}, TypeError, "upsample_factor is '10'"),
        ({"normalization": np.ones(2)}, ValueError, "normalization is"),
        ({"space": np.ones(2)}, ValueError, "space is"),
    ],
)
def test_options_of_the_wrong_kind_are_named(to_device, options, error, message):
    with pytest.raises(error, match=message):
        register_stack(to_device(np.ones((4, 4))), to_device(np.ones((4, 4))), **options)


def test_a_number_is_not_an_image():
    with pytest.raises(ValueError, match="reference is a single number"):
        register_stack(3, 3)
