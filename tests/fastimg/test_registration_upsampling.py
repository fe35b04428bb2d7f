"""``upsampled_dft``: against its definition and scikit-image, in batches."""

import numpy as np
import pytest

from fastimg.registration import upsampled_dft


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def by_definition(data, sizes, factor=1, offsets=None):
    """Transform all axes by their sums."""
    offsets = np.zeros(data.ndim) if offsets is None else offsets
    for axis, (size, offset) in enumerate(zip(sizes, offsets, strict=True)):
        positions = (np.arange(size) - offset) / factor
        matrix = np.exp(-2j * np.pi * np.outer(positions, np.fft.fftfreq(data.shape[axis])))
        data = np.moveaxis(np.tensordot(matrix, data, (1, axis)), 0, axis)
    return data


def random_spectrum(rng, shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@pytest.mark.parametrize(("dtype", "tolerance"), [("complex64", 1e-4), ("complex128", 1e-11)])
@pytest.mark.parametrize(
    ("shape", "sizes"), [((9,), (4,)), ((7, 8), (3, 5)), ((4, 5, 6), (2, 3, 4)), ((1, 6), (2, 2))]
)
def test_it_is_its_definition(rng, xp, to_device, to_host, shape, sizes, dtype, tolerance):
    data, offsets = random_spectrum(rng, shape).astype(dtype), rng.uniform(-3, 3, len(shape))
    result = upsampled_dft(to_device(data), sizes, 2.5, to_device(offsets))
    assert isinstance(result, xp.ndarray)
    assert result.dtype == dtype
    np.testing.assert_allclose(to_host(result), by_definition(data, sizes, 2.5, offsets), atol=tolerance)


@pytest.mark.parametrize(
    ("region", "factor", "offsets"), [(5, 1, None), ((3, 6), 10, (1.5, -2)), (4.0, 3, [2, 2])]
)
def test_it_is_that_of_scikit_image(rng, to_device, to_host, region, factor, offsets):
    skimage = pytest.importorskip("skimage.registration._phase_cross_correlation")
    data = random_spectrum(rng, (8, 9))
    result = upsampled_dft(to_device(data), region, factor, offsets)
    np.testing.assert_allclose(
        to_host(result), skimage._upsampled_dft(data, region, factor, offsets), atol=1e-11
    )


@pytest.mark.parametrize("offsets", [None, (2,), (3, 1, 2), (3, 4, 2), (4, 2)])
def test_a_batch_is_a_loop(rng, to_device, to_host, offsets):
    data = random_spectrum(rng, (3, 4, 6, 7))
    values = None if offsets is None else rng.uniform(-3, 3, offsets)
    result = upsampled_dft(to_device(data), (5, 2), 3, None if values is None else to_device(values))
    assert result.shape == (3, 4, 5, 2)
    each = np.broadcast_to(np.zeros(2) if values is None else values, (3, 4, 2))
    for index in np.ndindex(3, 4):
        np.testing.assert_allclose(
            to_host(result)[index], by_definition(data[index], (5, 2), 3, each[index]), atol=1e-11
        )


@pytest.mark.parametrize("offsets", [(2,), (7, 2)])
def test_the_result_does_not_depend_on_how_the_batch_is_cut(
    rng, kernels, to_device, to_host, monkeypatch, offsets
):
    data, values = to_device(random_spectrum(rng, (7, 4, 4))), to_device(rng.uniform(-3, 3, offsets))
    whole = to_host(upsampled_dft(data, (3, 3), 2, values))
    monkeypatch.setattr(kernels, "WORKSPACE_BYTES", 3 * 2 * 16 * 16)
    np.testing.assert_allclose(to_host(upsampled_dft(data, (3, 3), 2, values)), whole, atol=1e-13)


@pytest.mark.parametrize(
    ("dtype", "result"), [("float32", "complex64"), ("uint8", "complex64"), ("float64", "complex128")]
)
def test_real_data_have_a_complex_transform(to_device, to_host, dtype, result):
    transform = upsampled_dft(to_device(np.ones((4, 4), dtype)), 2)
    assert transform.dtype == result
    np.testing.assert_allclose(to_host(transform)[0, 0], 16, rtol=1e-6)


def test_out_is_written_and_returned(rng, xp, to_device, to_host):
    data = to_device(random_spectrum(rng, (2, 4, 5)))
    expected = to_host(upsampled_dft(data, (3, 3)))
    for out in (
        xp.empty((2, 3, 3), complex),
        xp.empty((2, 3, 3), np.complex64),
        xp.empty((2, 3, 6), complex)[..., ::2],
    ):
        assert upsampled_dft(data, (3, 3), out=out) is out
        np.testing.assert_allclose(to_host(out), expected, rtol=1e-5, atol=1e-5)
    same = to_device(random_spectrum(rng, (4, 4)))
    expected = to_host(upsampled_dft(same, 4))
    assert upsampled_dft(same, 4, out=same) is same
    np.testing.assert_allclose(to_host(same), expected, atol=1e-13)


def test_an_empty_region_and_an_empty_batch_are_empty(to_device):
    assert upsampled_dft(to_device(np.ones((4, 4))), 0).shape == (0, 0)
    assert upsampled_dft(to_device(np.ones((0, 4, 4))), (2, 2)).shape == (0, 2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"upsampled_region_size": [3, 2, 1, 4]},
            r"upsampled_region_size is \[3, 2, 1, 4\]; accepted are 1 to 2",
        ),
        ({"upsampled_region_size": ()}, "upsampled_region_size is"),
        ({"upsampled_region_size": 2.5}, "upsampled_region_size is 2.5; accepted are whole numbers"),
        ({"upsampled_region_size": (2, -1)}, "upsampled_region_size is"),
        ({"upsampled_region_size": (2, np.nan)}, "upsampled_region_size is"),
        ({"upsampled_region_size": 3, "axis_offsets": [3, 2, 1, 4]}, r"axis_offsets has shape \(4,\)"),
        ({"upsampled_region_size": 3, "axis_offsets": 1.0}, r"axis_offsets has shape \(\)"),
        ({"upsampled_region_size": 3, "axis_offsets": np.ones((2, 2))}, "axis_offsets has shape"),
        ({"upsampled_region_size": 3, "axis_offsets": [np.nan, 0]}, "axis_offsets contains NaN"),
        ({"upsampled_region_size": 3, "upsample_factor": 0}, "upsample_factor is 0"),
    ],
)
def test_what_is_wrong_is_named(to_device, options, message):
    if "axis_offsets" in options:
        options = options | {"axis_offsets": to_device(options["axis_offsets"])}
    with pytest.raises(ValueError, match=message):
        upsampled_dft(to_device(np.ones((4, 4))), **options)


def test_data_that_are_not_finite_are_named(to_device):
    with pytest.raises(ValueError, match="data contains NaN or infinity"):
        upsampled_dft(to_device(np.full((4, 4), np.nan)), 2)
