"""Masked registration and the masked normalised cross-correlation."""

import warnings

import numpy as np
import pytest

from fastimg.registration import cross_correlate_masked, phase_cross_correlation


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def by_definition(first, second, first_valid, second_valid, overlap_ratio):
    """Pearson's coefficient of the pixels valid in both, displacement by displacement (two dimensions)."""
    height, width = (a + b - 1 for a, b in zip(first.shape, second.shape, strict=True))
    coefficients, pixels = np.zeros((height, width)), np.zeros((height, width), int)
    for row, column in np.ndindex(height, width):
        dy, dx = row - second.shape[0] + 1, column - second.shape[1] + 1
        y, x = np.mgrid[max(dy, 0) : min(dy + second.shape[0], first.shape[0]),
                        max(dx, 0) : min(dx + second.shape[1], first.shape[1])]  # fmt: skip
        both = first_valid[y, x] & second_valid[y - dy, x - dx]
        pixels[row, column] = both.sum()
        if pixels[row, column] > 1:
            a, b = first[y, x][both], second[y - dy, x - dx][both]
            if a.std() > 1e-12 and b.std() > 1e-12:
                coefficients[row, column] = np.corrcoef(a, b)[0, 1]
    coefficients[pixels < overlap_ratio * pixels.max()] = 0
    return coefficients


@pytest.mark.parametrize("overlap_ratio", [0.1, 0.3, 1])
@pytest.mark.parametrize("shapes", [((9, 8), (9, 8)), ((9, 8), (5, 6)), ((4, 5), (8, 7))])
def test_it_is_the_coefficient_of_the_pixels_valid_in_both(
    rng, xp, to_device, to_host, shapes, overlap_ratio
):
    images = [rng.random(shape) + 100 for shape in shapes]
    masks = [rng.random(shape) > 0.3 for shape in shapes]
    result = cross_correlate_masked(*map(to_device, (*images, *masks)), overlap_ratio=overlap_ratio)
    assert isinstance(result, xp.ndarray)
    assert result.dtype == np.float64
    np.testing.assert_allclose(to_host(result), by_definition(*images, *masks, overlap_ratio), atol=1e-7)


@pytest.mark.parametrize("mode", ["full", "same"])
@pytest.mark.parametrize("axes", [(-2, -1), (0, 1), (0, 1, 2), (1,)])
def test_it_is_that_of_scikit_image(rng, to_device, to_host, mode, axes):
    skimage = pytest.importorskip("skimage.registration._masked_phase_cross_correlation")
    shapes = [[6, 7, 8], [6, 7, 8]]
    for axis in axes:
        shapes[1][axis] = 5
    arguments = [rng.random(shape) for shape in shapes] + [rng.random(shape) > 0.05 for shape in shapes]
    # It does not take negative axes for those of different lengths, and gives noise for overlaps of one pixel
    expected = skimage.cross_correlate_masked(
        *arguments, mode=mode, axes=tuple(axis % 3 for axis in axes), overlap_ratio=0.6
    )
    result = cross_correlate_masked(*map(to_device, arguments), mode=mode, axes=axes, overlap_ratio=0.6)
    assert result.dtype == np.float64
    np.testing.assert_allclose(to_host(result), expected, atol=1e-9)


def test_a_large_mean_does_not_drown_the_contrast(rng, to_device, to_host):
    images = [rng.random((8, 8)) for _ in range(2)]
    masks = [np.ones((8, 8), bool)] * 2
    plain = cross_correlate_masked(*map(to_device, (*images, *masks)))
    offset = cross_correlate_masked(*map(to_device, (images[0] + 1e6, images[1] - 1e6, *masks)))
    np.testing.assert_allclose(to_host(offset), to_host(plain), atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("uint8", "float32"),
        ("int64", "float64"),
    ],
)
def test_the_precision_is_that_of_the_images(rng, to_device, dtype, result):
    image = to_device((100 * rng.random((6, 6))).astype(dtype))
    mask = to_device(np.ones((6, 6), np.uint8))
    assert cross_correlate_masked(image, image, mask, mask).dtype == result
    assert phase_cross_correlation(image, image, reference_mask=mask)[0].dtype == result


@pytest.mark.parametrize("shape", [(20, 24), (40,), (9, 10, 11)])
def test_a_known_shift_is_recovered_from_the_valid_pixels(rng, xp, to_device, to_host, shape):
    shift = np.array([2, -3, 1])[: len(shape)]
    image = rng.random(shape)
    moving = np.roll(image, -shift, range(len(shape)))
    masks = [rng.random(shape) > 0.25 for _ in range(2)]
    for array, mask in zip((image, moving), masks, strict=True):
        array[~mask] = np.nan
    found, error, phasediff = phase_cross_correlation(
        to_device(image),
        to_device(moving),
        reference_mask=to_device(masks[0]),
        moving_mask=to_device(masks[1]),
    )
    assert isinstance(found, xp.ndarray)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(to_host(found), shift)
    assert np.isnan(error)
    assert np.isnan(phasediff)


def test_one_mask_serves_both_images_and_no_reference_mask_means_all_of_it(rng, to_device, to_host):
    image = rng.random((16, 16))
    moving = to_device(np.roll(image, (2, 3), (0, 1)))
    mask = to_device(np.ones((16, 16)))
    for masks in ({"reference_mask": mask}, {"moving_mask": mask}):
        np.testing.assert_array_equal(
            to_host(phase_cross_correlation(to_device(image), moving, **masks)[0]), [-2, -3]
        )


@pytest.mark.parametrize("cut", [4, 5])
def test_images_of_different_shapes_are_taken_as_aligned_by_their_centres(rng, to_device, to_host, cut):
    skimage = pytest.importorskip("skimage.registration")
    image = rng.random((24, 30))
    moving = np.roll(image, (2, -3), (0, 1))[cut:-3, 6:-6]
    masks = {"reference_mask": np.ones(image.shape, bool), "moving_mask": np.ones(moving.shape, bool)}
    found, _, _ = phase_cross_correlation(
        to_device(image), to_device(moving), **{name: to_device(mask) for name, mask in masks.items()}
    )
    expected = skimage.phase_cross_correlation(image, moving, **masks)[0]
    np.testing.assert_array_equal(to_host(found), expected)


def test_equal_maxima_give_their_mean(to_device, to_host):
    """An image of one period and a half correlates perfectly at several shifts."""
    image = np.tile([0.0, 1.0], 8)
    mask = np.ones(16, bool)
    arguments = [to_device(array) for array in (image, image)]
    found, _, _ = phase_cross_correlation(*arguments, reference_mask=to_device(mask))
    np.testing.assert_array_equal(to_host(found), [0])


def test_images_without_contrast_do_not_warn(to_device, to_host):
    flat, mask = to_device(np.ones((5, 5))), to_device(np.zeros((5, 5), bool))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(
            to_host(cross_correlate_masked(flat, flat, mask, mask)), np.zeros((9, 9))
        )


def test_the_inputs_keep_their_values(rng):
    arguments = [rng.random((4, 4)), rng.random((4, 4)), rng.random((4, 4)) > 0.5, rng.random((4, 4)) > 0.5]
    before = [argument.copy() for argument in arguments]
    for argument in arguments:
        argument.flags.writeable = False
    cross_correlate_masked(*arguments)
    for argument, copy in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(argument, copy)


ONES = np.ones((4, 5))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((ONES, ONES, ONES, ONES), {"mode": "valid"}, "mode is 'valid'; accepted are 'full' and 'same'"),
        ((ONES, ONES, ONES, ONES[1:]), {}, r"m2 has shape \(3, 5\); accepted is that of arr2, \(4, 5\)"),
        ((ONES, ONES, ONES[:, 1:], ONES), {}, "m1 has shape"),
        ((1j * ONES, ONES, ONES, ONES), {}, "arr1 has dtype complex128"),
        ((ONES, ONES, ONES, ONES), {"axes": (0, 2)}, r"axes is \(0, 2\)"),
        ((ONES, ONES, ONES, ONES), {"axes": (0, -2)}, r"axes is \(0, -2\)"),
        ((ONES, ONES[0], ONES, ONES[0]), {}, "arr1 has 2 dimensions and arr2 1"),
        ((ONES, ONES[1:], ONES, ONES[1:]), {"axes": (1,)}, "arr1 and arr2 have lengths 4 and 3 along axis 0"),
        ((ONES, np.nan * ONES, ONES, ONES), {}, "arr2, where m2 is True, contains NaN or infinity"),
        ((ONES, ONES, ONES, ONES), {"overlap_ratio": 1.5}, "overlap_ratio is 1.5"),
        ((ONES[:0], ONES, ONES[:0], ONES), {}, "arr1 has shape"),
    ],
)
def test_what_is_wrong_is_named(to_device, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        cross_correlate_masked(*map(to_device, arguments), **options)


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        ((ONES, ONES[1:]), {"reference_mask": ONES}, r"moving_image has shape \(3, 5\) and reference_image"),
        ((ONES, ONES), {"reference_mask": ONES[1:]}, "reference_mask has shape"),
        ((ONES, ONES), {"moving_mask": ONES[1:]}, "moving_mask has shape"),
        ((ONES, ONES[0]), {"reference_mask": ONES, "moving_mask": ONES[0]}, "moving_image has 1 dimensions"),
        (
            (ONES, np.inf * ONES),
            {"reference_mask": ONES},
            "moving_image, where moving_mask is True, contains",
        ),
    ],
)
def test_wrong_masks_are_named(to_device, images, masks, message):
    with pytest.raises(ValueError, match=message):
        phase_cross_correlation(
            *map(to_device, images), **{name: to_device(mask) for name, mask in masks.items()}
        )
