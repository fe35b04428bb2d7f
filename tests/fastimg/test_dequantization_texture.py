"""``textured_regions``: a mask where neighbours differ by more than quantization explains."""

import numpy as np
import pytest
import scipy.ndimage

from fastimg.dequantization import textured_regions
from tests.fastimg.dequantization_cases import codes_of, hill


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "uint64", "float32"])
@pytest.mark.parametrize(
    ("threshold", "size", "dilation"), [(1, 3, 1), (0, 3, 0), (20, 5, 2), (2.5, 7, 4), (3, 1, 1)]
)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (12, 13)])
def test_it_is_the_dilated_range_over_the_window(to_device, to_host, dtype, threshold, size, dilation, shape):
    rng = np.random.default_rng(4)
    low, high = (-120, 120) if dtype == "int8" else (0, 250)
    image = np.where(rng.random(shape) < 0.1, rng.integers(low, high, shape), 7).astype(dtype)
    wide = image.astype(np.float64)
    mode = {"size": size, "mode": "nearest"}
    span = scipy.ndimage.maximum_filter(wide, **mode) - scipy.ndimage.minimum_filter(wide, **mode)
    expected = scipy.ndimage.maximum_filter(span > threshold, 2 * dilation + 1, mode="constant")
    result = textured_regions(to_device(image), threshold=threshold, size=size, dilation=dilation)
    assert result.dtype == bool
    np.testing.assert_array_equal(to_host(result), expected)


def test_a_smooth_image_has_no_texture_and_an_object_in_it_has_an_outline(to_device, to_host):
    codes = codes_of(hill((30, 30), 3.9))
    assert not to_host(textured_regions(to_device(codes))).any()
    codes[10:14, 10:14] += 3
    result = to_host(textured_regions(to_device(codes)))
    assert result[9:15, 9:15].all()
    assert not result[:7].any()


def test_binary_images_have_one_step_only(to_device, to_host):
    image = np.random.default_rng(0).random((9, 9)) > 0.5
    assert not to_host(textured_regions(to_device(image))).any()
    assert to_host(textured_regions(to_device(image), threshold=0)).any()


def test_batches_and_channels_are_the_single_images(to_device, to_host):
    image = np.random.default_rng(1).integers(0, 4, (2, 9, 8, 3)).astype(np.uint8)
    result = to_host(textured_regions(to_device(image), threshold=2, size=1 + 2, channel_axis=-1))
    for batch in range(2):
        for channel in range(3):
            alone = textured_regions(to_device(image[batch, ..., channel].copy()), threshold=2)
            np.testing.assert_array_equal(result[batch, ..., channel], to_host(alone))


@pytest.mark.parametrize("shape", [(0, 4), (3, 4, 0), (0, 4, 4)])
def test_empty_images_have_empty_masks(to_device, shape):
    assert textured_regions(to_device(np.zeros(shape))).shape == shape


@pytest.mark.parametrize(
    ("error", "options", "message"),
    [
        (ValueError, {"size": 4}, "size is 4; accepted are odd sides"),
        (ValueError, {"size": 0}, "size is 0; accepted are whole numbers from 1"),
        (ValueError, {"dilation": -1}, "dilation is -1"),
        (TypeError, {"dilation": 0.5}, "dilation is 0.5; accepted are whole numbers"),
        (ValueError, {"threshold": -1}, "threshold is -1; accepted are finite numbers from 0"),
        (ValueError, {"threshold": np.nan}, "threshold is nan"),
        (ValueError, {"channel_axis": 5}, "channel_axis is 5"),
    ],
)
def test_what_is_wrong_is_named(to_device, error, options, message):
    with pytest.raises(error, match=message):
        textured_regions(to_device(np.zeros((3, 4, 5))), **options)


def test_an_image_that_is_not_finite_or_complex_is_refused(to_device):
    with pytest.raises(ValueError, match=r"image is nan at \(1, 1\)"):
        textured_regions(to_device(np.where(np.eye(3) * [0, 1, 0], np.nan, 0)))
    with pytest.raises(TypeError, match="image has dtype complex128; accepted are real numbers"):
        textured_regions(to_device(np.zeros((3, 3), complex)))
