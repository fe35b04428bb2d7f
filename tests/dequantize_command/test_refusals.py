"""The command that de-quantizes files refuses bad input before any work, in one line that names the file."""

import warnings

import numpy as np
import pytest

from fastimg.io import write_png
from tests.dequantize_command import run

pytestmark = pytest.mark.host_only


def refused(folder, *arguments):
    """Run something that must fail before any work, and return the message."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    message = result.output.rpartition("Error: ")[2]
    assert message.count("\n") == 1
    return message


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """Fail if the solver is called."""
    monkeypatch.setattr(
        "fastimg._dequantize_files._dequantized", lambda *given: pytest.fail("work was begun")
    )


def test_what_the_values_are_has_to_be_said_once(tmp_path, source, output):
    message = refused(tmp_path, source, output)
    assert "none of --bits, --step and --levels is given; accepted is one of them" in message
    message = refused(tmp_path, source, output, "--bits", 8, "--step", 1)
    assert "--bits and --step are given; accepted is only one of --bits" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bits", 17], "not in the range"),
        (["--bits", 8, "--tol", 0], "not in the range"),
        (["--bits", 8, "--relax", -1], "not in the range"),
        (["--bits", 8, "--model", "other"], "is not one of"),
        (["--bits", 8, "--model", "distance", "--relax", 1], "--relax is given with --model distance"),
        (["--bits", 8, "--model", "blend"], "--model blend needs --tension LENGTH"),
        (["--bits", 8, "--tension", 4], "--tension is given with --model plate"),
        (["--step", 1, "--codes", "low"], "--codes is given with no --bits"),
        (["--bits", 8, "--depth", 12], "is not one of"),
    ],
)
def test_wrong_options_are_usage_errors(tmp_path, source, output, options, message):
    assert message in refused(tmp_path, source, output, *options)


def test_levels_have_no_rounding(tmp_path, source, output):
    (tmp_path / "levels.txt").write_text("0 1")
    message = refused(tmp_path, source, output, "--levels", tmp_path / "levels.txt", "--rounding", "nearest")
    assert "--rounding is given with --levels" in message


def test_samples_that_are_no_such_codes_are_refused(tmp_path, source, output):
    message = refused(tmp_path, source, output, "--bits", 4)
    assert str(source) in message
    assert "its samples of 8 bits are no codes of 4 bits" in message


def test_codes_that_may_stand_in_two_ways_have_to_be_told(tmp_path, output):
    write_png(tmp_path / "dark.png", np.arange(0, 64, 4, dtype=np.uint8).reshape(4, 4))
    message = refused(tmp_path, tmp_path / "dark.png", output, "--bits", 6)
    assert "codes of 6 bits that stand low or high; --codes tells which" in message


def test_more_bits_than_the_samples_have_are_refused(tmp_path, source, output):
    message = refused(tmp_path, source, tmp_path / "result.npy", "--bits", 12)
    assert "bits is 12; accepted are 1 to 8" in message


def test_a_depth_that_holds_nothing_between_the_codes_is_refused(tmp_path, source, output):
    message = refused(tmp_path, source, output, "--bits", 8, "--depth", 8)
    assert "accepted are more than 8 bits" in message


def test_floats_do_not_go_into_a_png(tmp_path, source, output):
    message = refused(tmp_path, source, output, "--bits", 8, "--depth", "float32")
    assert "cannot hold float32; accepted in PNG are uint8 and uint16" in message
    assert "cannot hold float32" in refused(tmp_path, source, output, "--step", 1)


def test_integers_with_a_step_are_refused(tmp_path, source):
    message = refused(tmp_path, source, tmp_path / "result.npy", "--step", 1, "--depth", 16)
    assert "--depth is 16 with --step; accepted are float32 and float64" in message


def test_values_that_are_no_multiples_are_refused(tmp_path):
    np.save(tmp_path / "dem.npy", np.array([[1.0, 2.5], [3.0, 4.0]]))
    message = refused(tmp_path, tmp_path / "dem.npy", tmp_path / "result.npy", "--step", 1)
    assert "holds the value 2.5, which is no multiple of the step 1" in message


@pytest.mark.parametrize(
    ("values", "step", "message"),
    [
        (
            np.float32([[8000.123, 8000.456]]),
            0.0003,
            "single precision cannot tell steps of 0.0003 at values of 8000.1",
        ),
        (np.float64([[8e11 + 0.3, 8e11 + 0.9]]), 0.0007, "double precision cannot tell steps of 0.0007"),
        (np.float16([[1000.5, 999.5]]), 0.3, "half precision cannot tell steps of 0.3"),
    ],
)
def test_steps_that_the_precision_of_the_file_does_not_tell_are_refused(tmp_path, values, step, message):
    np.save(tmp_path / "dem.npy", values)
    assert message in refused(tmp_path, tmp_path / "dem.npy", tmp_path / "result.npy", "--step", step)


@pytest.mark.parametrize(
    ("values", "step", "message"),
    [
        (np.int32([[1_700_000_001]]), 1, "float32 does not hold its values exactly; accepted is float64"),
        (np.float64([[0.1]]), 0.1, "float32 does not hold its values exactly; accepted is float64"),
        (
            np.int32([[100_000]]),
            1,
            "float32 does not have room for 256 values between two levels; accepted is",
        ),
        (np.float32([[8000.25]]), 0.01, "float32 does not have room for 256 values"),
    ],
)
def test_floats_that_are_too_coarse_are_refused(tmp_path, values, step, message):
    np.save(tmp_path / "dem.npy", values)
    given = (tmp_path, tmp_path / "dem.npy", tmp_path / "result.npy", "--step", step, "--depth", "float32")
    assert message in refused(*given)


@pytest.mark.parametrize("values", [np.int64([[2**53 + 1]]), np.float64([[2.0**50]])])
@pytest.mark.parametrize("depth", [[], ["--depth", "float64"]])
def test_values_that_no_float_resolves_are_refused(tmp_path, values, depth):
    np.save(tmp_path / "dem.npy", values)
    message = refused(tmp_path, tmp_path / "dem.npy", tmp_path / "result.npy", "--step", 1, *depth)
    assert "float64 does not h" in message
    assert "accepted are smaller values and larger steps" in message


def test_a_mask_mode_needs_something_masked(tmp_path, source, output):
    message = refused(tmp_path, source, output, "--bits", 8, "--mask-mode", "cut")
    assert f"--mask-mode is given with no --mask and no --textured, and {source} has no missing" in message


def test_infinite_values_are_refused(tmp_path):
    np.save(tmp_path / "dem.npy", np.array([[1.0, np.inf], [3.0, 4.0]]))
    message = refused(tmp_path, tmp_path / "dem.npy", tmp_path / "result.npy", "--step", 1)
    assert "holds infinite values" in message


def test_bits_of_floats_are_refused(tmp_path):
    np.save(tmp_path / "dem.npy", np.ones((4, 4)))
    message = refused(tmp_path, tmp_path / "dem.npy", tmp_path / "result.npy", "--bits", 8)
    assert "it holds float64; --bits accepts unsigned samples of up to 16 bits" in message


@pytest.mark.parametrize("text", ["", "1", "1 2 2", "3 2 1", "0 nan", "zero one"])
def test_levels_that_do_not_rise_are_refused(tmp_path, source, text):
    (tmp_path / "levels.txt").write_text(text)
    message = refused(tmp_path, source, tmp_path / "result.npy", "--levels", tmp_path / "levels.txt")
    assert str(tmp_path / "levels.txt") in message


def test_codes_without_a_level_are_refused(tmp_path, source):
    (tmp_path / "levels.txt").write_text("0 1 2")
    message = refused(tmp_path, source, tmp_path / "result.npy", "--levels", tmp_path / "levels.txt")
    assert "accepted with 3 levels are codes from 0 to 1" in message


def test_levels_that_integers_do_not_hold_are_refused(tmp_path, output):
    write_png(tmp_path / "codes.png", np.array([[0, 1]], np.uint8))
    (tmp_path / "levels.txt").write_text("-1 2 3")
    message = refused(tmp_path, tmp_path / "codes.png", output, "--levels", tmp_path / "levels.txt")
    assert "has levels from -1 to 3; --depth 16 holds 0 to 65535" in message


def test_a_mask_of_another_shape_is_refused(tmp_path, source, output):
    write_png(tmp_path / "mask.png", np.ones((3, 4), np.uint8))
    message = refused(tmp_path, source, output, "--bits", 8, "--mask", tmp_path / "mask.png")
    assert "mask.png has shape (1, 3, 4); accepted is one image of the shape (40, 48)" in message


def test_a_target_that_is_there_stays(tmp_path, source, output):
    output.write_text("precious")
    assert "is there already; --overwrite replaces it" in refused(tmp_path, source, output, "--bits", 8)
    message = refused(tmp_path, source, source, "--bits", 8, "--overwrite")
    assert "is also read from" in message


def test_a_folder_that_is_not_there_is_refused(tmp_path, source):
    assert "does not exist" in refused(tmp_path, source, tmp_path / "no" / "result.png", "--bits", 8)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, source, output, monkeypatch):
    def fail(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fastimg.io._atomic.TemporaryFile", fail)
    message = refused(tmp_path, source, output, "--bits", 8)
    assert f"{output} cannot be written to the folder {tmp_path}: Permission denied" in message


@pytest.mark.parametrize("name", ["result.jpg", "result.xyz", "result"])
def test_formats_that_are_not_written_are_refused(tmp_path, source, name):
    assert "accepted are" in refused(tmp_path, source, tmp_path / name, "--bits", 8)


@pytest.mark.parametrize("name", ["damaged.png", "damaged.npy", "damaged.tif", "damaged.jpg", "damaged.xyz"])
@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_damaged_files_are_refused(tmp_path, output, name, content):
    pytest.importorskip("tifffile")
    (tmp_path / name).write_bytes(content)
    assert str(tmp_path / name) in refused(tmp_path, tmp_path / name, output, "--bits", 8)


def test_stacks_do_not_go_into_a_png(tmp_path, output):
    np.save(tmp_path / "stack.npy", np.zeros((2, 4, 4), np.uint8))
    message = refused(tmp_path, tmp_path / "stack.npy", output, "--bits", 8)
    assert "holds 2 planes" in message


def geotiff(path):
    tifffile = pytest.importorskip("tifffile")
    scale = [(33550, "d", 3, (10.0, 10.0, 0.0), False)]
    tifffile.imwrite(path, np.zeros((4, 4), np.int16), extratags=scale)
    return path


def test_a_geotiff_is_not_stripped_of_its_place(tmp_path, monkeypatch):
    path = geotiff(tmp_path / "dem.tif")
    find_spec = __import__("importlib.util").util.find_spec
    with monkeypatch.context() as patch:
        patch.setattr(
            "importlib.util.find_spec", lambda name: None if name == "rasterio" else find_spec(name)
        )
        message = refused(tmp_path, path, tmp_path / "result.tif", "--step", 1)
    assert "dem.tif is a GeoTIFF; keeping its georeferencing needs rasterio: pip install" in message


def test_a_geotiff_does_not_become_an_array(tmp_path):
    pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio: pip install 'fastimg[io]'")
    path = geotiff(tmp_path / "dem.tif")
    message = refused(tmp_path, path, tmp_path / "result.npy", "--step", 1)
    assert "dem.tif is georeferenced" in message
