"""What fusion does not accept, and how it says so, before any work."""

import sys

import numpy as np
import pytest

from fastimg.fusion import (
    arithmetic_mean,
    cnmf,
    denoise_wiener,
    gsa,
    hmwb,
    kernel_widths,
    resample_response,
    simulate_pair,
    spectral_inverse,
    upsample,
)
from tests.fastimg.fusion_cases import JOINT, RATIO, pair

OPTIONS = {"ratio": RATIO, "denoise": False, "iterations": 2}


@pytest.fixture
def images():
    return pair()


def fuse(to_device, images, **options):
    h, m, table = images
    return hmwb(to_device(h), to_device(m), **{"spectral_response": table, **OPTIONS, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 0}, r"ratio is 0; accepted are whole numbers from 1"),
        ({"ratio": 2}, r"multispectral has 16 × 20 pixels; accepted .* 4 × 5 and ratio 2 are 8 × 10"),
        ({"weight": 0}, r"weight is 0; accepted are numbers above 0 and below 1"),
        ({"weight": 1.0}, r"weight is 1.0; accepted are numbers above 0 and below 1"),
        ({"weight": np.nan}, r"weight is nan; accepted are"),
        ({"iterations": 0}, r"iterations is 0; accepted are whole numbers from 1"),
        ({"gamma_m": 0}, r"gamma_m is 0; accepted are finite numbers above 0"),
        ({"gamma_h": np.inf}, r"gamma_h is inf; accepted are finite numbers above 0"),
        ({"alpha_m": -1}, r"alpha_m is -1; accepted are finite numbers above 0"),
        ({"alpha_h": np.nan}, r"alpha_h is nan; accepted are finite numbers above 0"),
        ({"precision": "half"}, r"precision is 'half'; accepted are 'auto', 'float32', 'mixed', "),
        ({"precision": "mixed", **JOINT}, r"precision is 'mixed' where the kernels are not separate"),
        ({"spectral_inverse": "inv"}, r"spectral_inverse is 'inv'; accepted are 'pinv', 'regression'"),
        ({"spectral_inverse": np.ones((4, 21))}, r"spectral_inverse has shape \(4, 21\); .*\(21, 4\)"),
        ({"spatial_inverse": "linear"}, r"spatial_inverse is 'linear'; accepted are 'cubic'"),
        ({"spectral_response": np.ones((3, 21))}, r"has shape \(3, 21\); accepted is \(4, 21\)"),
        ({"spectral_response": -np.ones((4, 21))}, r"spectral_response has -1; accepted are values from 0"),
        ({"spectral_response": np.eye(4, 21) * [[1], [1], [0], [1]]}, r"only zeros in row 2"),
        ({"spectral_response": np.full((4, 21), np.nan)}, r"spectral_response is nan at \(0, 0\)"),
        ({"spectral_response": np.ones(21)}, r"spectral_response has shape \(21,\); accepted is a matrix"),
        ({"blur": np.ones((2, 2, 2))}, r"blur has shape \(2, 2, 2\); accepted are a width, a kernel"),
        ({"blur": [1, -1]}, r"blur has the sum 0; accepted are kernels whose sum is above 0"),
        ({"blur": -1.0}, r"blur is -1; accepted are widths above 0 and up to 10000 pixels, kernels and None"),
        ({"blur": 0}, r"blur is 0; accepted are widths above 0"),
        ({"blur": 1e9}, r"blur is 1e\+09; accepted are widths above 0"),
        ({"blur": True}, r"blur is True; accepted are widths above 0"),
        ({"blur": [np.nan]}, r"blur is nan at \(0,\)"),
    ],
)  # fmt: skip
def test_what_is_not_accepted_is_named(to_device, images, options, message):
    with pytest.raises(ValueError, match=message):
        fuse(to_device, images, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": "half"}, r"weight is 'half'; accepted are numbers above 0 and below 1"),
        ({"ratio": 4.0}, r"ratio is 4.0; accepted are whole numbers from 1"),
        ({"callback": 3}, r"callback is 3; accepted are functions of a FusionState, and None"),
        ({"denoise": "tv"}, r"denoise is 'tv'; accepted are True, False and a pair of functions"),
        ({"denoise": (None, 3)}, r"denoise is \(None, 3\); accepted are True, False and a pair"),
        ({"out": [1.0]}, r"out is a list; accepted is a .* array or None"),
    ],
)
def test_what_is_of_the_wrong_type_is_named(to_device, images, options, message):
    with pytest.raises(TypeError, match=message):
        fuse(to_device, images, **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_a_value_that_is_not_finite_is_named_with_its_place(to_device, images, which, value):
    images[which][1, 2, 3] = value
    name = ("hyperspectral", "multispectral")[which]
    with pytest.raises(ValueError, match=rf"{name} is {value} at \(1, 2, 3\); accepted are finite values"):
        fuse(to_device, images)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_an_image_without_mass_is_named(to_device, images, which, factor):
    images[which][...] *= factor
    name = ("hyperspectral", "multispectral")[which]
    with pytest.raises(
        ValueError, match=rf"{name} has the mean .*; accepted are images whose mean is above 0"
    ):
        fuse(to_device, images)


@pytest.mark.parametrize("factor", [1e-40, 1e35])
def test_units_at_the_ends_of_single_precision_are_refused(to_device, images, factor):
    h, m, table = images
    with pytest.raises(
        ValueError, match=r"hyperspectral has the mean .*; accepted are means from 1e-30 to 1e"
    ):
        fuse(to_device, ((h * factor).astype(np.float32), m, table))


def test_an_estimate_without_mass_is_named(to_device, images):
    with pytest.raises(ValueError, match="multispectral, through spectral_inverse, has the mean -"):
        fuse(to_device, images, spectral_inverse=-np.ones((21, 4)))


@pytest.mark.parametrize("shape", [(4, 5), (4, 0, 21)])
def test_what_is_no_cube_is_named(to_device, images, shape):
    with pytest.raises(ValueError, match=r"hyperspectral has shape .*; accepted is \(rows, cols, bands\)"):
        fuse(to_device, (np.ones(shape), *images[1:]))


def test_a_given_estimate_has_the_shape_of_the_result(to_device, images):
    with pytest.raises(ValueError, match=r"spatial_inverse has shape \(16, 20, 4\); .* \(16, 20, 21\)"):
        fuse(to_device, images, spatial_inverse=to_device(images[1]))


def test_out_has_the_shape_of_the_result(xp, to_device, images):
    with pytest.raises(ValueError, match=r"out has shape \(2,\); accepted is \(16, 20, 21\)"):
        fuse(to_device, images, out=xp.empty(2))


def test_complex_images_are_refused(to_device, images):
    h, m, table = images
    with pytest.raises(TypeError, match="multispectral has dtype complex128"):
        fuse(to_device, (h, m + 0j, table))


def test_a_function_that_changes_the_shape_is_named(to_device, images):
    with pytest.raises(
        ValueError, match=r"denoise made \(8, 20, 4\) of multispectral; accepted is its shape"
    ):
        fuse(to_device, images, denoise=(lambda image: image[::2], None))


def test_functions_get_either_image(to_device, images):
    seen = []

    def note(image):
        seen.append(image.shape)
        return image

    fuse(to_device, images, denoise=(note, note))
    assert seen == [(16, 20, 4), (4, 5, 21)]


@pytest.mark.host_only
def test_without_scikit_image_the_extra_is_named(monkeypatch, images):
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    with pytest.raises(ImportError, match=r"pip install fastimg\[fusion\].*denoise=False"):
        fuse(np.asarray, images, denoise=True)


def test_on_a_gpu_without_cucim_denoise_is_named(xp, to_device, images, monkeypatch):
    if xp is np:
        pytest.skip("these are on the CPU")
    monkeypatch.setitem(sys.modules, "cucim.skimage.restoration", None)
    with pytest.raises(ImportError, match=r"on a GPU needs cuCIM .*; or give denoise=False"):
        fuse(to_device, images, denoise=True)


def test_arrays_of_two_kinds_are_refused(xp, to_device, images):
    if xp is np:
        pytest.skip("one kind only")
    h, m, table = images
    with pytest.raises(TypeError, match="hyperspectral on a GPU but multispectral on the CPU"):
        hmwb(to_device(h), m, spectral_response=table, **OPTIONS)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda h, m, t: gsa(h, m, ratio=3), "multispectral has 16 × 20 pixels"),
        (lambda h, m, t: gsa(h, m, ratio=4, blur=[0.0]), "blur has the sum 0"),
        (lambda h, m, t: cnmf(h, m, spectral_response=t, ratio=4, endmembers=21), r"endmembers is 21; .* 20"),
        (lambda h, m, t: cnmf(h, m, spectral_response=t, ratio=4, endmembers=3, tol=0), "tol is 0; accepted"),
        (lambda h, m, t: cnmf(-h, m, spectral_response=t, ratio=4), "hyperspectral has the mean -"),
        (
            lambda h, m, t: arithmetic_mean(h, m, spectral_response=t, ratio=4, weight=2, denoise=False),
            "weight is 2; accepted",
        ),
        (lambda h, m, t: simulate_pair(m, np.eye(4), ratio=3), r"cube has 16 rows; .* ratio 3 are multiples"),
        (lambda h, m, t: simulate_pair(m, t, ratio=4), r"accepted is \(4, 4\): a row for each"),
        (lambda h, m, t: simulate_pair(m, np.eye(4), ratio=4, snr_h=np.nan), "snr_h is nan; accepted are"),
        (lambda h, m, t: upsample(h, 0), "ratio is 0; accepted are whole numbers from 1"),
        (lambda h, m, t: upsample(h, 2, offset=3.0), "offset is 3.0; accepted are two finite numbers"),
        (lambda h, m, t: upsample(h, 2, offset=(0, np.nan)), r"offset is \(0, nan\); accepted are two"),
        (lambda h, m, t: upsample(h, 2, offset=(0, 1, 2)), r"offset is \(0, 1, 2\); accepted are two"),
        (lambda h, m, t: upsample(h, 2, offset="ab"), "offset is 'ab'; accepted are two finite numbers"),
        (lambda h, m, t: denoise_wiener(m, size=4), "size is 4; accepted are odd numbers"),
        (lambda h, m, t: spectral_inverse("regression", t), "hyperspectral is None; accepted"),
        (lambda h, m, t: spectral_inverse("regression", t, m), "hyperspectral has shape .*, 21"),
        (lambda h, m, t: kernel_widths((3, 3), 1, 1), r"shape is \(3, 3\); accepted is \(rows"),
        (lambda h, m, t: kernel_widths((0, 1, 1), 1, 1), r"shape is \(0, 1, 1\); .* whole numbers from 1"),
        (lambda h, m, t: kernel_widths((2.5, 1, 1), 1, 1), r"shape is \(2.5, 1, 1\); .* whole numbers"),
        (lambda h, m, t: resample_response([1, 1], [[1], [1]], [1]), "wavelengths do not increase"),
        (lambda h, m, t: resample_response([1, 2], [[1]], [1]), r"response has shape \(1, 1\); .* \(2"),
        (lambda h, m, t: resample_response([1, 2], [[1], [1]], [3]), "only zeros in row 0"),
    ],
)  # fmt: skip
def test_the_other_functions_name_what_they_do_not_accept(to_device, images, function, message):
    h, m, table = images
    with pytest.raises(ValueError, match=message):
        function(to_device(h), to_device(m), table)


@pytest.mark.filterwarnings("error")
def test_extremes_that_are_accepted(to_device, to_host, images):
    h, m, table = (to_device(image) for image in images)
    narrow = [to_host(simulate_pair(m, np.eye(4), ratio=4, blur=width)[0]) for width in (None, 1e-200, 1e-3)]
    np.testing.assert_array_equal(narrow[0], narrow[1])
    np.testing.assert_array_equal(narrow[0], narrow[2])
    # the grid is periodic
    near, far = (to_host(upsample(h, 2, offset=(1.0 + turns * 8, 0.0))) for turns in (0, 2**40))
    np.testing.assert_allclose(near, far, rtol=1e-6, atol=1e-6)
    # fewer coarse pixels than the usual number of spectra
    most = to_host(cnmf(h, m, spectral_response=table, ratio=RATIO, endmembers=20))
    usual = to_host(cnmf(h, m, spectral_response=table, ratio=RATIO))
    np.testing.assert_array_equal(usual, most)
