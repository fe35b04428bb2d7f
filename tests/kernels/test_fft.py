"""The FFT twins against scipy.fft, for the sizes of our own transform and for others."""

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

PLANNED = [(16, 16), (32, 48), (64, 64), (80, 16), (96, 160), (128, 128)]
OTHERS = [(1, 1), (5, 7), (1, 16), (16, 1), (17, 32), (30, 30)]
# Error over the largest value: about log2(points) roundings.
TOLERANCE = {np.complex64: 4e-7, np.complex128: 1e-15}


def stack(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("shape", PLANNED + OTHERS)
def test_2d_transforms_equal_scipys(kernels, to_device, to_host, shape, dtype):
    x = stack((2, *shape), dtype)
    expected = scipy.fft.fft2(x.astype(np.complex128))
    forward = kernels.fft.fft2(to_device(x))
    assert forward.dtype == dtype
    assert forward.shape == x.shape
    np.testing.assert_allclose(
        to_host(forward), expected, rtol=0, atol=TOLERANCE[dtype] * max(np.abs(expected).max(), 1)
    )
    back = kernels.fft.ifft2(forward)
    assert back.dtype == dtype
    np.testing.assert_allclose(to_host(back), x, rtol=0, atol=TOLERANCE[dtype] * np.abs(x).max() * 4)


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("shape", [(32, 32), (9, 10)])
def test_norms_mean_what_they_mean_in_scipy(kernels, to_device, to_host, norm, shape):
    x = stack((1, *shape), np.complex128)
    for ours, theirs in ((kernels.fft.fft2, scipy.fft.fft2), (kernels.fft.ifft2, scipy.fft.ifft2)):
        expected = theirs(x, norm=norm)
        np.testing.assert_allclose(to_host(ours(to_device(x), norm=norm)), expected, rtol=1e-11, atol=1e-12)


def test_an_unknown_norm_is_named(kernels, to_device):
    with pytest.raises(ValueError, match="norm"):
        kernels.fft.fft2(to_device(stack((1, 16, 16), np.complex64)), norm="unitary")


def test_the_input_is_kept_unless_it_may_be_overwritten(kernels, to_device, to_host):
    x = stack((3, 32, 32), np.complex64)
    device = to_device(x)
    kernels.fft.fft2(device)
    np.testing.assert_array_equal(to_host(device), x)
    expected = scipy.fft.fft2(x)
    result = kernels.fft.fft2(to_device(x), overwrite_x=True)
    np.testing.assert_allclose(to_host(result), expected, rtol=0, atol=4e-7 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_the_inverse_is_the_adjoint_over_the_number_of_points(kernels, to_device, to_host, dtype):
    x, y = stack((2, 32, 48), dtype, 1), stack((2, 32, 48), dtype, 2)
    left = np.vdot(to_host(kernels.fft.fft2(to_device(x))), y)
    right = np.vdot(x, to_host(kernels.fft.ifft2(to_device(y)))) * 32 * 48
    assert abs(left - right) <= TOLERANCE[dtype] * 32 * 48 * np.linalg.norm(x) * np.linalg.norm(y)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_nd_transforms_keep_precision(kernels, to_device, to_host, dtype):
    x = stack((4, 6, 5), dtype)
    spectrum = kernels.fft.fftn(to_device(x))
    assert spectrum.dtype == dtype
    np.testing.assert_allclose(to_host(spectrum), scipy.fft.fftn(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(to_host(kernels.fft.ifftn(spectrum)), x, rtol=1e-4, atol=1e-5)
    padded = kernels.fft.rfftn(to_device(x.real), s=(8, 9), axes=(0, 1))
    assert padded.dtype == dtype
    np.testing.assert_allclose(
        to_host(padded), scipy.fft.rfftn(x.real, s=(8, 9), axes=(0, 1)), rtol=1e-4, atol=1e-5
    )
    back = kernels.fft.irfftn(padded, s=(8, 9), axes=(0, 1))
    assert back.dtype == x.real.dtype
    np.testing.assert_allclose(to_host(back)[:4, :6], x.real, rtol=1e-4, atol=1e-5)
    assert kernels.fft.next_fast_len(97) >= 97


@settings(max_examples=20, deadline=None)
@given(height=st.sampled_from([16, 32, 48]), width=st.sampled_from([16, 32, 80]), seed=st.integers(0, 99))
def test_impulses_become_plane_waves(kernels, to_device, to_host, height, width, seed):
    rng = np.random.default_rng(seed)
    y, x = rng.integers(height), rng.integers(width)
    image = np.zeros((1, height, width), np.complex64)
    image[0, y, x] = 1
    ky, kx = np.mgrid[:height, :width]
    expected = np.exp(-2j * np.pi * (ky * y / height + kx * x / width))
    np.testing.assert_allclose(to_host(kernels.fft.fft2(to_device(image)))[0], expected, atol=2e-6)


def test_many_threads_give_the_same_bits(kernels, to_device, to_host, xp):
    if xp is not np:
        pytest.skip("threads are a matter of the CPU")
    import fastimg

    before = fastimg.get_num_threads()
    x = stack((70, 48, 64), np.complex64)
    try:
        fastimg.set_num_threads(1)
        expected = kernels.fft.fft2(x)
        fastimg.set_num_threads(before)
        np.testing.assert_array_equal(kernels.fft.fft2(x), expected)
    finally:
        fastimg.set_num_threads(before)
