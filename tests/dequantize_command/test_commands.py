"""The command that de-quantizes files: what its integers and floats mean, and what of a file stays."""

import inspect
import warnings

import numpy as np
import pytest

from fastimg._dequantize_commands import dequantize as command
from fastimg.dequantization import dequantize, distance_interpolation, textured_regions
from fastimg.io import Raster, read_png, read_raster, write_png, write_raster
from tests.dequantize_command import done, run, smooth_signal

pytestmark = pytest.mark.host_only


def gray(path):
    return read_png(path).samples[..., 0]


def test_the_high_bits_of_the_result_are_the_image(source, image, signal, output):
    printed = done(source, output, "--bits", 8)
    result = gray(output)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result >> 8, image)
    # the error is that of 8 bits before, and a small part of it afterwards
    before, after = (np.std(values - 16384 * signal) for values in (256.0 * image, result.astype(float)))
    assert after < 0.5 * before
    assert printed.startswith(f"{output}: 40×48 pixels, uint16, ")
    assert printed.endswith("converged\n")
    assert "not converged" not in printed


def test_codes_rounded_to_the_nearest_are_got_back_by_rounding(tmp_path, signal, output):
    image = np.rint(255 * signal).astype(np.uint8)
    write_png(tmp_path / "image.png", image)
    done(tmp_path / "image.png", output, "--bits", 8, "--rounding", "nearest")
    np.testing.assert_array_equal(np.rint(gray(output) / 257), image)


@pytest.mark.parametrize("rounding", ["floor", "nearest"])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("low", lambda code: code),
        ("high", lambda code: 8 * code),
        ("stretched", lambda code: np.rint(code * 255 / 31)),
        ("stretched", lambda code: code << 3 | code >> 2),
    ],
)
def test_codes_are_found_wherever_they_stand_in_a_sample(tmp_path, signal, name, values, rounding):
    codes = np.floor(32 * signal).astype(int)
    write_png(tmp_path / "image.png", values(codes).astype(np.uint8))
    common = (tmp_path / "image.png", "--bits", 5, "--rounding", rounding)
    done(*common, tmp_path / "result.png")
    white = {"low": 31, "high": 31 * 8 + 7, "stretched": 255}[name]
    step = {"low": 1, "high": 8, "stretched": 255 / 31}[name]
    result = gray(tmp_path / "result.png")
    if rounding == "floor":
        np.testing.assert_array_equal(result >> 11, codes)
    else:
        np.testing.assert_array_equal(np.floor(result / 65535 * white / step + 0.5), codes)
    # to say it gives the same, and so do floats on the scale of the file
    done(*common, tmp_path / "again.png", "--codes", name)
    np.testing.assert_array_equal(gray(tmp_path / "again.png"), result)
    pytest.importorskip("tifffile")
    done(*common, tmp_path / "result.tif")
    floats = read_raster(tmp_path / "result.tif").planes[0]
    assert floats.dtype == np.float32
    scale = 65536 / (32 if name == "low" else 256) if rounding == "floor" else 65535 / white
    difference = np.clip(floats * scale, 0, 65535) - result
    # integers are rounded as the codes were, and may be kept in their bin
    assert (np.abs(difference - (0.5 if rounding == "floor" else 0)) <= 1).all()


def test_a_posterised_image_may_stay_at_its_depth(tmp_path, signal, output):
    codes = np.floor(16 * signal).astype(np.uint8)
    write_png(tmp_path / "image.png", 16 * codes)
    done(tmp_path / "image.png", output, "--bits", 4, "--depth", 8)
    result = gray(output)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result >> 4, codes)
    assert len(np.unique(result)) > 100


def test_the_command_gives_what_the_function_gives(tmp_path, source, image):
    options = {"model": "blend", "tension_length": 3.0, "boundary": "even", "relax": 0.25, "tol": 1e-3}
    given = [
        "--model", "blend", "--tension", 3, "--boundary", "even", "--relax", 0.25, "--tol", 1e-3,
        "--anomaly-passes", 1, "--rounding", "nearest",
    ]  # fmt: skip
    done(source, tmp_path / "result.npy", "--bits", 8, *given)
    expected = dequantize(image, bits=8, rounding="nearest", anomaly_passes=1, dtype=np.float64, **options)
    np.testing.assert_array_equal(np.load(tmp_path / "result.npy"), expected.astype(np.float32))


def test_distances_are_interpolated(tmp_path, source, image):
    printed = done(source, tmp_path / "result.npy", "--bits", 8, "--model", "distance")
    np.testing.assert_array_equal(np.load(tmp_path / "result.npy"), distance_interpolation(image, bits=8))
    assert "cycles" not in printed


def test_defaults_are_those_of_the_function():
    parameters = inspect.signature(dequantize).parameters
    renamed = {"tension": "tension_length"}
    ours = {"source", "target", "step", "codes", "depth", "textured", "overwrite", "help"}
    options = {option.name: option.default for option in command.params if option.name not in ours}
    assert len(options) == 12
    for name, default in options.items():
        # click marks options without a default
        default = None if repr(default).endswith("UNSET") else default
        assert default == parameters[renamed.get(name, name)].default, name


def test_colours_are_independent_and_alpha_stays(tmp_path, output):
    planes = [np.floor(256 * smooth_signal()[:: (-1) ** k]).astype(np.uint8) for k in range(3)]
    alpha = np.random.default_rng(0).integers(0, 256, planes[0].shape, np.uint8)
    write_png(tmp_path / "image.png", np.stack([*planes, alpha], axis=-1))
    printed = done(tmp_path / "image.png", output, "--bits", 8)
    assert "3 planes of 40×48 pixels" in printed
    result = read_png(output).samples
    np.testing.assert_array_equal(result[..., 3], alpha.astype(np.uint16) * 257)
    for number, plane in enumerate(planes):
        write_png(tmp_path / "plane.png", plane)
        done(tmp_path / "plane.png", tmp_path / "alone.png", "--bits", 8, "--overwrite")
        np.testing.assert_array_equal(result[..., number], gray(tmp_path / "alone.png"))


def test_colour_space_and_texts_of_a_png_stay(tmp_path, image, output):
    chunks = ((b"gAMA", b"\0\0\xb1\x8f"), (b"tEXt", b"Author\0someone"))
    write_png(tmp_path / "image.png", image, chunks=chunks)
    done(tmp_path / "image.png", output, "--bits", 8)
    assert read_png(output).chunks == chunks


def test_the_images_of_a_stack_are_independent(tmp_path, image):
    np.save(tmp_path / "stack.npy", np.stack([image, image[::-1]]))
    done(tmp_path / "stack.npy", tmp_path / "result.npy", "--bits", 8)
    result = np.load(tmp_path / "result.npy")
    assert result.shape == (2, *image.shape)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result[0], dequantize(image, bits=8, dtype=np.float64).astype(np.float32))


@pytest.mark.parametrize(("rounding", "scale"), [("floor", 256), ("nearest", 257)])
def test_masked_pixels_keep_their_values_whatever_these_are(tmp_path, signal, output, rounding, scale):
    image = 16 * np.floor(16 * signal).astype(np.uint8)
    mask = np.zeros(image.shape, np.uint8)
    mask[10:20, 5:15] = 1
    image[mask != 0] = 99  # no code of 4 bits
    write_png(tmp_path / "image.png", image)
    write_png(tmp_path / "mask.png", mask)
    printed = done(
        tmp_path / "image.png", output, "--bits", 4, "--mask", tmp_path / "mask.png", "--rounding", rounding
    )
    assert f"{100 * mask.mean():.1f} % left alone" in printed
    result = gray(output)
    assert (result[mask != 0] == 99 * scale).all()
    assert (np.abs(result / scale - image)[mask == 0] <= 16).all()
    assert len(np.unique(result[mask == 0])) > 500


def test_textured_regions_are_left_alone(tmp_path, image, output):
    image[20:30, 20:30] = np.random.default_rng(0).integers(0, 256, (10, 10))
    write_png(tmp_path / "image.png", image)
    done(tmp_path / "image.png", output, "--bits", 8, "--textured")
    np.testing.assert_array_equal(gray(output)[20:30, 20:30], image[20:30, 20:30].astype(np.uint16) * 256)


def test_levels_of_a_file_are_the_units_of_the_result(tmp_path, signal):
    levels = np.array([0.0, 1.0, 3.0, 7.0, 15.0, 31.0])
    codes = np.digitize(30 * signal, levels[1:-1]).astype(np.uint8)
    np.save(tmp_path / "codes.npy", codes)
    (tmp_path / "levels.txt").write_text("0, 1, 3\n7 15 31\n")
    np.save(tmp_path / "levels.npy", levels)
    for name in ("levels.txt", "levels.npy"):
        done(tmp_path / "codes.npy", tmp_path / f"{name}.npy", "--levels", tmp_path / name)
    result = np.load(tmp_path / "levels.txt.npy")
    np.testing.assert_array_equal(result, np.load(tmp_path / "levels.npy.npy"))
    assert ((levels[codes] <= result) & (result <= levels[codes + 1])).all()
    write_png(tmp_path / "codes.png", codes)
    done(tmp_path / "codes.png", tmp_path / "result.png", "--levels", tmp_path / "levels.txt")
    whole = gray(tmp_path / "result.png")
    np.testing.assert_array_equal(np.digitize(whole, levels[1:-1]), codes)
    assert (np.abs(whole - result) <= 1).all()


def test_heights_in_whole_steps_become_fractions_of_them_below_sea_level_too(tmp_path, signal):
    heights = 200 * signal - 50
    np.save(tmp_path / "dem.npy", (2 * np.floor(heights / 2)).astype(np.int16))
    done(tmp_path / "dem.npy", tmp_path / "result.npy", "--step", 2)
    result = np.load(tmp_path / "result.npy")
    assert result.dtype == np.float32
    assert (np.abs(result - (2 * np.floor(heights / 2) + 1)) <= 1).all()
    assert np.std(result - heights) < 0.3
    # a foot in single precision is no exact multiple of one
    np.save(tmp_path / "feet.npy", (0.3048 * np.rint(heights)).astype(np.float32))
    done(tmp_path / "feet.npy", tmp_path / "metres.npy", "--step", 0.3048, "--rounding", "nearest")
    metres = np.load(tmp_path / "metres.npy")
    assert (np.abs(metres - 0.3048 * np.rint(heights)) < 0.5001 * 0.3048).all()


@pytest.mark.parametrize("depth", [None, "float32", "float64"])
@pytest.mark.parametrize("rounding", ["floor", "nearest"])
@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
@pytest.mark.parametrize(
    ("offset", "step"),
    [
        (0, 1), (-37, 0.1), (1001, 0.1), (99_990, 0.01), (-880_000, 0.01), (7, 0.3048), (40_000, 1 / 3),
        (1_700_000_000, 1), (-2_000_000_000, 1), (123_456, 1000),
    ],
)  # fmt: skip
def test_floats_lie_in_their_bins_at_any_height(tmp_path, signal, offset, step, dtype, rounding, depth):
    numbers = np.floor(40 * signal).astype(np.int64) + offset
    heights = (numbers * step).astype(dtype)
    if (dtype == np.int32 and step % 1) or (dtype == np.float32 and abs(offset) > 2**24):
        pytest.skip("such a file does not hold these heights")
    mask = np.zeros(heights.shape, np.uint8)
    mask[10:20, 5:15] = 1
    heights[mask != 0] += dtype(12345.67)
    np.save(tmp_path / "dem.npy", heights)
    np.save(tmp_path / "mask.npy", mask)
    shift = 0 if rounding == "floor" else 0.5
    lower, upper = ((numbers + edge - shift) * step for edge in (0, 1))
    exact = (heights.astype(np.float32).astype(np.float64) == heights).all()
    far = np.abs([lower, upper]).max()
    fits = exact and step / np.spacing(np.nextafter(np.float32(far), np.float32(0))) >= 256
    given = [
        tmp_path / "dem.npy", tmp_path / "result.npy", "--step", repr(step), "--rounding", rounding,
        "--mask", tmp_path / "mask.npy", "--tol", 0.01,
    ]  # fmt: skip
    if depth == "float32" and not fits:
        assert "accepted is float64" in run(*given, "--depth", depth).output
        return
    done(*given, *([] if depth is None else ["--depth", depth]))
    result = np.load(tmp_path / "result.npy")
    assert result.dtype == (depth or ("float32" if fits else "float64"))
    np.testing.assert_array_equal(result[mask != 0].astype(np.float64), heights[mask != 0])
    values = result.astype(np.float64)
    assert ((lower <= values) & (values <= upper))[mask == 0].all()
    # so they do in the bins of the values that single precision has rounded
    lower, upper = ((heights.astype(np.float64) + (edge - shift) * step) for edge in (0, 1))
    assert ((lower <= values) & (values <= upper))[mask == 0].all()
    # and they are not all on the edges
    assert len(np.unique(values[mask == 0])) > 500


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_large_integers_become_double_precision(tmp_path, suffix):
    pytest.importorskip("tifffile")
    ramp = np.add.outer(np.arange(32), np.arange(32)) // 4
    heights = (1_700_000_000 + ramp).astype(np.int32)
    write_raster(tmp_path / f"a{suffix}", Raster(heights[None]))
    done(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", "--step", 1)
    result = read_raster(tmp_path / f"b{suffix}").planes[0]
    assert result.dtype == np.float64
    assert ((heights <= result) & (result <= heights.astype(np.float64) + 1)).all()
    assert len(np.unique(result)) > 40


def test_infinite_values_stay_under_a_mask(tmp_path, signal):
    heights = np.floor(40 * signal).astype(np.float32)
    heights[3, 4] = np.inf
    np.save(tmp_path / "dem.npy", heights)
    np.save(tmp_path / "mask.npy", np.isinf(heights))
    done(tmp_path / "dem.npy", tmp_path / "result.npy", "--step", 1, "--mask", tmp_path / "mask.npy")
    assert np.load(tmp_path / "result.npy")[3, 4] == np.inf


def test_the_summary_counts_textured_and_released_pixels(tmp_path, image):
    image[20:30, 20:30] = np.random.default_rng(0).integers(0, 256, (10, 10))
    write_png(tmp_path / "image.png", image)
    printed = {
        name: done(tmp_path / "image.png", tmp_path / f"{name}.png", "--bits", 8, *given)
        for name, given in (
            ("plain", []), ("textured", ["--textured"]), ("released", ["--anomaly-passes", 1]),
            ("both", ["--textured", "--anomaly-passes", 1]),
        )
    }  # fmt: skip
    textured = int(textured_regions(image).sum())
    released = int(dequantize(image, bits=8, anomaly_passes=1, return_info=True)[1].removed.sum())
    assert min(textured, released) > 1
    assert f", {textured} pixels left alone as textured, " in printed["textured"]
    assert f", {released} pixels released as anomalies, " in printed["released"]
    assert f", {textured} pixels left alone as textured, 0 pixels released as anoma" in printed["both"]
    assert "pixels left" not in printed["plain"] + printed["released"]
    assert "released as" not in printed["plain"] + printed["textured"]


def test_nan_marks_missing_heights_and_stays(tmp_path, signal):
    heights = np.floor(100 * signal).astype(np.float32)
    heights[5:15, 20:30] = np.nan
    np.save(tmp_path / "dem.npy", heights)
    printed = done(tmp_path / "dem.npy", tmp_path / "result.npy", "--step", 1)
    result = np.load(tmp_path / "result.npy")
    np.testing.assert_array_equal(np.isnan(result), np.isnan(heights))
    assert "left alone" in printed
    # without any support from below, the neighbours of the hole are as good as others
    assert np.nanstd(result - 100 * signal) < 0.15


def test_a_result_that_did_not_converge_is_written_with_a_warning(tmp_path, output):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    write_png(tmp_path / "noise.png", noise)
    result = run(tmp_path / "noise.png", output, "--bits", 8, "--max-cycles", 1)
    assert result.exit_code == 0
    assert "Warning: " in result.output
    assert "not converged" in result.output
    np.testing.assert_array_equal(gray(output) >> 8, noise)


def test_a_picture_that_is_only_read_becomes_another_format(tmp_path, image, output):
    imageio = pytest.importorskip("imageio.v3")
    imageio.imwrite(tmp_path / "image.bmp", image)
    done(tmp_path / "image.bmp", output, "--bits", 8)
    np.testing.assert_array_equal(gray(output) >> 8, image)


def test_a_result_is_replaced_when_asked(source, output):
    done(source, output, "--bits", 8)
    first = output.read_bytes()
    done(source, output, "--bits", 8, "--model", "membrane", "--overwrite")
    assert output.read_bytes() != first


@pytest.mark.parametrize("mode", ["bridge", "cut"])
def test_a_geotiff_keeps_its_place_and_its_missing_pixels(tmp_path, signal, mode):
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio: pip install 'fastimg[io]'")
    heights = np.floor(100 * signal - 20).astype(np.int16)
    missing = np.zeros(heights.shape, bool)
    missing[:8, :8] = missing[20:24, 30:40] = True
    heights[missing] = -9999
    place = {
        "crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 6e6), "nodata": -9999,
    }  # fmt: skip
    with rasterio.open(
        tmp_path / "dem.tif", "w", driver="GTiff", height=40, width=48, count=1, dtype="int16", **place
    ) as file:
        file.write(heights, 1)
        file.update_tags(AREA_OR_POINT="Point")
        file.set_band_description(1, "height")
        file.units = ("m",)
    done(tmp_path / "dem.tif", tmp_path / "smooth.tif", "--step", 1, "--mask-mode", mode)
    with rasterio.open(tmp_path / "smooth.tif") as file:
        assert (file.crs, file.transform, file.nodata) == tuple(place.values())
        assert (file.tags()["AREA_OR_POINT"], file.descriptions, file.units) == ("Point", ("height",), ("m",))
        result = file.read(1, masked=True)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(np.ma.getmaskarray(result), missing)
    kept = result.data[~missing]
    assert ((heights[~missing] <= kept) & (kept <= heights[~missing] + 1)).all()
    assert np.std(kept - (100 * signal - 20)[~missing]) < 0.15


def test_a_geotiff_without_place_is_worked_on_in_silence(tmp_path, signal, caplog):
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio: pip install 'fastimg[io]'")
    nodata = -3.4028234663852886e38
    heights = np.floor(100 * signal).astype(np.float32)
    heights[:8, :8] = nodata
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(
            tmp_path / "dem.tif", "w", driver="GTiff", height=40, width=48, count=1, dtype="float32",
            nodata=nodata, transform=rasterio.Affine.identity(),
        ) as file,
    ):  # fmt: skip
        file.write(heights, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        printed = done(tmp_path / "dem.tif", tmp_path / "smooth.tif", "--step", 1)
    assert "arning" not in printed
    assert caplog.text == ""
    assert (read_raster(tmp_path / "smooth.tif").planes[0] == np.float32(nodata))[:8, :8].all()


def test_no_height_becomes_the_mark_of_missing_ones(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio: pip install 'fastimg[io]'")
    raster = Raster(np.zeros((1, 16, 16), np.int16))
    # bins of -1 end at 0, which marks missing pixels, and the plate lies on that bound here
    raster.planes[0, :, :8] = np.arange(-8, 0)
    with rasterio.open(
        tmp_path / "dem.tif", "w", driver="GTiff", height=16, width=16, count=1, dtype="int16", nodata=0
    ) as file:
        file.write(raster.planes)
    done(tmp_path / "dem.tif", tmp_path / "smooth.tif", "--step", 1, "--relax", 1)
    with rasterio.open(tmp_path / "smooth.tif") as file:
        np.testing.assert_array_equal(file.read_masks(1) == 0, raster.planes[0] == 0)


def test_a_tiff_keeps_its_colour_space_and_resolution(tmp_path, image):
    tifffile = pytest.importorskip("tifffile")
    colours = np.stack([image, image[::-1], image[:, ::-1]], axis=-1)
    about = {"iccprofile": b"a profile", "resolution": (300, 300), "description": "a sky"}
    tifffile.imwrite(tmp_path / "image.tif", colours, photometric="rgb", **about)
    done(tmp_path / "image.tif", tmp_path / "result.tif", "--bits", 8, "--depth", 16)
    with tifffile.TiffFile(tmp_path / "result.tif") as file:
        page = file.pages[0]
        assert page.tags["InterColorProfile"].value == b"a profile"
        assert page.tags["XResolution"].value == (300, 1)
        assert page.description == "a sky"
        assert page.photometric.name == "RGB"
        np.testing.assert_array_equal(page.asarray() >> 8, colours)


def test_a_tiff_of_12_bits_says_so(tmp_path, signal):
    tifffile = pytest.importorskip("tifffile")
    codes = np.floor(4096 * signal).astype(np.uint16)
    tifffile.imwrite(tmp_path / "camera.tif", codes)
    done(tmp_path / "camera.tif", tmp_path / "result.tif", "--bits", 12)
    result = read_raster(tmp_path / "result.tif").planes[0]
    assert ((codes <= result) & (result <= codes + 1)).all()


def test_an_image_without_any_value_comes_back(tmp_path):
    write_raster(tmp_path / "empty.npy", Raster(np.full((1, 8, 8), np.nan, np.float32)))
    done(tmp_path / "empty.npy", tmp_path / "result.npy", "--step", 1)
    assert np.isnan(np.load(tmp_path / "result.npy")).all()
