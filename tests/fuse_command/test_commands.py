"""The command that fuses files: the same as the functions, in any format, with places and gaps kept."""

import inspect
import json

import h5py
import numpy as np
import pytest
import scipy.io

from fastimg import metrics
from fastimg._fuse_commands import fuse as command
from fastimg.fusion import (
    arithmetic_mean,
    cnmf,
    denoise_total_variation,
    denoise_wiener,
    fuse_scene,
    gsa,
    hmwb,
    simulate_pair,
    starck_murtagh,
)
from fastimg.io import create_cube, open_cube
from tests.fuse_command import done

pytestmark = pytest.mark.host_only

QUICK = ("--iterations", 5)


def read(path):
    with open_cube(path) as cube:
        return cube.read()


def fused(scene, **settings):
    settings = {"denoise": False, "iterations": 5, **settings}
    return hmwb(
        scene.hyperspectral, scene.multispectral, spectral_response=scene.response, ratio=4, **settings
    )


def test_the_command_gives_what_the_function_gives(scene, output):
    printed = done(*scene.inputs, "-o", output, *QUICK)
    assert printed == f"{output}: 24×20 pixels, 9 bands, float32, hmwb\n"
    found = np.load(output)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, fused(scene), rtol=1e-5)


def test_options_are_those_of_the_function(scene, output):
    given = [
        "--inverse", "regression", "--weight", 0.3, "--gamma-m", 2e-6, "--gamma-h", 2e-4, "--alpha-m", 2e-3,
        "--alpha-h", 400, "--precision", "float64", "--format", "float64", "--ratio", 4, "--blur", "0,1,1",
    ]  # fmt: skip
    done(*scene.inputs, "-o", output, *QUICK, *given)
    expected = fused(
        scene, spectral_inverse="regression", weight=0.3, gamma_m=2e-6, gamma_h=2e-4, alpha_m=2e-3,
        alpha_h=400.0, precision="float64", blur=np.array([0.0, 1, 1]),
    )  # fmt: skip
    found = np.load(output)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_defaults_are_those_of_the_function():
    parameters = inspect.signature(fuse_scene).parameters
    options = {option.name: option.default for option in command.params if option.name in parameters}
    assert len(options) == 16
    options.pop("blur")  # asks the files
    assert options.pop("denoise") == "both"  # names images
    for name, default in options.items():
        # click marks options without a default
        default = None if repr(default).endswith("UNSET") else default
        expected = parameters[name].default
        assert default == (None if expected is inspect.Parameter.empty else expected), name


@pytest.mark.parametrize(
    ("method", "function"),
    [
        ("arithmetic", lambda h, m, **given: arithmetic_mean(h, m, denoise=False, **given)),
        ("gsa", lambda h, m, spectral_response, **given: gsa(h, m, **given)),
        ("cnmf", cnmf),
    ],
)
def test_other_methods(scene, output, method, function):
    inputs = scene.inputs if method == "arithmetic" else scene.inputs[:-1]
    printed = done(*inputs, "-o", output, "--method", method, "--blur", "starck-murtagh")
    assert f"float32, {method}" in printed
    expected = function(
        scene.hyperspectral,
        scene.multispectral,
        spectral_response=scene.response,
        ratio=4,
        blur=starck_murtagh(),
    )
    np.testing.assert_allclose(np.load(output), expected, rtol=1e-4, atol=1e-3)


def test_noise_is_taken_out_by_default(scene, output):
    pytest.importorskip("skimage", reason="total variation needs scikit-image")
    done(*scene.inputs[:-1], "-o", output, *QUICK)
    np.testing.assert_allclose(np.load(output), fused(scene, denoise=True), rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "denoise"),
    [
        ("both", True),
        ("hs", (None, denoise_total_variation)),
        ("ms", (denoise_wiener, None)),
        ("none", False),
    ],
)
def test_noise_is_taken_out_of_the_images_named(scene, output, images, denoise):
    pytest.importorskip("skimage", reason="total variation needs scikit-image")
    done(*scene.inputs[:-1], "-o", output, *QUICK, "--denoise", images)
    np.testing.assert_allclose(np.load(output), fused(scene, denoise=denoise), rtol=1e-5)


def test_tiles_are_the_scene(scene, output):
    printed = done(*scene.inputs, "-o", output, *QUICK, "--tile", 8, "--halo", 16)
    assert "9 tiles with a halo of 16 pixels" in printed
    np.testing.assert_allclose(np.load(output), fused(scene), rtol=1e-4)
    printed = done(*scene.inputs, "-o", output, *QUICK, "--tile", 8, "--extent", 12, "--overwrite")
    assert "9 tiles with a halo of 16 pixels" in printed


@pytest.mark.parametrize("suffix", [".hdr", ".tif", ".mat", ".h5", ".npz"])
def test_every_format_holds_the_result(scene, output, suffix):
    pytest.importorskip({".hdr": "spectral", ".tif": "rasterio"}.get(suffix, "numpy"))
    target = output.with_suffix(suffix)
    done(*scene.inputs, "-o", target, *QUICK)
    with open_cube(target) as cube:
        np.testing.assert_allclose(cube.read(), fused(scene), rtol=1e-5)
        np.testing.assert_allclose(cube.wavelengths, np.linspace(450, 850, 9))
    assert not list(output.parent.glob(".*"))


def test_arrays_are_named_in_files_of_several(scene, output):
    mat, h5 = scene.folder / "all.mat", scene.folder / "all.h5"
    scipy.io.savemat(mat, {"hs": scene.hyperspectral, "ms": scene.multispectral, "srf": scene.response})
    with h5py.File(h5, "w") as file:
        file["truth/cube"], file["other"] = scene.cube, scene.cube
    printed = done(
        f"{mat}:hs", f"{mat}:ms", "--response", f"{mat}:srf", "--no-denoise", *QUICK,
        "-o", f"{output.with_suffix('.h5')}:/result/fused", "--reference", f"{h5}:/truth/cube",
    )  # fmt: skip
    with h5py.File(output.with_suffix(".h5")) as file:
        np.testing.assert_allclose(file["result/fused"][()], fused(scene), rtol=1e-5)
    assert "RMSE" in printed


def test_curves_are_taken_at_the_wavelengths(scene, output):
    rows = ["nm,pan,blue,green,red"]
    rows += [f"{w},1,{w < 575:d},{575 < w < 725:d},{w > 725:d}" for w in range(400, 910, 10)]
    (scene.folder / "curves.csv").write_text("\n".join(rows))
    np.savetxt(scene.folder / "wavelengths.txt", np.linspace(450, 850, 9))
    common = (*scene.inputs[:2], "--response", scene.folder / "curves.csv", "--no-denoise", *QUICK)
    done(*common, "--response-columns", "2-4", "-o", output)
    np.testing.assert_allclose(np.load(output), fused(scene), rtol=1e-5)
    for number, wavelengths in enumerate(
        ("450:850:9", "450,500,550,600,650,700,750,800,850", scene.folder / "wavelengths.txt")
    ):
        target = output.with_name(f"{number}.npy")
        done(*common, "--response-columns", "blue,green,red", "--wavelengths", wavelengths, "-o", target)
        np.testing.assert_array_equal(np.load(target), np.load(output))


def test_the_quality_is_that_of_the_file(scene, output):
    pytest.importorskip("skimage", reason="PSNR needs scikit-image")
    common = (*scene.inputs, "-o", output, *QUICK, "--format", "int16", "--reference", scene.file("cube"))
    table = done(*common)
    summary = json.loads(done(*common, "--overwrite", "--json"))
    found, truth = np.load(output).astype(np.float64), scene.cube.astype(np.float64)
    expected = {
        "RMSE": metrics.rmse(found, truth),
        "RMSE/mean": metrics.rmse(found, truth) / truth.mean(),
        "SAM": metrics.sam(found, truth),
        "ERGAS": metrics.ergas(found, truth, 4),
        "CC": metrics.cross_correlation(found, truth),
        "UIQI": metrics.uiqi(found, truth),
        "PSNR": metrics.psnr(found, truth),
    }
    assert list(summary["quality"]) == list(expected)
    for name, value in expected.items():
        assert summary["quality"][name] == pytest.approx(value, rel=1e-5)
        assert any(line.split() == [name, f"{value:.5g}"] for line in table.splitlines()), name
    assert summary["shape"] == [24, 20, 9]


def test_integers_are_rounded_and_clipped(scene, output):
    done(*scene.inputs, "-o", output, *QUICK)
    floats = np.load(output)
    assert floats.max() > 255
    printed = done(*scene.inputs, "-o", output, *QUICK, "--format", "uint8", "--overwrite")
    found = np.load(output)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.clip(np.rint(floats), 0, 255))
    assert (
        f"{100 * (np.rint(floats) > 255).mean():.2g} % of the samples clipped to the range of uint8"
        in printed
    )


@pytest.fixture
def placed(scene):
    """The pair as GeoTIFFs; a function of the place of the coarse one writes them and returns both."""
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, of fastimg[io]")

    def write(coarse, crs="EPSG:32632", nodata=None, fine_nodata=None):
        fine = rasterio.Affine(10, 0, 500000, 0, -10, 4000000)
        for name, values, place, system, missing in (
            ("hs", scene.hyperspectral, coarse, crs, nodata),
            ("ms", scene.multispectral, fine, "EPSG:32632", fine_nodata),
        ):
            rows, columns, bands = values.shape
            with rasterio.open(
                scene.folder / f"{name}.tif", "w", driver="GTiff", height=rows, width=columns, count=bands,
                dtype="float32", crs=system, transform=place, nodata=missing,
            ) as file:  # fmt: skip
                file.write(values.transpose(2, 0, 1))
        return scene.folder / "hs.tif", scene.folder / "ms.tif", *scene.inputs[2:]

    return write


def test_the_result_lies_where_the_fine_image_does(scene, placed, output):
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, of fastimg[io]")
    inputs = placed(rasterio.Affine(40, 0, 500000, 0, -40, 4000000))
    done(*inputs, "-o", output.with_suffix(".tif"), *QUICK)
    with rasterio.open(output.with_suffix(".tif")) as file, rasterio.open(inputs[1]) as fine:
        assert (file.crs, file.transform) == (fine.crs, fine.transform)
        assert file.count == 9
    # coarse pixels that cover whole fine ones have their middles between the second and the third of them
    expected = fused(scene, blur=np.repeat([0.0, 1.0], 4))
    np.testing.assert_allclose(read(output.with_suffix(".tif")), expected, rtol=1e-5)
    done(*inputs, "-o", output, *QUICK, "--blur", "none")
    np.testing.assert_allclose(np.load(output), fused(scene), rtol=1e-5)


def test_samples_at_every_fourth_pixel_are_known_by_their_place(scene, placed, output):
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, of fastimg[io]")
    done(*placed(rasterio.Affine(40, 0, 499985, 0, -40, 4000015)), "-o", output, *QUICK)
    np.testing.assert_allclose(np.load(output), fused(scene), rtol=1e-5)


def test_pixels_without_data_stay_so(scene, placed, output):
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, of fastimg[io]")
    scene.hyperspectral[2, 1] = -1
    scene.multispectral[20, 3] = -9999
    place = rasterio.Affine(40, 0, 499985, 0, -40, 4000015)
    inputs = placed(place, nodata=-1, fine_nodata=-9999)
    printed = done(*inputs, "-o", output.with_suffix(".tif"), *QUICK, "--tile", 12)
    assert f"{100 * 17 / 480:.1f} % of the pixels without data" in printed
    with rasterio.open(output.with_suffix(".tif")) as file:
        assert file.nodata == -1
        marked = (file.read() == -1).all(axis=0)
    assert marked.sum() == 17
    assert marked[20, 3]
    assert marked[6:10, 2:6].all()
    # other marks may be asked for, and integers need one that they hold
    table = done(
        *inputs, "-o", output, *QUICK, "--nodata", 65535, "--format", "uint16", "--reference",
        scene.file("cube"),
    )  # fmt: skip
    found = np.load(output)
    np.testing.assert_array_equal((found == 65535).all(axis=2), marked)
    # and are not compared
    assert "UIQI" not in table
    rmse = metrics.rmse(found[~marked].astype(np.float64), scene.cube[~marked])
    assert float(table.split("RMSE ")[1].split()[0]) == pytest.approx(rmse, rel=1e-4)


def test_a_simulated_pair_is_that_of_the_function(scene, tmp_path):
    printed = done(
        scene.file("cube"), tmp_path / "h.npy", tmp_path / "m.npy", *scene.inputs[2:4], "--ratio", 2,
        "--snr-h", 20, "--snr-m", 30, "--seed", 3, command="fuse-simulate",
    )  # fmt: skip
    assert f"{tmp_path / 'h.npy'}: 12×10 pixels, 9 bands\n" in printed
    assert f"{tmp_path / 'm.npy'}: 24×20 pixels, 3 bands\n" in printed
    assert printed.endswith("\nfuse them with --ratio 2 --blur starck-murtagh\n")
    expected = simulate_pair(
        scene.cube, scene.response, ratio=2, blur=starck_murtagh(), snr_h=20, snr_m=30, rng=3
    )
    for name, image in zip("hm", expected, strict=True):
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), image, rtol=1e-6)


@pytest.mark.parametrize(
    ("blur", "said"), [("auto", "none"), ("block", "block"), ("1.5", "1.5"), ("1,2,1", "1.0,2.0,1.0")]
)
def test_a_simulated_pair_lies_where_it_was_seen(scene, tmp_path, blur, said):
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, of fastimg[io]")
    place = rasterio.Affine(10, 0, 500000, 0, -10, 4000000)
    with rasterio.open(
        tmp_path / "cube.tif", "w", driver="GTiff", height=24, width=20, count=9, dtype="float32",
        crs="EPSG:32632", transform=place,
    ) as file:  # fmt: skip
        file.write(scene.cube.transpose(2, 0, 1))
    h, m = tmp_path / "h.tif", tmp_path / "m.tif"
    printed = done(tmp_path / "cube.tif", h, m, *scene.inputs[2:4], "--blur", blur, command="fuse-simulate")
    options = printed.splitlines()[-1].removeprefix("fuse them with ").split()
    assert options == ["--ratio", "4", "--blur", said]
    x, y = (500000, 4000000) if blur == "block" else (499985, 4000015)
    with rasterio.open(h) as coarse, rasterio.open(m) as fine:
        assert coarse.crs == fine.crs == rasterio.CRS.from_epsg(32632)
        assert coarse.transform == rasterio.Affine(40, 0, x, 0, -40, y)
        assert fine.transform == place
    # what is printed is what fuses them, and where they lie says as much for a symmetric blur
    names = tmp_path / "said.npy", tmp_path / "auto.npy"
    done(h, m, *scene.inputs[2:], "-o", names[0], *QUICK, *options)
    done(h, m, *scene.inputs[2:], "-o", names[1], *QUICK)
    np.testing.assert_allclose(np.load(names[0]), np.load(names[1]), rtol=1e-5)


def test_a_cube_of_zeros_and_ones_keeps_its_marks(tmp_path):
    from fastimg._fuse_samples import Measured, Rounded

    values = np.zeros((2, 2, 3), np.uint8)
    values[0, 0, 0] = 5
    values[1, 1] = 7
    np.save(tmp_path / "a.npy", values)
    with open_cube(tmp_path / "a.npy") as cube:
        # a dark band is no gap where 0 marks gaps, but dark in all bands is
        np.testing.assert_array_equal(
            np.isnan(Measured(cube, 0.0)[:, :]).all(axis=2), [[False, True], [True, False]]
        )
        np.testing.assert_array_equal(
            np.isnan(Measured(cube, 5.0)[:, :]).all(axis=2), [[True, False], [False, False]]
        )
        assert not np.isnan(Measured(cube, -1.5)[:, :]).any()
    found = np.array([[[0.2, 300, 4], [np.nan] * 3]])
    with create_cube(tmp_path / "b.npy", (1, 2, 3), np.uint8) as writer:
        rounded = Rounded(writer, 0.0)
        rounded[:, :] = found
    # what has data does not get the mark
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), [[[1, 255, 4], [0, 0, 0]]])
    assert (rounded.missing, rounded.clipped) == (1, 1)
