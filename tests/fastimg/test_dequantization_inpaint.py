"""``inpaint_biharmonic``: the values of scikit-image's, and its interface."""

import numpy as np
import pytest
import scipy.ndimage

from fastimg.dequantization import inpaint_biharmonic

restoration = pytest.importorskip("skimage.restoration")

# Of the range of the image; the solver's accuracy, of which a test of scikit-image's own needs 1e-3
CLOSE = 1e-4


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def picture(rng, shape):
    """A smooth image from 0 to 1 with some texture."""
    image = scipy.ndimage.gaussian_filter(rng.random(shape), 2) + 0.05 * rng.random(shape)
    return (image - image.min()) / np.ptp(image)


def holes(rng, shape):
    """Single pixels, scratches, a block, and one at the edge."""
    mask = rng.random(shape) < 0.1
    mask[shape[0] // 2, 2:-2] = True
    mask[4:9, 5:11] = True
    mask[:3, -4:] = True
    return mask


@pytest.mark.parametrize("shape", [(24, 21), (9, 30), (5, 12)])
def test_values_are_those_of_scikit_image_up_to_the_edge(rng, xp, to_device, to_host, shape):
    image, mask = picture(rng, shape), holes(rng, shape)
    result = inpaint_biharmonic(to_device(image), to_device(mask))
    assert isinstance(result, xp.ndarray)
    assert result.dtype == np.float64
    np.testing.assert_allclose(to_host(result), restoration.inpaint_biharmonic(image, mask), atol=CLOSE)
    np.testing.assert_array_equal(to_host(result)[~mask], image[~mask])


def test_one_axis_is_a_line(rng, to_device, to_host):
    image = picture(rng, (60,))
    mask = rng.random(60) < 0.4
    expected = restoration.inpaint_biharmonic(image, mask)
    np.testing.assert_allclose(
        to_host(inpaint_biharmonic(to_device(image), to_device(mask))), expected, atol=CLOSE
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_channels_share_the_mask_and_nothing_else(rng, to_device, to_host, axis):
    image = np.stack([picture(rng, (16, 18)) * scale for scale in (1.0, 0.2)], axis)
    mask = holes(rng, (16, 18))
    expected = restoration.inpaint_biharmonic(image, mask, channel_axis=axis)
    result = inpaint_biharmonic(to_device(image), to_device(mask), channel_axis=axis)
    np.testing.assert_allclose(to_host(result), expected, atol=CLOSE)


@pytest.mark.parametrize("kind", ["near", "far", "nested"])
def test_regions_solved_apart_have_the_values_of_all_at_once(rng, to_device, to_host, kind):
    image, mask = picture(rng, (26, 28)), np.zeros((26, 28), bool)
    if kind == "near":
        mask[5:9, 5:9] = mask[5:9, 12:16] = mask[13:15, 5:20] = True
    elif kind == "far":
        mask[1:5, 1:5] = mask[20:25, 20:26] = mask[3, 22] = True
    else:
        mask[2:24, 2:24] = True
        mask[5:21, 5:21] = False
        mask[12:14, 12:14] = True
    whole = inpaint_biharmonic(to_device(image), to_device(mask))
    apart = inpaint_biharmonic(to_device(image), to_device(mask), split_into_regions=True)
    np.testing.assert_allclose(to_host(apart), to_host(whole), atol=CLOSE)
    expected = restoration.inpaint_biharmonic(image, mask, split_into_regions=True)
    np.testing.assert_allclose(to_host(apart), expected, atol=CLOSE)


@pytest.mark.parametrize(
    "dtype",
    ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float16", "float32", "float64"],
)
def test_dtypes_become_what_scikit_image_makes_of_them(rng, to_device, to_host, dtype):
    values, mask = picture(rng, (12, 13)), holes(rng, (12, 13))
    if np.dtype(dtype).kind in "iu":
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        values = least + values * (float(most) - least) * 0.999
    elif dtype == "bool":
        values = values > 0.5
    image = values.astype(dtype)
    expected = restoration.inpaint_biharmonic(image, mask)
    result = to_host(inpaint_biharmonic(to_device(image), to_device(mask)))
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result[~mask], expected[~mask])
    np.testing.assert_allclose(result, expected, atol=2 * CLOSE)


def test_masks_may_be_numbers_and_pixels_under_them_anything(rng, to_device, to_host):
    image, mask = picture(rng, (12, 14)), holes(rng, (12, 14))
    expected = to_host(inpaint_biharmonic(to_device(image), to_device(mask)))
    spoiled = np.where(mask, np.where(image > 0.5, np.nan, -np.inf), image)
    for split in (False, True):
        result = inpaint_biharmonic(
            to_device(spoiled), to_device(mask.astype(np.uint8) * 255), split_into_regions=split
        )
        np.testing.assert_allclose(to_host(result), expected, atol=CLOSE)


def test_values_stay_within_the_range_of_the_known_ones(to_device, to_host):
    image = np.zeros((16, 16))
    image[:, :6] = np.arange(6) / 5
    mask = np.zeros((16, 16), bool)
    mask[2:14, 6:] = True
    mask[:, 3] = True
    result = to_host(inpaint_biharmonic(to_device(image), to_device(mask)))
    assert result.min() >= 0
    assert result.max() <= 1
    np.testing.assert_allclose(result, restoration.inpaint_biharmonic(image, mask), atol=CLOSE)


def test_nothing_unknown_is_a_copy(rng, to_device, to_host):
    image = picture(rng, (6, 7))
    given = to_device(image)
    result = inpaint_biharmonic(given, to_device(np.zeros((6, 7), bool)))
    assert result is not given
    np.testing.assert_array_equal(to_host(result), image)


def test_the_image_keeps_its_values_and_may_be_strided(rng, to_device, to_host):
    image, mask = picture(rng, (24, 26)), holes(rng, (12, 13))
    given = to_device(image)
    result = inpaint_biharmonic(given[::-2, ::2], to_device(mask))
    np.testing.assert_array_equal(to_host(given), image)
    expected = restoration.inpaint_biharmonic(image[::-2, ::2], mask)
    np.testing.assert_allclose(to_host(result), expected, atol=CLOSE)


@pytest.mark.host_only  # CuPy has neither
def test_read_only_and_byte_swapped_images_are_read(rng):
    image, mask = picture(rng, (12, 13)).astype(">f4"), holes(rng, (12, 13))
    image.flags.writeable = False
    result = inpaint_biharmonic(image, mask)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, restoration.inpaint_biharmonic(image.astype("f4"), mask), atol=CLOSE)


def test_what_is_wrong_is_named(to_device):
    image, mask = to_device(np.ones((4, 5))), to_device(np.eye(4, 5, dtype=bool))
    everywhere, spoiled = to_device(np.ones((4, 5), bool)), to_device(np.where(np.eye(4, 5), 1, np.nan))
    cases = [
        ((image, mask[:3]), {}, r"mask has shape \(3, 5\); accepted is that of the image, \(4, 5\)"),
        ((image, mask), {"channel_axis": 0}, r"mask has shape \(4, 5\); accepted is .*\(5,\)"),
        ((image, mask), {"channel_axis": 2}, "channel_axis is 2; accepted are whole numbers from -2 to 1"),
        ((image, everywhere), {}, "mask has no known pixel"),
        ((spoiled, mask), {}, r"image is nan at \(0, 0, 1\); accepted are finite values"),
        (
            (to_device(np.ones((2, 4, 5))), mask),
            {},
            r"image has shape \(2, 4, 5\); accepted are one and two axes",
        ),
        ((to_device(np.ones(())), to_device(np.zeros(()))), {}, r"image has shape \(\)"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(ValueError, match=message):
            inpaint_biharmonic(*arguments, **options)


def test_complex_images_and_masked_arrays_are_refused(xp, to_device):
    mask = to_device(np.eye(4, dtype=bool))
    with pytest.raises(TypeError, match="image has dtype complex128; accepted are real numbers"):
        inpaint_biharmonic(to_device(np.ones((4, 4), complex)), mask)
    if xp is np:
        with pytest.raises(TypeError, match="image is a masked array"):
            inpaint_biharmonic(np.ma.ones((4, 4)), mask)
