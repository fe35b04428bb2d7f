"""Images sample by sample: planes, alpha, missing pixels, and what comes back as a file of the same kind."""

from dataclasses import replace

import numpy as np
import pytest

from fastimg.io import Raster, read_raster, write_png, write_raster
from fastimg.io._atomic import check_target

tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 255, (5, 7), np.uint8)
COLOURS = RNG.integers(0, 255, (5, 7, 4), np.uint8)
NEEDS_RASTERIO = "GeoTIFF needs rasterio: pip install 'fastimg[io]'"


def same(one, other):
    """Whether two rasters hold the same pixels in the same way."""
    for name in ("planes", "alpha", "missing"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.planes.dtype == other.planes.dtype
    for name in ("depth", "interleaved", "stacked"):
        assert getattr(one, name) == getattr(other, name), name


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_gray_image_comes_back(tmp_path, suffix, dtype):
    raster = Raster(GRAY.astype(dtype)[None], depth=8 * np.dtype(dtype).itemsize)
    write_raster(tmp_path / f"image{suffix}", raster)
    same(read_raster(tmp_path / f"image{suffix}"), raster)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("samples", [2, 3, 4])
def test_colours_and_alpha_come_back(tmp_path, suffix, samples):
    planes = np.moveaxis(COLOURS, -1, 0)
    count = samples - (samples % 2 == 0)
    alpha = planes[-1] if samples % 2 == 0 else None
    raster = Raster(planes[:count], 8, interleaved=count > 1, alpha=alpha)
    write_raster(tmp_path / f"image{suffix}", raster)
    same(read_raster(tmp_path / f"image{suffix}"), raster)


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_a_stack_of_any_numbers_comes_back(tmp_path, suffix, dtype):
    raster = Raster((100 * RNG.standard_normal((3, 5, 7))).astype(dtype), stacked=True)
    write_raster(tmp_path / f"stack{suffix}", raster)
    same(read_raster(tmp_path / f"stack{suffix}"), raster)


def test_nan_marks_missing_pixels(tmp_path):
    image = RNG.random((5, 7))
    image[2, 3] = np.nan
    np.save(tmp_path / "image.npy", image)
    raster = read_raster(tmp_path / "image.npy")
    np.testing.assert_array_equal(raster.missing[0], np.isnan(image))
    assert np.isnan(raster.nodata)


def test_a_fourth_sample_that_is_no_alpha_is_a_plane(tmp_path):
    tifffile.imwrite(tmp_path / "bands.tif", COLOURS, photometric="rgb", extrasamples=["unspecified"])
    raster = read_raster(tmp_path / "bands.tif")
    assert raster.alpha is None
    np.testing.assert_array_equal(raster.planes, np.moveaxis(COLOURS, -1, 0))
    write_raster(tmp_path / "again.tif", raster)
    same(read_raster(tmp_path / "again.tif"), raster)


def test_alpha_that_the_colours_are_multiplied_by_stays_so(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", COLOURS, photometric="rgb", extrasamples=["assocalpha"])
    raster = read_raster(tmp_path / "image.tif")
    np.testing.assert_array_equal(raster.alpha, COLOURS[..., 3])
    write_raster(tmp_path / "again.tif", raster)
    with tifffile.TiffFile(tmp_path / "again.tif") as file:
        assert [sample.name for sample in file.pages[0].extrasamples] == ["ASSOCALPHA"]


def test_white_may_be_zero(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", GRAY, photometric="miniswhite")
    write_raster(tmp_path / "again.tif", read_raster(tmp_path / "image.tif"))
    with tifffile.TiffFile(tmp_path / "again.tif") as file:
        assert file.pages[0].photometric.name == "MINISWHITE"
        np.testing.assert_array_equal(file.pages[0].asarray(), GRAY)


def test_colours_by_a_palette_are_refused_in_a_tiff(tmp_path):
    tifffile.imwrite(
        tmp_path / "image.tif", GRAY, photometric="palette", colormap=np.zeros((3, 256), np.uint16)
    )
    with pytest.raises(ValueError, match=r"image.tif cannot be read .* PALETTE; accepted are gray and RGB"):
        read_raster(tmp_path / "image.tif")


def test_images_of_several_shapes_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "images.tif") as file:
        file.write(GRAY)
        file.write(GRAY[:3])
    with pytest.raises(ValueError, match="it holds 2 series of images; accepted is one"):
        read_raster(tmp_path / "images.tif")


@pytest.mark.parametrize("name", ["image.png", "image.tif", "image.npy", "image.jpg"])
def test_damaged_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(ValueError, match=name):
        read_raster(tmp_path / name)


@pytest.mark.parametrize(
    "array", [np.zeros(3), np.zeros((2, 2, 2, 2)), np.zeros((0, 3)), np.ones((2, 2), "S1")]
)
def test_arrays_that_are_no_images_are_refused(tmp_path, array):
    np.save(tmp_path / "image.npy", array)
    with pytest.raises(ValueError, match=r"image.npy"):
        read_raster(tmp_path / "image.npy")


def test_what_a_format_does_not_hold_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="cannot hold float64; PNG accepts uint8, uint16"):
        write_raster(tmp_path / "image.png", Raster(np.zeros((1, 2, 2))))
    with pytest.raises(ValueError, match="a PNG cannot hold 2 planes"):
        write_raster(tmp_path / "image.png", Raster(np.zeros((2, 2, 2), np.uint8)))
    with pytest.raises(ValueError, match="it is only read"):
        write_raster(tmp_path / "image.jpg", Raster(np.zeros((1, 2, 2), np.uint8)))
    with pytest.raises(ValueError, match=r"has the suffix '\.xyz'; accepted are PNG"):
        write_raster(tmp_path / "image.xyz", Raster(np.zeros((1, 2, 2), np.uint8)))
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"TIFF files needs tifffile: pip install 'fastimg\[io\]'"):
        read_raster(tmp_path / "image.tif")
    with pytest.raises(ImportError, match="writing TIFF files needs tifffile"):
        write_raster(tmp_path / "image.tif", Raster(GRAY[None]))


@pytest.fixture
def rasterio():
    return pytest.importorskip("rasterio", reason=NEEDS_RASTERIO)


def geotiff(rasterio, path, bands, **profile):
    height, width = bands.shape[1:]
    place = {"crs": "EPSG:4326", "transform": rasterio.Affine(0.1, 0, 7, 0, -0.1, 61)}
    profile = {"driver": "GTiff", "count": len(bands), "dtype": bands.dtype, **place, **profile}
    return rasterio.open(path, "w", height=height, width=width, **profile)


def test_what_a_geotiff_says_stays(tmp_path, rasterio):
    bands = RNG.integers(1, 900, (2, 40, 50), np.uint16)
    bands[0, 3, 4] = bands[1, 5, 6] = 0
    with geotiff(rasterio, tmp_path / "a.tif", bands, nodata=0, compress="lzw", tiled=True, blockxsize=16,
                 blockysize=16) as file:  # fmt: skip
        file.write(bands)
        file.descriptions, file.units = ("red", "infrared"), ("1", "K")
        file.scales, file.offsets = (0.5, 2.0), (0.0, -1.0)
        file.update_tags(sensor="one")
        file.update_tags(2, wavelength="12", STATISTICS_MAXIMUM="899")
    raster = read_raster(tmp_path / "a.tif")
    assert (raster.depth, raster.stacked, raster.nodata) == (16, True, 0)
    np.testing.assert_array_equal(raster.missing, bands == 0)
    assert raster.is_georeferenced
    write_raster(tmp_path / "b.tif", replace(raster, planes=raster.planes.astype(np.float32)))
    with rasterio.open(tmp_path / "a.tif") as one, rasterio.open(tmp_path / "b.tif") as other:
        for name in (
            "crs",
            "transform",
            "descriptions",
            "units",
            "scales",
            "offsets",
            "nodata",
            "block_shapes",
        ):
            assert getattr(one, name) == getattr(other, name), name
        assert other.profile["compress"] == "lzw"
        assert other.tags()["sensor"] == "one"
        assert other.tags(2) == {"wavelength": "12"}
        np.testing.assert_array_equal(one.read(), other.read())
        assert other.dtypes == ("float32", "float32")


def test_samples_of_12_bits_say_so(tmp_path, rasterio):
    bands = RNG.integers(0, 4096, (1, 5, 7), np.uint16)
    with geotiff(rasterio, tmp_path / "image.tif", bands, NBITS=12) as file:
        file.write(bands)
    raster = read_raster(tmp_path / "image.tif")
    assert raster.depth == 12
    np.testing.assert_array_equal(raster.planes, bands)


def test_alpha_and_masks_of_a_geotiff_stay(tmp_path, rasterio):
    bands = np.moveaxis(COLOURS, -1, 0).copy()
    bands[3] = np.where(GRAY > 50, 255, 0)
    with geotiff(rasterio, tmp_path / "alpha.tif", bands, photometric="rgb", alpha="yes") as file:
        file.write(bands)
    raster = read_raster(tmp_path / "alpha.tif")
    np.testing.assert_array_equal(raster.alpha, bands[3])
    np.testing.assert_array_equal(raster.missing, np.broadcast_to(bands[3] == 0, (3, 5, 7)))
    write_raster(tmp_path / "again.tif", raster)
    same(read_raster(tmp_path / "again.tif"), raster)

    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        geotiff(rasterio, tmp_path / "mask.tif", bands[:1]) as file,
    ):
        file.write(bands[:1])
        file.write_mask(bands[3])
    raster = read_raster(tmp_path / "mask.tif")
    np.testing.assert_array_equal(raster.missing[0], bands[3] == 0)
    write_raster(tmp_path / "mask-again.tif", raster)
    same(read_raster(tmp_path / "mask-again.tif"), raster)


def test_a_lossy_geotiff_is_written_without_loss(tmp_path, rasterio):
    bands = np.repeat(np.repeat(np.moveaxis(COLOURS[..., :3], -1, 0), 16, 1), 16, 2)
    with geotiff(
        rasterio, tmp_path / "jpeg.tif", bands, compress="jpeg", photometric="ycbcr", interleave="pixel"
    ) as file:
        file.write(bands)
    raster = read_raster(tmp_path / "jpeg.tif")
    write_raster(tmp_path / "again.tif", replace(raster, planes=raster.planes.astype(np.float32)))
    with rasterio.open(tmp_path / "again.tif") as file:
        assert file.profile["compress"] == "deflate"
        np.testing.assert_array_equal(file.read(), raster.planes)


def test_a_target_is_checked_before_any_work(tmp_path):
    (tmp_path / "there.png").touch()
    check_target(tmp_path / "new.png")
    check_target(tmp_path / "there.png", overwrite=True)
    with pytest.raises(ValueError, match="there already; --overwrite replaces it"):
        check_target(tmp_path / "there.png")
    with pytest.raises(ValueError, match="is also read from"):
        check_target(tmp_path / "there.png", tmp_path / "there.png", overwrite=True)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check_target(tmp_path / "no" / "new.png")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_target(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]


def test_other_pictures_are_read(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    imageio.imwrite(tmp_path / "image.bmp", COLOURS[..., :3])
    raster = read_raster(tmp_path / "image.bmp")
    np.testing.assert_array_equal(raster.planes, np.moveaxis(COLOURS[..., :3], -1, 0))
    assert (raster.depth, raster.interleaved, raster.alpha) == (8, True, None)


def test_a_raster_of_a_png_has_its_chunks(tmp_path):
    chunks = ((b"tEXt", b"Author\0someone"),)
    write_png(tmp_path / "image.png", GRAY, chunks=chunks)
    assert read_raster(tmp_path / "image.png").extras["chunks"] == chunks
