"""``phase_cross_correlation`` without masks: known shifts, scikit-image's results, warnings and errors."""

import warnings

import numpy as np
import pytest

from fastimg.registration import phase_cross_correlation
from tests.fastimg.registration_images import band_limited, moved, precision_of

DTYPES = ("float32", "float64", "complex64", "complex128")
# Beyond half a step: where the true shift lies halfway between two candidates, rounding decides
ROUNDING = {"float32": 5e-4, "float64": 1e-7}


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize("factor", [1, 1.5, 2, 7, 10, 33, 100])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("normalization", [None, "phase"])
def test_a_known_shift_is_recovered(rng, xp, to_device, to_host, factor, dtype, normalization):
    shift = np.array([3.217, -5.894])
    image = band_limited(rng, (20, 23), is_complex=dtype.startswith("c"))
    reference, moving = (to_device(array.astype(dtype)) for array in (image, moved(image, -shift)))
    found, error, phasediff = phase_cross_correlation(
        reference, moving, upsample_factor=factor, normalization=normalization
    )
    assert isinstance(found, xp.ndarray)
    assert found.dtype == error.dtype == phasediff.dtype == precision_of(dtype)
    assert found.shape == (2,)
    assert error.shape == phasediff.shape == ()
    # Without normalisation the peak is not separable: the best candidate need not be the nearest on each axis
    nearest = 0.5 if normalization == "phase" else 0.55
    assert np.abs(to_host(found) - shift).max() <= nearest / factor + ROUNDING[found.dtype.name]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_factor_is_accurate_to_half_a_step(rng, dtype):
    image = band_limited(rng, (16, 15))
    for factor in range(1, 101):
        shift = rng.uniform(-7, 7, 2)
        found, _, _ = phase_cross_correlation(
            image.astype(dtype),
            moved(image, -shift).astype(dtype),
            upsample_factor=factor,
        )
        assert np.abs(found - shift).max() <= 0.5 / factor + ROUNDING[dtype]


@pytest.mark.parametrize("factor", [1, 3, 20])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(31,), (40,), (9, 10, 11), (1, 12, 10), (6, 5, 4, 7), (12, 1), (1, 9), (1, 1)]
)
def test_a_known_shift_is_recovered_in_any_dimension(rng, xp, to_device, to_host, shape, dtype, factor):
    shift = np.array([1.43, -2.29, 1.87, -0.71])[: len(shape)] * (np.array(shape) > 1)
    # the random image of a single pixel can be anything, but must not be empty
    image = band_limited(rng, shape, is_complex=dtype.startswith("c")) + 5
    found, error, phasediff = phase_cross_correlation(
        to_device(image.astype(dtype)),
        to_device(moved(image, -shift).astype(dtype)),
        upsample_factor=factor,
        normalization=None,
    )
    assert found.dtype == error.dtype == phasediff.dtype == precision_of(dtype)
    assert np.abs(to_host(found) - shift).max() <= 0.55 / factor + ROUNDING[found.dtype.name]


@pytest.mark.parametrize("factor", [1, 2, 3.5, 10, 100])
@pytest.mark.parametrize("normalization", [None, "phase"])
@pytest.mark.parametrize("space", ["real", "fourier"])
@pytest.mark.parametrize("shape", [(24, 20), (25, 31), (18,), (8, 9, 10)])
def test_results_are_those_of_scikit_image(rng, to_device, to_host, shape, space, normalization, factor):
    skimage = pytest.importorskip("skimage.registration")
    image = rng.random(shape)
    moving = moved(image, rng.uniform(-4, 4, len(shape))) + 0.05 * rng.random(shape)
    if space == "fourier":
        image, moving = np.fft.fftn(image), np.fft.fftn(moving)
    options = {"upsample_factor": factor, "normalization": normalization, "space": space}
    expected = skimage.phase_cross_correlation(image, moving, **options)
    found = phase_cross_correlation(to_device(image), to_device(moving), **options)
    for actual, desired in zip(found, expected, strict=True):
        np.testing.assert_allclose(to_host(actual), desired, rtol=1e-9, atol=1e-9)
        assert actual.dtype == np.float64


def test_two_dimensions_agree_with_the_path_of_any_dimension(rng, to_device, to_host):
    """An added axis of length 1 takes another way through the code, to the same result."""
    image = rng.random((12, 17))
    moving = moved(image, (2.34, -1.07)) + 0.1 * rng.random((12, 17))
    flat = phase_cross_correlation(to_device(image), to_device(moving), upsample_factor=50)
    deep = phase_cross_correlation(to_device(image[None]), to_device(moving[None]), upsample_factor=50)
    np.testing.assert_allclose(to_host(deep[0]), [0, *to_host(flat[0])], atol=1e-12)
    for one, other in zip(flat[1:], deep[1:], strict=True):
        np.testing.assert_allclose(to_host(one), to_host(other), atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        ("bool", "float32"),
        ("uint8", "float32"),
        ("int16", "float32"),
        ("float16", "float32"),
        ("int32", "float64"),
        ("uint64", "float64"),
    ],
)
def test_other_dtypes_come_out_in_the_precision_that_holds_them(rng, to_device, to_host, dtype, result):
    image = (100 * rng.random((16, 18))).astype(dtype)
    moving = np.roll(image, (3, -4), (0, 1))
    if dtype == "bool":
        image, moving = image & (rng.random((16, 18)) > 0.5), None
        moving = np.roll(image, (3, -4), (0, 1))
    shift, error, _ = phase_cross_correlation(to_device(image), to_device(moving), upsample_factor=4)
    assert shift.dtype == error.dtype == result
    np.testing.assert_array_equal(to_host(shift), [-3, 4])


def test_mixed_precision_is_double(rng, to_device, to_host):
    image = rng.random((16, 16))
    shift, _, _ = phase_cross_correlation(to_device(image.astype("f4")), to_device(np.roll(image, 2, 0)))
    assert shift.dtype == np.float64
    np.testing.assert_array_equal(to_host(shift), [-2, 0])


def test_lists_are_images():
    image = [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    moving = [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    shift, _, _ = phase_cross_correlation(image, moving)
    np.testing.assert_array_equal(shift, [0, -1])


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2], lambda a: a[::-1][::-1]]
)
def test_the_inputs_keep_their_values(rng, layout):
    image = layout(rng.random((16, 16)))
    image.flags.writeable = False
    before = image.copy()
    phase_cross_correlation(image, image, upsample_factor=10)
    np.testing.assert_array_equal(image, before)


def test_error_and_phase_difference_of_a_rotated_phase(rng, to_device, to_host):
    image = band_limited(rng, (16, 18), is_complex=True)
    _, error, phasediff = phase_cross_correlation(
        to_device(image), to_device(image * np.exp(-0.3j)), normalization=None
    )
    np.testing.assert_allclose(to_host(phasediff), 0.3, atol=1e-12)
    np.testing.assert_allclose(to_host(error), 0, atol=1e-6)


@pytest.mark.parametrize("shift", [(40, -25), (-40, -25), (3, 7), (0, 0), (-12, 30), (24.4, -18.7)])
@pytest.mark.parametrize("space", ["real", "fourier"])
def test_disambiguation_finds_shifts_beyond_half_the_image(rng, to_device, to_host, shift, space):
    scene = rng.random((161, 161))
    reference = scene[50:114, 50:110]
    moving = moved(scene, np.negative(shift))[50:114, 50:110]
    if space == "fourier":
        reference, moving = np.fft.fft2(reference), np.fft.fft2(moving)
    found, _, _ = phase_cross_correlation(
        to_device(reference), to_device(moving), disambiguate=True, upsample_factor=5, space=space
    )
    assert found.dtype == np.float64
    np.testing.assert_allclose(to_host(found), shift, atol=0.3)


def test_disambiguation_of_no_shift(rng, to_device, to_host):
    image = to_device(rng.random((16, 16)))
    shift, _, _ = phase_cross_correlation(image, image, disambiguate=True)
    np.testing.assert_array_equal(to_host(shift), [0, 0])


def test_nothing_is_said_about_images_with_empty_parts(to_device):
    first, second = np.zeros((20, 20)), np.zeros((20, 20))
    first[10, 10] = second[12, 12] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phase_cross_correlation(to_device(first), to_device(second), disambiguate=True)


@pytest.mark.parametrize("factor", [1, 10])
@pytest.mark.parametrize("shape", [(16, 16), (16,), (4, 4, 4)])
@pytest.mark.parametrize("present", [(1, 0), (0, 1), (0, 0)])
def test_an_empty_image_warns_of_both_where_it_was_called(to_device, to_host, present, shape, factor):
    image = to_device(np.arange(np.prod(shape), dtype=float).reshape(shape))
    images = [image * factor_ for factor_ in present]
    with pytest.warns(UserWarning, match="Could not determine") as records:
        shift, error, phasediff = phase_cross_correlation(*images, disambiguate=True, upsample_factor=factor)
    assert [record.filename for record in records] == [__file__, __file__]
    assert "Could not determine real-space shift" in str(records[0].message)
    assert "Could not determine RMS error" in str(records[1].message)
    if factor == 1:
        np.testing.assert_array_equal(to_host(shift), np.zeros(len(shape)))
    assert np.isnan(to_host(error))
    assert to_host(phasediff) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(8, 8), (8,), (4, 4, 4)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128"])
def test_values_that_are_not_finite_are_named(to_device, bad, shape, dtype):
    good = to_device(np.ones(shape, dtype))
    array = np.ones(shape, dtype)
    array.flat[3] = bad
    with pytest.raises(ValueError, match="moving_image contains NaN or infinity"):
        phase_cross_correlation(good, to_device(array))
    with pytest.raises(ValueError, match="reference_image contains NaN or infinity"):
        phase_cross_correlation(to_device(array), good)


def test_large_finite_values_are_not_taken_for_infinity(to_device, to_host):
    """Their sum overflows."""
    image = np.zeros((8, 8), np.float32)
    image[2, 3] = image[2, 4] = image[5, 6] = 3e38
    shift, _, _ = phase_cross_correlation(to_device(image), to_device(image))
    assert shift.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (((8, 8), (8, 8, 1)), {}, "reference_image and moving_image have shapes"),
        (((8, 8), (8, 7)), {}, "reference_image and moving_image have shapes"),
        (((0, 8), (0, 8)), {}, "reference_image has shape"),
        (((), ()), {}, "reference_image has shape"),
        (((8, 8), (8, 8)), {"space": "frank"}, "space is 'frank'; accepted are 'real' and 'fourier'"),
        (((8, 8), (8, 8)), {"space": None}, "space is None"),
        (
            ((8, 8), (8, 8)),
            {"normalization": "none"},
            "normalization is 'none'; accepted are 'phase' and None",
        ),
        (((8, 8), (8, 8)), {"upsample_factor": 0.5}, "upsample_factor is 0.5"),
        (((8, 8), (8, 8)), {"upsample_factor": np.nan}, "upsample_factor is nan"),
        (((8, 8), (8, 8)), {"upsample_factor": np.inf}, "upsample_factor is inf"),
    ],
)
def test_what_is_wrong_is_named(to_device, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        phase_cross_correlation(*(to_device(np.ones(shape)) for shape in arguments), **options)


def test_a_dtype_that_is_not_accepted_is_named():
    with pytest.raises(TypeError, match="moving_image has dtype object"):
        phase_cross_correlation(np.ones((4, 4)), np.ones((4, 4), object))


def test_arrays_of_two_devices_are_named(xp, to_device):
    if xp is np:
        pytest.skip("there is one kind of array only")
    with pytest.raises(TypeError, match="moving_image on a GPU but reference_image on the CPU"):
        phase_cross_correlation(np.ones((4, 4)), to_device(np.ones((4, 4))))
