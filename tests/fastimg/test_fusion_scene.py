"""Scenes fused tile by tile: as in one piece, with little memory, and with pixels that have no data."""

import functools
import tracemalloc

import numpy as np
import pytest

from fastimg.fusion import (
    arithmetic_mean,
    cnmf,
    denoise_total_variation,
    denoise_wiener,
    fuse_scene,
    geometric_mean,
    gsa,
    hmwb,
    kernel_widths,
    simulate_pair,
    starck_murtagh,
)
from fastimg.fusion._scene_images import FineImage, fine_image, median_of_blocks

pytestmark = pytest.mark.host_only

RATIO = 4


@functools.cache
def pair(rows=192, cols=128, bands=20, dtype="float32"):
    """A synthetic scene of patches and bumps, as two sensors see it."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:rows, :cols]
    layers = [
        np.exp(-((y - rng.uniform(0, rows)) ** 2 + (x - rng.uniform(0, cols)) ** 2) / rng.uniform(50, 3000))
        + 0.3 * (np.sin(x / rng.uniform(2, 9)) * np.sin(y / rng.uniform(2, 9)) > 0.2)
        for _ in range(5)
    ]
    z = np.arange(bands)
    spectra = [1 + 0.8 * np.sin(z / rng.uniform(1, 5) + rng.uniform(0, 6)) for _ in range(5)]
    cube = (50 + 1000 * np.stack(layers, axis=-1) @ np.stack(spectra)).astype(dtype)
    centres = np.linspace(0.1, 0.9, 4)[:, None] * bands
    response = np.exp(-((z - centres) ** 2) / (bands / 6) ** 2)
    h, m = simulate_pair(cube, response, ratio=RATIO, blur=starck_murtagh(), snr_h=30, snr_m=40, rng=0)
    return h, m, {"spectral_response": response, "ratio": RATIO}


def in_tiles(h, m, **settings):
    fused = np.empty((*m.shape[:2], h.shape[2]), np.result_type(h, m))
    info = fuse_scene(h, m, fused, **settings)
    return fused, info


def off(found, expected):
    """Largest and root mean square difference, relative to the mean of the scene."""
    difference = np.abs(found.astype(np.float64) - expected) / np.mean(expected, dtype=np.float64)
    return difference.max(), np.sqrt(np.mean(difference**2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("inverse", ["pinv", "regression"])
def test_one_tile_is_the_scene(dtype, inverse):
    pytest.importorskip("skimage", reason="total variation needs scikit-image")
    h, m, settings = pair(48, 40, 9, dtype)
    settings = {**settings, "spectral_inverse": inverse, "iterations": 20}
    fused, info = in_tiles(h, m, **settings)
    assert (info.tiles, info.halo, info.missing) == (1, 0, 0)
    assert fused.dtype == dtype
    np.testing.assert_allclose(fused, hmwb(h, m, **settings), rtol=1e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize(
    "denoise", [True, (denoise_wiener, None), (None, denoise_total_variation), [None, None]]
)
def test_one_image_can_be_denoised(denoise):
    pytest.importorskip("skimage", reason="total variation needs scikit-image")
    h, m, settings = pair(48, 40, 9, "float64")
    settings = {**settings, "iterations": 5}
    fused, _ = in_tiles(h, m, **settings, denoise=denoise)
    np.testing.assert_allclose(fused, hmwb(h, m, **settings, denoise=denoise), rtol=1e-12)
    if denoise is not True:
        assert off(fused, hmwb(h, m, **settings))[0] > 1e-4  # so the filters show


def test_tiles_are_read_once_when_they_are_fused(monkeypatch):
    h, m, settings = pair(48, 40, 9)
    read, count = FineImage.read, []
    monkeypatch.setattr(FineImage, "read", lambda *given: count.append(given) or read(*given))
    _, info = in_tiles(h, m, **settings, denoise=False, method="geometric", tile=20)
    # for the means, for the masses, and for the result
    assert len(count) == 3 * info.tiles


# in single precision, rounding alone is that large: samples are up to 20 times the mean
@pytest.mark.parametrize(("dtype", "largest"), [("float32", 5e-5), ("float64", 1e-5)])
def test_tiles_are_the_scene(dtype, largest):
    pytest.importorskip("skimage", reason="total variation needs scikit-image")
    h, m, settings = pair(dtype=dtype)
    settings = {**settings, "iterations": 30}
    fused, info = in_tiles(h, m, **settings, tile=64)
    assert info.tiles == 6
    # the whole scene's widths, not those of a tile
    width = max(kernel_widths(fused.shape, 1e-4, 501.0))
    assert info.halo == np.ceil(width * (9 + 4.5 * np.sqrt(0.1 * 30)))
    assert off(fused, hmwb(h, m, **settings))[0] < largest


def test_an_extent_keeps_the_widths_of_the_kernels():
    h, m, settings = pair(48, 40, 9, "float64")
    settings = {**settings, "denoise": False, "iterations": 5}
    _, info = in_tiles(h, m, **settings, extent=96, tile=32)
    width = kernel_widths((96, 96, 9), 1e-4, 501.0)[0]
    assert info.halo == max(16, np.ceil(width * (9 + 4.5 * np.sqrt(0.1 * 5))))
    # square scenes of that side have them by themselves: γ goes with the square of the side
    whole, _ = in_tiles(h[:10], m[:40], **settings, extent=79)
    expected = hmwb(h[:10], m[:40], **settings, gamma_h=4e-4, gamma_m=4e-6, alpha_m=4e-3, alpha_h=4 * 501.0)
    np.testing.assert_allclose(whole, expected, rtol=1e-10)
    in_memory = hmwb(h[:10], m[:40], **settings, extent=79)
    np.testing.assert_allclose(in_memory, expected, rtol=1e-10)


@pytest.fixture(scope="module")
def pavia(data_dir):
    """Pavia Centre as four bands of IKONOS see it, and every fourth of its own bands."""
    folder = data_dir / "hyperspectral"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    from fastimg.io import read_spectral_response

    cube = np.load(folder / "pavia_centre_104x120x93_u16.npz")["cube"][..., ::4]
    response = read_spectral_response(
        folder / "ikonos_spec_resp.npz",
        shape=(4, cube.shape[2]),
        wavelengths=np.linspace(467.9, 860, 93)[::4],
        columns=[2, 3, 4, 5],
    )
    scene = np.maximum(cube, 1).astype(np.float64)
    h, m = simulate_pair(scene, response, ratio=RATIO, blur=starck_murtagh(), snr_h=30, snr_m=40, rng=0)
    settings = {"spectral_response": response, "ratio": RATIO, "denoise": False}
    return h, m, settings, hmwb(h, m, **settings)


@pytest.mark.parametrize(("halo", "largest", "rms"), [(16, 1e-3, 1e-5), (None, 1e-5, 1e-6), (0, 1, 1)])
def test_tiles_of_pavia_are_the_scene(pavia, halo, largest, rms):
    h, m, settings, expected = pavia
    fused, info = in_tiles(h, m, **settings, tile=64, halo=halo)
    assert info.tiles == 4
    assert (np.array(off(fused, expected)) < (largest, rms)).all()
    if halo == 0:
        assert off(fused, expected)[0] > 0.01  # so the halo is what does it


@pytest.mark.parametrize(
    ("method", "function"), [("arithmetic", arithmetic_mean), ("geometric", geometric_mean)]
)
def test_means_of_tiles_are_those_of_the_scene(method, function):
    h, m, settings = pair(48, 40, 9)
    settings = {**settings, "denoise": False, "spectral_inverse": "regression"}
    fused, info = in_tiles(h, m, **settings, method=method, tile=20)
    assert (info.tiles, info.halo) == (6, 0)
    np.testing.assert_allclose(fused, function(h, m, **settings), rtol=1e-5)


def test_other_methods_take_the_scene_as_a_whole():
    h, m, settings = pair(32, 24, 9)
    fused, _ = in_tiles(h, m, **settings, method="gsa")
    np.testing.assert_allclose(fused, gsa(h, m, ratio=RATIO), rtol=1e-6)
    fused, _ = in_tiles(h, m, **settings, method="cnmf")
    np.testing.assert_allclose(fused, cnmf(h, m, **settings), rtol=1e-6)
    with pytest.raises(ValueError, match="tile or halo is given with 'gsa'"):
        in_tiles(h, m, **settings, method="gsa", tile=16)
    with pytest.raises(ValueError, match=r"weight is 0\.3; accepted with 'cnmf', which has none, is None"):
        in_tiles(h, m, **settings, method="cnmf", weight=0.3)
    with pytest.raises(ValueError, match="gsa and cnmf need data everywhere"):
        in_tiles(h, np.where(m == m[3, 4], np.nan, m), **settings, method="gsa")


def test_the_centre_of_the_blur_says_where_samples_lie():
    h, m, settings = pair(48, 40, 9, "float64")
    settings = {**settings, "iterations": 5, "denoise": False, "blur": np.repeat([0.0, 1.0], 4)}
    fused, _ = in_tiles(h, m, **settings, tile=24, halo=24)
    np.testing.assert_allclose(fused, hmwb(h, m, **settings), rtol=1e-6)


def test_pixels_without_data_stay_so_and_hardly_change_others():
    h, m, settings = pair(64, 64, 9, "float64")
    settings = {**settings, "iterations": 10, "denoise": False}
    expected, _ = in_tiles(h, m, **settings)
    fine, coarse = m.copy(), h.copy()
    fine[10:14, 30] = np.nan
    fine[40, 41, 2] = np.nan  # one band is enough
    coarse[12, 3] = np.nan
    fused, info = in_tiles(coarse, fine, **settings, tile=32)
    missing = np.isnan(fused).all(axis=2)
    assert np.array_equal(missing, np.isnan(fused).any(axis=2))
    assert missing[10:14, 30].all()
    assert missing[40, 41]
    # the fine pixels to which this sample is the nearest
    assert missing[46:50, 10:14].all()
    assert missing.sum() == info.missing == 4 + 1 + 16
    far = np.ones(missing.shape, bool)
    far[36:60, :24] = False
    far[4:20, 24:37] = False
    far[34:47, 35:48] = False
    # what all pixels share are masses, of which a few pixels are small parts
    assert np.median(np.abs(fused - expected)[far] / expected[far]) < 2e-3
    assert off(fused[far], expected[far])[0] < 0.05


def test_noise_is_that_of_the_whole_scene(monkeypatch):
    from fastimg.fusion import _scene_images
    from fastimg.fusion._denoise import noise_levels

    monkeypatch.setattr(_scene_images, "_BLOCK_BYTES", 40 * 4 * 4 * 7)  # of seven rows
    _, m, _ = pair(48, 40, 9)
    image = fine_image(m, m.dtype, True)
    np.testing.assert_allclose(image.noise, noise_levels(np, m), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 999, 1000])
def test_the_median_of_blocks_is_that_of_all(dtype, count):
    values = (np.random.default_rng(0).standard_normal((count, 3)) ** 2).astype(dtype)
    values[: count // 3, 1] = 0.5
    found = median_of_blocks(lambda: iter(np.array_split(values, 7)), 3, values.dtype)
    np.testing.assert_array_equal(found, np.median(values, axis=0))


def test_nothing_of_no_values_is_a_median():
    assert median_of_blocks(lambda: iter([]), 2, np.dtype(np.float32)).tolist() == [0, 0]


def test_memory_does_not_grow_with_the_scene(tmp_path):
    rows, cols, bands = 768, 768, 24
    rng = np.random.default_rng(0)
    maps = {
        name: np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float32, shape)
        for name, shape in {
            "h": (rows // RATIO, cols // RATIO, bands), "m": (rows, cols, 3), "fused": (rows, cols, bands)
        }.items()
    }  # fmt: skip
    maps["h"][:] = rng.random((1, cols // RATIO, bands)) + 1
    maps["m"][:] = rng.random((1, cols, 3)) + 1
    settings = {
        "spectral_response": np.repeat(np.eye(3), 8, axis=1) / 8, "ratio": RATIO, "iterations": 1,
        "denoise": False, "extent": 64, "tile": 128,
    }  # fmt: skip
    # compile and import first
    in_tiles(np.array(maps["h"][:8, :8]), np.array(maps["m"][:32, :32]), **settings)
    tracemalloc.start()
    try:
        info = fuse_scene(maps["h"], maps["m"], maps["fused"], **settings)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert info.tiles == 36
    # a tile with its halo has 3 MB; the result has 57
    tile = (128 + 2 * info.halo) ** 2 * 32 * 4
    assert peak < 10 * tile < maps["fused"].nbytes
    assert np.isfinite(maps["fused"]).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "other"}, ValueError, "method is 'other'"),
        ({"ratio": 3}, ValueError, "accepted for a hyperspectral image of 8 × 6 and ratio 3 are 24 × 18"),
        ({"weight": 1.5}, ValueError, "weight is 1.5"),
        ({"iterations": 0}, ValueError, "iterations is 0"),
        ({"tile": 0}, ValueError, "tile is 0"),
        ({"halo": -1}, ValueError, "halo is -1; accepted are whole numbers from 0"),
        ({"halo": False}, ValueError, "halo is False; accepted are whole numbers from 0"),
        ({"halo": 1.5}, TypeError, r"halo is 1\.5; accepted are whole numbers from 0"),
        ({"denoise": "both"}, TypeError, "denoise is 'both'; accepted for scenes are"),
        ({"denoise": None}, TypeError, "denoise is None; accepted for scenes are"),
        ({"denoise": (denoise_total_variation, None)}, TypeError, "denoise is"),
        ({"denoise": (None, np.abs)}, TypeError, "denoise is"),
        ({"denoise": (None,)}, TypeError, "denoise is"),
        ({"method": "gsa", "denoise": "both"}, TypeError, "denoise is 'both'"),
        ({"method": "gsa", "iterations": 0}, ValueError, "iterations is 0"),
        ({"method": "gsa", "gamma_h": 0}, ValueError, "gamma_h is 0"),
        ({"method": "cnmf", "extent": 0}, ValueError, "extent is 0"),
        ({"method": "cnmf", "precision": "half"}, ValueError, "precision is 'half'"),
        ({"method": "cnmf", "spectral_inverse": "other"}, ValueError, "spectral_inverse is 'other'"),
        ({"h": [[[1.0]]]}, TypeError, "hyperspectral is of type list, without shape; accepted are arrays"),
        ({"m": [[[1.0]]]}, TypeError, "multispectral is of type list, without shape"),
        ({"precision": "half"}, ValueError, "precision is 'half'"),
        ({"spectral_inverse": "other"}, ValueError, "spectral_inverse is 'other'"),
        ({"spectral_inverse": np.ones((2, 2))}, ValueError, "spectral_inverse has shape"),
        ({"spectral_response": np.ones((2, 2))}, ValueError, "spectral_response has shape"),
        ({"h": np.zeros((8, 6), np.float32)}, ValueError, "hyperspectral has shape"),
        ({"h": np.zeros((8, 6, 9), complex)}, TypeError, "hyperspectral"),
        ({"h": np.zeros((8, 6, 9), np.float32)}, ValueError, "hyperspectral has the mean 0"),
        ({"h": np.full((8, 6, 9), np.inf, np.float32)}, ValueError, "hyperspectral holds infinite values"),
        ({"h": np.full((8, 6, 9), np.nan, np.float32)}, ValueError, "hyperspectral has no pixel with data"),
        ({"m": np.full((32, 24, 4), np.nan, np.float32)}, ValueError, "multispectral has no pixel with data"),
        ({"m": np.full((32, 24, 4), np.inf, np.float32)}, ValueError, "multispectral holds infinite values"),
    ],
)
def test_wrong_arguments_are_refused(change, error, message):
    h, m, settings = pair(32, 24, 9)
    settings = {"denoise": False, **settings, **change}
    h, m = settings.pop("h", h), settings.pop("m", m)
    with pytest.raises(error, match=message):
        fuse_scene(h, m, np.empty((32, 24, 9)), **settings)


def test_a_result_of_another_shape_is_refused():
    h, m, settings = pair(32, 24, 9)
    with pytest.raises(ValueError, match=r"out has shape \(32, 24, 8\); accepted is \(32, 24, 9\)"):
        fuse_scene(h, m, np.empty((32, 24, 8)), **settings)


def test_a_result_that_does_not_take_floats_is_refused():
    h, m, settings = pair(32, 24, 9)
    for dtype in ("uint8", "int16", "complex64"):
        with pytest.raises(TypeError, match=f"out has dtype {dtype}; accepted are floats"):
            fuse_scene(h, m, np.empty((32, 24, 9), dtype), **settings)
    with pytest.raises(TypeError, match="out is of type tuple, without shape"):
        fuse_scene(h, m, (), **settings)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ([1.0, np.nan], "noise is nan at"),
        ([1.0, -1.0], r"noise is -1\.0 at"),
        ([1.0], r"noise has shape \(1,\); accepted is \(2,\)"),
    ],
)
def test_wrong_noise_is_refused(noise, message):
    with pytest.raises(ValueError, match=message):
        denoise_wiener(np.ones((4, 4, 2)), noise=noise)
