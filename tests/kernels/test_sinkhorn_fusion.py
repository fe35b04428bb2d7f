"""The fused iteration on cubes of which one measure moves along the bands, the other in the plane."""

import numpy as np
import pytest

from fastimg.kernels._sinkhorn_layout import padded_bands
from tests.kernels.conftest import Changed
from tests.kernels.sinkhorn_cases import TINY, Output, expected, launcher, positive, run_as_large

# dtype of u_M and its measure, dtype of the rest, and the error of a quotient of two sums and a power
PRECISIONS = {
    "float32": ("float32", "float32", 2e-5),
    "mixed": ("float64", "float32", 2e-5),
    "float64": ("float64", "float64", 1e-12),
}

# Rows, columns, bands: single ones, odd ones, and several tiles of pixels; bands of one to three vectors
SHAPES = [(1, 1, 1), (1, 7, 3), (5, 1, 16), (9, 7, 15), (13, 10, 17), (3, 37, 40), (35, 6, 33)]

parametrize_precision = pytest.mark.parametrize("precision", PRECISIONS)
parametrize_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@pytest.fixture
def launch(kernels, xp, to_device, to_host):
    return launcher(kernels, xp, to_device, to_host)


@pytest.fixture(autouse=True, params=["as called", "two threads"])
def threads(request, device, monkeypatch):
    """Run each test as it comes, and with the parallel versions that large arrays take on the CPU."""
    if request.param == "two threads":
        run_as_large(device, monkeypatch)


def cube(rng, shape, dtype, spread=1.0):
    """Positive numbers, and ones in the padding."""
    result = np.ones((*shape[:2], padded_bands(shape[2])), dtype)
    result[..., : shape[2]] = positive(rng, shape, dtype, spread)
    return result


def close(result, target, rtol, name=""):
    assert result.dtype == target.dtype
    np.testing.assert_allclose(result, target, rtol=rtol, atol=TINY[target.dtype.name], err_msg=name)


@parametrize_precision
@parametrize_shape
@pytest.mark.parametrize(
    ("sigmas", "radii"), [((0.9, 1.3), (3, 4)), ((2.5, 0.7), (40, 50)), ((0.0, 2.0), (0, 5))], ids=str
)
def test_the_planes(launch, rng, precision, shape, sigmas, radii):
    _, dtype, rtol = PRECISIONS[precision]
    u_h, measure_h = cube(rng, shape, dtype), cube(rng, shape, dtype)
    arguments = u_h, measure_h, sigmas, radii, Output(u_h.shape, dtype)
    (result,), (target,) = launch("scale_planes", *arguments), expected("scale_planes", *arguments)
    close(result[..., : shape[2]], target[..., : shape[2]], rtol)
    assert np.isfinite(result).all()
    assert (result > 0).all()


def spectra(rng, precision, shape, *, sigma=2.06, radius=None, sigmas=(0.9, 1.3), radii=(3, 4), weight=0.1):
    spectral, plane, _ = PRECISIONS[precision]
    bands = shape[2]
    gauge = np.ldexp(np.ones(padded_bands(bands)), rng.integers(-9, 10, padded_bands(bands))).astype(plane)
    padded = padded_bands(bands)
    return (
        Changed(cube(rng, shape, spectral, 2)), cube(rng, shape, spectral), sigma,
        bands if radius is None else radius, Changed(cube(rng, shape, plane)), cube(rng, shape, plane),
        sigmas, radii, weight, gauge, bands, Output((*shape[:2], padded), plane), Output((2, padded), plane),
        Output((1,)),
    )  # fmt: skip


def check_spectra(launch, precision, arguments):
    """Compare u_M up to a power of two for each pixel, and everything else."""
    *_, rtol = PRECISIONS[precision]
    bands = arguments[10]
    results, targets = launch("fuse_spectra", *arguments), expected("fuse_spectra", *arguments)
    for each in results[:-2]:
        assert np.isfinite(each).all(), "the padding stays finite"
    u_m, u_h, *fused, extremes, span = results
    target_m, target_h, *target_fused, target_extremes, target_span = targets
    factor = u_m[..., :1].astype(float) / target_m[..., :1]
    powers = np.rint(np.log2(factor))
    assert np.abs(powers).max() <= 1, "the largest value of a pixel is near 1"
    close(np.ldexp(u_m, -powers.astype(int))[..., :bands], target_m[..., :bands], rtol, "u_m")
    close(u_h[..., :bands], target_h[..., :bands], rtol, "u_h")
    close(extremes[:, :bands], target_extremes[:, :bands], rtol, "extremes")
    if fused:
        close(fused[0][..., :bands], target_fused[0][..., :bands], rtol, "fused")
    np.testing.assert_allclose(span, target_span, rtol=1e-6, atol=2 * rtol)
    return results


@parametrize_precision
@parametrize_shape
def test_the_spectra(launch, rng, precision, shape):
    check_spectra(launch, precision, spectra(rng, precision, shape))


@parametrize_precision
@pytest.mark.parametrize(
    "options",
    [
        {"radius": 5, "radii": (2, 3)},
        {"radius": 99, "radii": (40, 50), "sigmas": (3.0, 2.0)},
        {"sigma": 0.4, "weight": 0.9},
        {"sigma": 0.0, "radius": 0},
        {"sigmas": (0.0, 1.0), "radii": (0, 4), "weight": 0.5},
        {"sigmas": (1.0, 0.0), "radii": (4, 0)},
        {"weight": 0.0},
        {"weight": 1.0},
    ],
    ids=str,
)
def test_widths_radii_and_weights(launch, rng, precision, options):
    check_spectra(launch, precision, spectra(rng, precision, (13, 10, 33), **options))


@parametrize_precision
def test_the_fused_cube_need_not_be_kept(launch, rng, precision):
    arguments = list(spectra(rng, precision, (5, 6, 20)))
    whole = check_spectra(launch, precision, arguments)
    arguments[11] = None
    rest = check_spectra(launch, precision, arguments)
    for result, other in zip(rest, [*whole[:2], *whole[3:]], strict=True):
        real = 20 if result.ndim > 1 else None
        np.testing.assert_array_equal(result[..., :real], other[..., :real])


@parametrize_precision
def test_a_gauge_of_powers_of_two_leaves_the_fused_cube_as_it_is(launch, rng, precision):
    arguments = list(spectra(rng, precision, (5, 6, 20)))
    gauge = arguments[9]
    one = launch("fuse_spectra", *arguments)
    arguments[9] = np.ones_like(gauge)
    other = launch("fuse_spectra", *arguments)
    np.testing.assert_array_equal(one[2][..., :20], other[2][..., :20])
    np.testing.assert_array_equal(one[1][..., :20], (other[1] * gauge)[..., :20])


@parametrize_precision
def test_scalings_of_a_wide_range_keep_their_precision(launch, rng, precision):
    arguments = list(spectra(rng, precision, (4, 5, 33), sigma=0.8))
    steps = np.linspace(-1, 1, 33)
    range_m, range_h = {"float32": (25, 20), "mixed": (100, 20), "float64": (100, 90)}[precision]
    arguments[0].array[..., :33] *= np.exp(range_m * steps).astype(arguments[0].array.dtype)
    arguments[4].array[..., :33] *= np.exp(-range_h * steps).astype(arguments[4].array.dtype)
    check_spectra(launch, precision, arguments)
