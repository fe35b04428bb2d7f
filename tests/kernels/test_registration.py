"""The registration kernels against their plain NumPy twins, and by invariants."""

import numpy as np
import pytest

from tests.reference import registration as reference

FAMILY = "registration"
PRECISIONS = ("float32", "float64")
# planned by the CPU's own FFT, odd, lines, a point
SHAPES = ((16, 16), (32, 16), (7, 9), (1, 8), (8, 1), (1, 1))
FACTORS = (1, 1.5, 2, 10, 100)
PAIRS = 3


def expected(name, *arguments):
    outputs = [np.empty(*argument) for argument in arguments if isinstance(argument, tuple)]
    remaining = iter(outputs)
    getattr(reference, name)(*(next(remaining) if isinstance(a, tuple) else a for a in arguments))
    return outputs


def complex_of(precision):
    return np.result_type(precision, np.complex64)


def images(rng, shape, precision, pairs=PAIRS):
    return rng.random((pairs, *shape)).astype(precision)


def spectra(rng, shape, precision, pairs=PAIRS):
    values = rng.normal(size=(pairs, *shape)) + 1j * rng.normal(size=(pairs, *shape))
    return values.astype(complex_of(precision))


def assert_close(actual, desired, precision, factor=50):
    """Equal to a few roundings of the largest value."""
    tolerance = factor * np.finfo(precision).eps * max(np.abs(desired).max(initial=0), 1e-30)
    np.testing.assert_allclose(actual, desired, rtol=0, atol=tolerance)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("references", "movings"), [(PAIRS, PAIRS), (1, PAIRS), (PAIRS, 1)])
def test_pack_pairs(call, rng, precision, shape, references, movings):
    arguments = (
        images(rng, shape, precision, references),
        5 * images(rng, shape, precision, movings),
        rng.random(shape).astype(precision),
        ((PAIRS, *shape), complex_of(precision)),
        ((PAIRS, 2), np.float64),
    )
    packed, energy = call("pack_pairs", *arguments)
    packed_expected, energy_expected = expected("pack_pairs", *arguments)
    assert_close(packed, packed_expected, precision)
    np.testing.assert_allclose(energy, energy_expected, rtol=10 * np.finfo(precision).eps)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_empty_image_is_packed_as_it_is(call, rng, precision):
    image, empty = images(rng, (7, 9), precision, 1), np.zeros((1, 7, 9), precision)
    outputs = ((1, 7, 9), complex_of(precision)), ((1, 2), np.float64)
    packed, energy = call("pack_pairs", image, empty, np.ones((7, 9), precision), *outputs)
    np.testing.assert_array_equal(packed, image)
    assert energy[0, 1] == 0
    packed, energy = call("pack_pairs", empty, image, np.ones((7, 9), precision), *outputs)
    np.testing.assert_array_equal(packed, 1j * image)
    assert energy[0, 0] == 0


@pytest.mark.parametrize("phase", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_packed_spectra_give_the_cross_power_of_the_separate_ones(call, rng, precision, shape, phase):
    first, second = images(rng, shape, precision), 1000 * images(rng, shape, precision)
    packed, energy = expected(
        "pack_pairs",
        first,
        second,
        np.ones(shape),
        ((PAIRS, *shape), np.complex128),
        ((PAIRS, 2), np.float64),
    )
    packed_freq = np.fft.fft2(packed).astype(complex_of(precision))
    (product,) = call("cross_power_packed", packed_freq, energy, phase, (packed.shape, packed_freq.dtype))
    separate, _ = expected(
        "cross_power",
        np.fft.fft2(first),
        np.fft.fft2(second),
        phase,
        (packed.shape, np.complex128),
        ((PAIRS, 2), np.float64),
    )
    # where a spectrum is nearly 0, its phase is rounding error
    assert_close(product, separate, precision, 1e4 if phase else 50)


@pytest.mark.parametrize("empty", [0, 1])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(16, 16), (7, 9)])
def test_the_rounding_of_an_empty_image_is_not_normalised(call, rng, precision, shape, empty):
    """Separated from the other image's spectrum, its spectrum is rounding error, not zero."""
    pair = [images(rng, shape, precision, 1) for _ in range(2)]
    pair[empty][:] = 0
    product, peak, energy = call(
        "correlate",
        *pair,
        np.ones(shape, precision),
        True,
        ((1, *shape), complex_of(precision)),
        ((1,), np.int64),
        ((1, 2), np.float64),
    )
    assert energy[0, empty] == 0
    assert energy[0, 1 - empty] > 0
    assert peak[0] == 0
    np.testing.assert_array_equal(product, 0)


@pytest.mark.parametrize("phase", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("references", "movings"), [(PAIRS, PAIRS), (1, PAIRS), (PAIRS, 1)])
def test_cross_power(call, rng, precision, shape, phase, references, movings):
    arguments = (
        spectra(rng, shape, precision, references),
        spectra(rng, shape, precision, movings),
        phase,
        ((PAIRS, *shape), complex_of(precision)),
        ((PAIRS, 2), np.float64),
    )
    product, energy = call("cross_power", *arguments)
    product_expected, energy_expected = expected("cross_power", *arguments)
    assert_close(product, product_expected, precision)
    np.testing.assert_allclose(energy, energy_expected, rtol=10 * np.finfo(precision).eps)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_small_spectra_are_not_normalised_to_noise(call, rng, precision):
    """Below 100 roundings the product keeps its size relative to that threshold."""
    spectrum = spectra(rng, (7, 9), precision, 1)
    small = (spectrum * np.finfo(precision).eps).astype(spectrum.dtype)
    outputs = (spectrum.shape, spectrum.dtype), ((1, 2), np.float64)
    product, _ = call("cross_power", spectrum, small, True, *outputs)
    assert_close(product, expected("cross_power", spectrum, small, True, *outputs)[0], precision)
    assert np.abs(product).max() < 1


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_correlation_peak(call, rng, precision, shape):
    correlation = spectra(rng, shape, precision)
    (peak,) = call("correlation_peak", correlation, ((PAIRS,), np.int64))
    np.testing.assert_array_equal(peak, expected("correlation_peak", correlation, ((PAIRS,), np.int64))[0])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_first_of_equal_peaks_and_a_nan_win(call, precision):
    correlation = np.zeros((4, 16, 16), complex_of(precision))
    correlation[1, 3, 5] = correlation[1, 9, 2] = -3j
    correlation[2, 3, 5], correlation[2, 11, 1] = 9, np.nan
    correlation[3] = 2
    (peak,) = call("correlation_peak", correlation, ((4,), np.int64))
    np.testing.assert_array_equal(peak, [0, 3 * 16 + 5, 11 * 16 + 1, 0])


@pytest.mark.parametrize("scale", [1e-24, 1e24])
def test_squares_beyond_single_precision_are_compared(call, scale):
    """16-bit images of 1024 x 1024 pixels have correlations of 5e21, those of picoamperes of 1e-20."""
    correlation = np.full((1, 16, 16), scale, np.complex64)
    correlation[0, 3, 5] *= 3
    (peak,) = call("correlation_peak", correlation, ((1,), np.int64))
    assert peak[0] == 3 * 16 + 5
    outputs = ((1, 2), np.float32), ((1,), np.complex128)
    product = np.full((1, 16, 16), scale, np.complex64)
    shift, value = call("refine_peak", product, np.zeros(1, np.int64), 10.0, *outputs)
    np.testing.assert_array_equal(shift, [[0, 0]])
    np.testing.assert_allclose(value, 256 * scale, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("shape", [(16, 16), (7, 9)])
def test_the_peak_does_not_depend_on_the_unit_of_the_images(call, rng, scale, shape):
    pair = [images(rng, shape, "float32"), images(rng, shape, "float32")]
    outputs = ((PAIRS, *shape), np.complex64), ((PAIRS,), np.int64), ((PAIRS, 2), np.float64)
    peaks = [
        call("correlate", *(unit * image for image in pair), np.ones(shape, "f4"), False, *outputs)[1]
        for unit in np.array([1, scale], np.float32)
    ]
    np.testing.assert_array_equal(*peaks)


@pytest.mark.parametrize("scale", [1e-16, 1e-8])
@pytest.mark.parametrize("shape", [(16, 16), (7, 9)])
def test_the_product_of_images_in_a_small_unit_is_divided_by_the_smallest_modulus(call, rng, scale, shape):
    pair = [np.float32(scale) * images(rng, shape, "float32") for _ in range(2)]
    outputs = ((PAIRS, *shape), np.complex64), ((PAIRS,), np.int64), ((PAIRS, 2), np.float64)
    arguments = (*pair, np.ones(shape, "f4"), True, *outputs)
    product, peak, _ = call("correlate", *arguments)
    product_expected, peak_expected, _ = expected("correlate", *arguments)
    np.testing.assert_array_equal(peak, peak_expected)
    assert_close(product, product_expected, "float32")


@pytest.mark.parametrize("phase", [False, True])
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("references", "movings"), [(PAIRS, PAIRS), (1, PAIRS)])
def test_correlate(call, rng, precision, shape, is_complex, phase, references, movings):
    make = spectra if is_complex else images
    arguments = (
        make(rng, shape, precision, references),
        make(rng, shape, precision, movings),
        rng.random(shape).astype(precision),
        phase,
        ((PAIRS, *shape), complex_of(precision)),
        ((PAIRS,), np.int64),
        ((PAIRS, 2), np.float64),
    )
    product, peak, energy = call("correlate", *arguments)
    product_expected, peak_expected, energy_expected = expected("correlate", *arguments)
    assert_close(product, product_expected, precision, 1e4 if phase else 50)
    np.testing.assert_allclose(energy, energy_expected, rtol=50 * np.finfo(precision).eps)
    np.testing.assert_array_equal(peak, peak_expected)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_refine_peak(call, rng, precision, shape, factor):
    """It is the largest on the grid; among equals to rounding, any."""
    product, peak = peaked_product(rng, shape, precision)
    outputs = ((PAIRS, 2), precision), ((PAIRS,), np.complex128)
    shift, value = call("refine_peak", product, peak, float(factor), *outputs)
    largest_shift, largest = expected("refine_peak", product, peak, float(factor), *outputs)
    assert_close(np.abs(value), np.abs(largest), precision)
    assert_close(value, correlation_at(product, shift), precision, 200)
    steps = shift * factor - np.round(largest_shift * factor)
    np.testing.assert_allclose(steps, np.round(steps), rtol=0, atol=1e-3)
    assert np.abs(steps).max() < (1.5 if precision == "float32" else 0.5)


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(150, 140), (144, 160)])
def test_images_of_several_blocks_are_registered(call, rng, precision, is_complex, shape):
    """Above 4096 pixels a GPU shares an image among blocks, whose sums a second kernel adds."""
    make = spectra if is_complex else images
    first = make(rng, shape, precision, 1)
    second = np.roll(first, (-7, 12), (1, 2))
    outputs = ((1, *shape), complex_of(precision)), ((1,), np.int64), ((1, 2), np.float64)
    arguments = (first, second, np.ones(shape, precision), False, *outputs)
    product, peak, energy = call("correlate", *arguments)
    for actual, desired in zip((product, peak, energy), expected("correlate", *arguments), strict=True):
        np.testing.assert_allclose(
            actual, desired, rtol=0, atol=1e3 * np.finfo(precision).eps * np.abs(desired).max()
        )
    assert peak[0] == 7 * shape[1] + shape[1] - 12
    arguments = (product, peak, 10.0, ((1, 2), precision), ((1,), np.complex128))
    shift, value = call("refine_peak", *arguments)
    np.testing.assert_allclose(shift, [[7, -12]], rtol=1e-6)
    np.testing.assert_allclose(value, [np.sqrt(energy.prod())], rtol=1e3 * np.finfo(precision).eps)


@pytest.mark.parametrize("shape", [(16, 16), (7, 9)])
def test_an_empty_image_does_not_spoil_the_reference_that_others_share(call, rng, shape):
    first, second = spectra(rng, shape, "float32", 1), spectra(rng, shape, "float32")
    second[0] = 0
    outputs = ((PAIRS, *shape), np.complex64), ((PAIRS,), np.int64), ((PAIRS, 2), np.float64)
    arguments = (first, second, np.ones(shape, "f4"), False, *outputs)
    assert_close(call("correlate", *arguments)[0], expected("correlate", *arguments)[0], "float32")


def peaked_product(rng, shape, precision):
    """Cross-power spectra with one peak each, some way off the whole pixels."""
    true_shift = rng.uniform(-0.4, 0.4, (PAIRS, 2)) * (np.array(shape) > 1) + [
        (row % shape[0], column % shape[1]) for row, column in [(0, 0), (5, 3), (-2, 4)]
    ]
    product = np.empty((PAIRS, *shape), np.complex128)
    reference.fourier_shift(rng.uniform(0.5, 1.5, product.shape), true_shift, product)
    peak = np.empty(PAIRS, np.int64)
    reference.correlation_peak(np.fft.ifft2(product), peak)
    return product.astype(complex_of(precision)), peak


def correlation_at(product, shift):
    ramps = np.empty(product.shape, np.complex128)
    reference.fourier_shift(product.astype(np.complex128), -shift.astype(np.float64), ramps)
    return ramps.sum(axis=(1, 2))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(5, 6), (1, 8), (16, 1), (9, 32)])
@pytest.mark.parametrize("position_sets", [1, PAIRS])
@pytest.mark.parametrize("count", [1, 12])
def test_matrix_dft(call, rng, precision, shape, position_sets, count):
    arguments = (
        spectra(rng, shape, precision),
        rng.uniform(-10, 10, (position_sets, count)),
        ((PAIRS, count, shape[1]), complex_of(precision)),
    )
    assert_close(call("matrix_dft", *arguments)[0], expected("matrix_dft", *arguments)[0], precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("length", [7, 8])
def test_the_adjoint_of_a_matrix_dft_at_whole_positions_is_that_at_their_negatives(
    call, rng, precision, length
):
    x, y = (spectra(rng, (length, 5), precision) for _ in range(2))
    positions = length * np.fft.fftfreq(length)[None]
    forward = call("matrix_dft", x, positions, (x.shape, x.dtype))[0]
    adjoint = call("matrix_dft", y, -positions, (y.shape, y.dtype))[0]
    np.testing.assert_allclose(np.vdot(y, forward), np.vdot(adjoint, x), rtol=100 * np.finfo(precision).eps)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shifts", [1, PAIRS])
def test_fourier_shift(call, rng, precision, shape, shifts):
    arguments = (
        spectra(rng, shape, precision),
        rng.uniform(-20, 20, (shifts, 2)),
        ((PAIRS, *shape), complex_of(precision)),
    )
    assert_close(call("fourier_shift", *arguments)[0], expected("fourier_shift", *arguments)[0], precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_fourier_shift_in_place(kernels, to_device, to_host, rng, precision):
    spectrum, shift = spectra(rng, (7, 9), precision), rng.uniform(-20, 20, (1, 2))
    desired = np.empty_like(spectrum)
    reference.fourier_shift(spectrum, shift, desired)
    place = to_device(spectrum.copy())
    kernels.registration.fourier_shift(place, to_device(shift), place)
    assert_close(to_host(place), desired, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_adjoint_of_a_shift_is_the_shift_back(call, rng, precision):
    x, y = (spectra(rng, (7, 8), precision) for _ in range(2))
    shift = rng.uniform(-5, 5, (PAIRS, 2))
    forward = call("fourier_shift", x, shift, (x.shape, x.dtype))[0]
    back = call("fourier_shift", y, -shift, (y.shape, y.dtype))[0]
    np.testing.assert_allclose(np.vdot(y, forward), np.vdot(back, x), rtol=100 * np.finfo(precision).eps)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_same_call_gives_the_same_bits(call, rng, precision):
    shape = (32, 16)
    arguments = (
        images(rng, shape, precision),
        images(rng, shape, precision),
        np.ones(shape, precision),
        False,
        ((PAIRS, *shape), complex_of(precision)),
        ((PAIRS,), np.int64),
        ((PAIRS, 2), np.float64),
    )
    for first, second in zip(call("correlate", *arguments), call("correlate", *arguments), strict=True):
        assert first.tobytes() == second.tobytes()
