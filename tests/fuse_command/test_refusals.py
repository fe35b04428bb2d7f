"""The command that fuses files refuses bad input before any work, in one line that names the file."""

import shutil

import numpy as np
import pytest

from tests.fuse_command import done, run

pytestmark = pytest.mark.host_only


def refused(folder, *arguments, command="fuse"):
    """Run something that must fail before any work, and return the message."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    result = run(*arguments, command=command)
    assert result.exit_code == 2, result.output
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    message = result.output.rpartition("Error: ")[2]
    assert message.count("\n") == 1
    return message


@pytest.fixture
def no_work(monkeypatch):
    """Fail if anything is fused."""
    monkeypatch.setattr(
        "fastimg._fuse_files.fuse_scene", lambda *given, **more: pytest.fail("work was begun")
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "other"], "is not one of"),
        (["--method", "gsa", "--iterations", 3], "--iterations is given with --method gsa"),
        (["--method", "arithmetic", "--gamma-h", 1e-4], "--gamma-h is given with --method arithmetic"),
        (["--method", "cnmf", "--inverse", "pinv"], "--inverse is given with --method cnmf"),
        (["--method", "cnmf", "--tile", 64], "--tile is given with --method cnmf, which takes the scene"),
        (["--method", "gsa", "--no-denoise"], "--no-denoise is given with --method gsa"),
        (["--weight", 1], "not in the range"),
        (["--ratio", 1], "not in the range"),
        (["--iterations", 0], "not in the range"),
        (["--wavelengths", "1:2"], "is neither first:last:bands"),
        (["--response-columns", "1,,2"], "names no columns"),
        (["--blur", "strong"], "is none of auto, none, block"),
        (["--format", "int4"], "is not one of"),
    ],
)
def test_wrong_options_are_usage_errors(scene, output, no_work, options, message):
    assert message in refused(scene.folder, *scene.inputs[:-1], "-o", output, *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ratio", 3], "accepted are 18×15 (axes are rows, columns, bands)"),
        (["--wavelengths", "400:800:7"], "--wavelengths are 7; "),
        (["--wavelengths", "-1:800:9"], "--wavelengths hold numbers that are not above 0"),
        (["--response-columns", "1-3"], "accepted are 3 × 9, multispectral × hyperspectral bands"),
        (
            ["--format", "uint8", "--nodata", "-1"],
            "pixels without data are marked by -1, which uint8 does not",
        ),
        (["--blur", "-1"], "blur is -1"),
    ],
)
def test_what_the_files_do_not_allow_is_refused(scene, output, options, message):
    assert message in refused(scene.folder, *scene.inputs, "-o", output, *options)


def test_files_that_are_not_there_are_named(scene, output, no_work):
    message = refused(scene.folder, scene.folder / "none.npy", *scene.inputs[1:], "-o", output)
    assert "none.npy' does not exist" in message
    message = refused(scene.folder, f"{scene.file('hs')}:other", *scene.inputs[1:], "-o", output)
    assert "holds no 'other'; it holds cube (6, 5, 9)" in message


def test_results_that_cannot_be_written_are_refused(scene, output, no_work):
    inputs = scene.inputs
    assert "is also read from" in refused(scene.folder, *inputs, "-o", scene.file("hs"), "--overwrite")
    assert "the folder" in refused(scene.folder, *inputs, "-o", output.parent / "no" / "fused.npy")
    assert "has the suffix '.xyz'" in refused(scene.folder, *inputs, "-o", output.with_suffix(".xyz"))
    output.touch()
    assert "--overwrite replaces it" in refused(scene.folder, *inputs, "-o", output)


def test_both_files_of_envi_are_looked_after(scene, output, no_work):
    pytest.importorskip("spectral", reason="needs spectral, of fastimg[io]")
    output.with_suffix(".img").touch()
    message = refused(scene.folder, *scene.inputs, "-o", output.with_suffix(".img"))
    assert "fused.img is there already" in message


def test_images_that_do_not_fit_are_refused(scene, output, no_work):
    np.save(scene.folder / "small.npy", scene.multispectral[:-1])
    message = refused(
        scene.folder, scene.file("hs"), scene.folder / "small.npy", *scene.inputs[2:], "-o", output
    )
    assert "small.npy has 23×20 pixels" in message
    assert "accepted are fine pixels that are a multiple of the coarse ones" in message
    # the other way round
    message = refused(scene.folder, scene.file("ms"), scene.file("hs"), *scene.inputs[2:], "-o", output)
    assert "hs.npz has 6×5 pixels" in message


def test_a_reference_of_another_shape_is_refused(scene, output, no_work):
    message = refused(scene.folder, *scene.inputs, "-o", output, "--reference", scene.file("ms"))
    assert "has the shape (24, 20, 3); accepted is that of the result, (24, 20, 9)" in message


def test_a_missing_package_for_the_quality_is_named_before_the_work(scene, output, no_work, monkeypatch):
    monkeypatch.setattr("fastimg._fuse_quality.importlib.util.find_spec", lambda name: None)
    message = refused(scene.folder, *scene.inputs, "-o", output, "--reference", scene.file("cube"))
    assert "--reference needs scikit-image" in message


def test_gaps_that_no_integer_marks_are_refused_and_nothing_is_written(scene, output):
    scene.multispectral[3, 4] = np.nan
    np.save(scene.folder / "gap.npy", scene.multispectral)
    inputs = (scene.file("hs"), scene.folder / "gap.npy", *scene.inputs[2:], "-o", output, "--iterations", 1)
    message = refused(scene.folder.parent, *inputs, "--format", "uint16")
    assert "1 pixels have no data, and uint16 has no value to mark them; --nodata gives one" in message
    done(*inputs)
    assert np.isnan(np.load(output)[3, 4]).all()


def test_places_that_do_not_fit_are_refused(scene, output, no_work):
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, of fastimg[io]")

    def write(name, values, place, crs):
        rows, columns, bands = values.shape
        profile = {"driver": "GTiff", "height": rows, "width": columns, "count": bands, "dtype": "float32"}
        with rasterio.open(scene.folder / name, "w", transform=place, crs=crs, **profile) as file:
            file.write(values.transpose(2, 0, 1))
        return scene.folder / name

    fine = write("m.tif", scene.multispectral, rasterio.Affine(10, 0, 500, 0, -10, 900), "EPSG:32632")
    rest = (fine, *scene.inputs[2:], "-o", output)
    shifted = write("a.tif", scene.hyperspectral, rasterio.Affine(40, 0, 600, 0, -40, 900), "EPSG:32632")
    message = refused(scene.folder, shifted, *rest)
    assert "lie at row 1.5, column 11.5 and row 21.5, column 27.5 of the pixels of" in message
    larger = write("b.tif", scene.hyperspectral, rasterio.Affine(50, 0, 500, 0, -50, 900), "EPSG:32632")
    assert "accepted are blocks of 4 × 4 pixels" in refused(scene.folder, larger, *rest)
    elsewhere = write("c.tif", scene.hyperspectral, rasterio.Affine(40, 0, 500, 0, -40, 900), "EPSG:32633")
    assert "are in different coordinate reference systems" in refused(scene.folder, elsewhere, *rest)


def test_a_simulation_is_refused_as_well(scene, tmp_path):
    common = (scene.file("cube"), tmp_path / "h.npy")
    rest = ("--response", scene.folder / "response.csv")
    message = refused(tmp_path, *common, tmp_path / "h.npy", *rest, command="fuse-simulate")
    assert "HS and MS are both" in message
    message = refused(tmp_path, *common, tmp_path / "m.npy", *rest, "--ratio", 7, command="fuse-simulate")
    assert "cube has 24 rows; accepted for ratio 7 are multiples of it" in message
    shutil.copy(scene.file("cube"), tmp_path / "m.npz")
    message = refused(tmp_path, *common, tmp_path / "m.npz", *rest, command="fuse-simulate")
    assert "--overwrite replaces it" in message
