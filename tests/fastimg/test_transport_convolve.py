"""``gaussian_convolve`` against dense matrices, and how it is called."""

import numpy as np
import pytest

from fastimg.transport import gaussian_convolve


def dense(x, axis, sigma, truncate=np.inf):
    n = x.shape[axis]
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    kernel = np.exp(-(distance**2) / (2 * sigma**2)) * (distance <= truncate * sigma) if sigma else np.eye(n)
    return np.moveaxis(np.moveaxis(x, axis, -1) @ kernel, -1, axis)


@pytest.mark.parametrize("shape", [(9,), (1, 1), (7, 33), (3, 4, 5), (2, 3, 2, 3)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("truncate", [None, 2.0])
def test_it_is_the_product_of_dense_matrices(to_device, to_host, shape, dtype, tolerance, truncate):
    x = np.random.default_rng(0).random(shape)
    sigma = np.linspace(0.5, 3, len(shape))
    result = gaussian_convolve(to_device(x.astype(dtype)), sigma, truncate=truncate)
    assert result.dtype == dtype
    for axis, width in enumerate(sigma):
        x = dense(x, axis, width, truncate or np.inf)
    np.testing.assert_allclose(to_host(result), x, rtol=tolerance * 10)


@pytest.mark.parametrize(("axes", "chosen"), [(1, [1]), ((2, 0), [2, 0]), (-1, [2]), ((), [])], ids=str)
def test_axes_are_chosen(to_device, to_host, axes, chosen):
    x = np.random.default_rng(0).random((4, 5, 6))
    sigma = 1.5 if len(chosen) < 2 else [1.5, 0.7]
    result = gaussian_convolve(to_device(x), sigma, axes=axes)
    for axis, width in zip(chosen, np.broadcast_to(sigma, len(chosen)), strict=True):
        x = dense(x, axis, width)
    np.testing.assert_allclose(to_host(result), x, rtol=1e-13)


def test_a_width_of_0_leaves_an_axis_as_it_is(to_device, to_host):
    x = np.random.default_rng(0).random((4, 5))
    np.testing.assert_array_equal(to_host(gaussian_convolve(to_device(x), 0.0)), x)
    rows = gaussian_convolve(to_device(x), [0.0, 2.0])
    np.testing.assert_allclose(to_host(rows), dense(x, 1, 2.0), rtol=1e-13)


def test_it_is_its_own_adjoint(to_device, to_host):
    x, y = np.random.default_rng(0).normal(size=(2, 9, 12))
    kx, ky = (to_host(gaussian_convolve(to_device(each), (1.0, 4.0))) for each in (x, y))
    assert abs(np.vdot(kx, y) - np.vdot(x, ky)) < 1e-13 * np.linalg.norm(kx) * np.linalg.norm(y)


@pytest.mark.parametrize("kind", ["fits", "wider", "strided", "input"])
def test_out_is_written_and_returned(xp, to_device, to_host, kind):
    x = to_device(np.random.default_rng(0).random((7, 8)).astype(np.float32))
    expected = to_host(gaussian_convolve(x, 1.5))
    out = {
        "fits": lambda: xp.empty((7, 8), np.float32),
        "wider": lambda: xp.empty((7, 8)),
        "strided": lambda: xp.empty((7, 16), np.float32)[:, ::2],
        "input": lambda: x,
    }[kind]()
    assert gaussian_convolve(x, 1.5, out=out) is out
    np.testing.assert_array_equal(to_host(out), expected)


def test_strided_and_empty_arrays(xp, to_device, to_host):
    x = np.random.default_rng(0).random((8, 9))
    expected = gaussian_convolve(to_device(np.ascontiguousarray(x[::2, ::-1])), 1.5)
    result = gaussian_convolve(to_device(x)[::2, ::-1], 1.5)
    np.testing.assert_array_equal(to_host(result), to_host(expected))
    assert gaussian_convolve(xp.empty((0, 3)), 1.5).shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": -1.0}, "sigma has -1.0; accepted are finite widths from 0"),
        ({"sigma": np.nan}, "sigma has nan"),
        ({"sigma": [1.0, 2.0, 3.0]}, r"sigma has shape \(3,\); accepted is a number, \(2,\)"),
        ({"truncate": 0.0}, "truncate is 0.0; accepted are finite numbers above 0"),
        ({"axes": 2}, "axes is 2; accepted are axes of an array with 2"),
        ({"axes": (0, -2)}, r"axes is \(0, -2\); accepted is each axis once"),
        ({"x": np.array([[1.0, np.inf]])}, r"x is inf at \(0, 1\); accepted are finite values"),
    ],
)
def test_what_is_refused(to_device, options, message):
    arguments = {"x": np.ones((3, 4)), "sigma": 1.0} | options
    arguments["x"] = to_device(arguments["x"])
    with pytest.raises(ValueError, match=message):
        gaussian_convolve(**arguments)


def test_complex_numbers_are_refused(to_device):
    with pytest.raises(TypeError, match="x has dtype complex128; accepted are float32, float64"):
        gaussian_convolve(to_device(np.ones((2, 2), complex)), 1.0)
