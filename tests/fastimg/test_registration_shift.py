"""``apply_shift``: Fourier shifts of images and batches."""

import numpy as np
import pytest
import scipy.ndimage

from fastimg.registration import apply_shift
from tests.fastimg.registration_images import band_limited, moved

SINGLE = 1e-5


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(16, 16), (9, 12), (1, 8), (8, 1), (1, 1)])
def test_it_is_the_fourier_shift_of_scipy(rng, xp, to_device, to_host, shape, dtype):
    image = (rng.random(shape) + (1j * rng.random(shape) if dtype.startswith("c") else 0)).astype(dtype)
    result = apply_shift(to_device(image), (1.3, -2.75))
    expected = np.fft.ifft2(scipy.ndimage.fourier_shift(np.fft.fft2(image), (1.3, -2.75)))
    assert isinstance(result, xp.ndarray)
    assert result.dtype == dtype
    tolerance = SINGLE if image.real.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(
        to_host(result), expected if dtype.startswith("c") else expected.real, atol=tolerance
    )


def test_whole_pixels_are_a_roll(rng, to_device, to_host):
    image = rng.random((10, 16))
    result = to_host(apply_shift(to_device(image), (3, -5)))
    np.testing.assert_allclose(result, np.roll(image, (3, -5), (0, 1)), atol=1e-13)


def test_a_shift_and_its_opposite_cancel(rng, to_device, to_host):
    image = band_limited(rng, (16, 9))
    there = apply_shift(to_device(image), (2.6, 0.3))
    np.testing.assert_allclose(to_host(apply_shift(there, (-2.6, -0.3))), image, atol=1e-13)


@pytest.mark.parametrize(
    ("images", "shifts"), [((), (4,)), ((4,), ()), ((4,), (4,)), ((2, 1), (3,)), ((1,), (1, 1)), ((0,), ())]
)
def test_leading_axes_broadcast(rng, to_device, to_host, images, shifts):
    image, shift = rng.random((*images, 7, 9)), rng.uniform(-4, 4, (*shifts, 2))
    result = to_host(apply_shift(to_device(image), to_device(shift)))
    leading = np.broadcast_shapes(images, shifts)
    assert result.shape == (*leading, 7, 9)
    image, shift = np.broadcast_to(image, (*leading, 7, 9)), np.broadcast_to(shift, (*leading, 2))
    for index in np.ndindex(leading):
        np.testing.assert_allclose(result[index], moved(image[index], shift[index]), atol=1e-13)


@pytest.mark.parametrize("images", [(), (7,)])
def test_the_result_does_not_depend_on_how_the_batch_is_cut(
    rng, kernels, to_device, to_host, monkeypatch, images
):
    image, shift = to_device(rng.random((*images, 8, 8))), to_device(rng.uniform(-4, 4, (7, 2)))
    whole = to_host(apply_shift(image, shift))
    monkeypatch.setattr(kernels, "WORKSPACE_BYTES", 3 * 3 * 64 * 16)
    np.testing.assert_array_equal(to_host(apply_shift(image, shift)), whole)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int16", "float16"])
def test_small_types_become_single_precision(to_device, to_host, dtype):
    image = np.zeros((6, 7), dtype)
    image[2, 3] = 1
    result = apply_shift(to_device(image), (1, 1))
    assert result.dtype == np.float32
    np.testing.assert_allclose(to_host(result), np.roll(image, (1, 1), (0, 1)), atol=SINGLE)


@pytest.mark.parametrize("kind", ["fits", "wider", "strided", "input", "overlap"])
def test_out_is_written_and_returned(rng, xp, to_device, to_host, kind):
    memory = to_device(rng.random((3, 8, 10)).astype(np.float32))
    image = memory[:2]
    out = {
        "fits": lambda: xp.empty((2, 8, 10), np.float32),
        "wider": lambda: xp.empty((2, 8, 10), np.float64),
        "strided": lambda: xp.empty((2, 8, 20), np.float32)[..., ::2],
        "input": lambda: image,
        "overlap": lambda: memory[1:],
    }[kind]()
    expected = to_host(apply_shift(image.copy(), (0.5, 1.5)))
    dtype = out.dtype
    assert apply_shift(image, (0.5, 1.5), out=out) is out
    assert out.dtype == dtype
    np.testing.assert_array_equal(to_host(out), expected)


def test_the_image_keeps_its_values(rng):
    image = rng.random((8, 8)) + 1j
    before = image.copy()
    image.flags.writeable = False
    apply_shift(image, (1, 2))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("shape", "shift", "message"),
    [
        ((8,), (1, 2), r"image has shape \(8,\); accepted is \(..., height, width\)"),
        ((8, 8), (1, 2, 3), r"shift has shape \(3,\); accepted is \(..., 2\)"),
        ((8, 8), 1.0, r"shift has shape \(\); accepted is"),
        ((2, 8, 8), np.ones((3, 2)), r"the leading axes of image and shift are \(2,\) and \(3,\)"),
        ((8, 8), (1, np.nan), "shift contains NaN or infinity"),
    ],
)
def test_what_is_wrong_is_named(to_device, shape, shift, message):
    with pytest.raises(ValueError, match=message):
        apply_shift(to_device(np.ones(shape)), to_device(shift))


def test_an_image_that_is_not_finite_is_named(to_device):
    with pytest.raises(ValueError, match="image contains NaN or infinity"):
        apply_shift(to_device(np.full((4, 4), np.inf)), (1, 1))


def test_a_wrong_out_is_named(xp, to_device):
    image = to_device(np.ones((4, 4), complex))
    with pytest.raises(ValueError, match="out has shape"):
        apply_shift(image, (1, 1), out=xp.empty((4, 5), complex))
    with pytest.raises(TypeError, match="out has dtype float64"):
        apply_shift(image, (1, 1), out=xp.empty((4, 4)))
