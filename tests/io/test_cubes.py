"""Cubes of files: whatever the format, windows and what is known of them come back, and damage is named."""

import zipfile

import h5py
import numpy as np
import pytest
import scipy.io

from fastimg.io import create_cube, open_cube
from fastimg.io.cubes import CUBE_FORMATS, split_name

pytestmark = pytest.mark.host_only

RNG = np.random.default_rng(0)
CUBE = RNG.integers(0, 200, (9, 7, 5)).astype(np.uint8)
WAVELENGTHS = np.array([430.5, 520.0, 610.25, 700.0, 790.0])
TRANSFORM = (2.0, 0.0, 500.0, 0.0, -2.0, 900.0)

NEEDS = {".hdr": "spectral", ".img": "spectral", ".bsq": "spectral", ".tif": "rasterio"}
SUFFIXES = (".hdr", ".bsq", ".tif", ".mat", ".h5", ".npy", ".npz")


def needing(suffix):
    if suffix in NEEDS:
        pytest.importorskip(NEEDS[suffix], reason=f"needs {NEEDS[suffix]}, of fastimg[io]")


def written(path, cube=CUBE, **settings):
    """Write a cube in four windows."""
    with create_cube(path, cube.shape, cube.dtype, **settings) as writer:
        for rows in (slice(0, 4), slice(4, None)):
            for columns in (slice(0, 6), slice(6, None)):
                writer[rows, columns] = cube[rows, columns]
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cube_written_by_windows_comes_back(tmp_path, suffix, dtype):
    needing(suffix)
    cube = CUBE.astype(dtype) * (1 if dtype == "uint8" else 100)
    with open_cube(written(tmp_path / f"cube{suffix}", cube, wavelengths=WAVELENGTHS)) as found:
        assert (found.shape, found.dtype) == (cube.shape, cube.dtype)
        np.testing.assert_array_equal(found.read(), cube)
        assert found.read().flags.c_contiguous
        if suffix != ".npy":
            np.testing.assert_array_equal(found.wavelengths, WAVELENGTHS)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_windows_are_those_of_the_array(tmp_path, suffix):
    needing(suffix)
    with open_cube(written(tmp_path / f"cube{suffix}")) as found:
        np.testing.assert_array_equal(found[2:5, 1:3], CUBE[2:5, 1:3])
        np.testing.assert_array_equal(found[-3:], CUBE[-3:])
        np.testing.assert_array_equal(found.read(slice(1, 2), bands=slice(1, 4)), CUBE[1:2, :, 1:4])
        assert found[5:2, :].shape == (0, 7, 5)
        with pytest.raises(ValueError, match="accepted are slices with step 1"):
            found[::2]
        with pytest.raises(ValueError, match="accepted are slices with step 1"):
            found[3]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path, suffix):
    needing(suffix)
    path = written(tmp_path / f"cube{suffix}")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("suffix", "in_memory"), [(".hdr", 0), (".tif", 0), (".h5", 0), (".mat", 0), (".mat", 2**28)]
)
def test_the_place_and_the_value_without_data_stay(tmp_path, monkeypatch, suffix, in_memory):
    monkeypatch.setattr("fastimg.io._matlab._IN_MEMORY", in_memory)
    needing(suffix)
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, of fastimg[io]")
    profile = {"driver": "GTiff", "height": 9, "width": 7, "count": 1, "dtype": "uint8", "nodata": 0}
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(*TRANSFORM)}
    with rasterio.open(tmp_path / "place.tif", "w", **profile, **place) as file:
        file.write(CUBE[..., :1].transpose(2, 0, 1))
        file.update_tags(sensor="one")
    with open_cube(tmp_path / "place.tif") as like:
        assert (like.nodata, like.transform) == (0.0, TRANSFORM)
        written(tmp_path / f"cube{suffix}", like=like, nodata=255)
    with open_cube(tmp_path / f"cube{suffix}") as found:
        assert (found.nodata, found.transform) == (255.0, TRANSFORM)
        assert rasterio.CRS.from_user_input(found.crs).to_epsg() == 32632
        # and on to another format
        written(tmp_path / "again.tif", like=found)
    with rasterio.open(tmp_path / "again.tif") as file:
        assert file.crs.to_epsg() == 32632
        assert tuple(file.transform)[:6] == TRANSFORM


def test_files_of_one_array_take_no_name_and_others_do(tmp_path):
    assert split_name(tmp_path / "cube.h5:/a/b") == (tmp_path / "cube.h5", "/a/b")
    assert split_name("cube.mat:x") == (split_name("cube.mat")[0], "x")
    assert split_name("c:cube.tif")[1] is None
    np.save(tmp_path / "a.npz:b.npy", CUBE)
    assert split_name(tmp_path / "a.npz:b.npy")[1] is None
    for suffix in (".h5", ".mat", ".npz"):
        with open_cube(str(written(f"{tmp_path}/cube{suffix}:scene"))) as found:
            np.testing.assert_array_equal(found.read(), CUBE)


def interrupted(path):
    with create_cube(path, (20, 20, 5)) as writer:
        writer[:4] = np.ones((4, 20, 5), np.float32)
        raise KeyboardInterrupt


def save_several(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array


@pytest.mark.parametrize("suffix", [".h5", ".mat", ".npz"])
def test_of_several_cubes_one_is_named(tmp_path, suffix):
    path = tmp_path / f"cubes{suffix}"
    save_several(path, {"one": CUBE, "two": CUBE + 1, "table": CUBE[0]})
    with pytest.raises(
        ValueError, match=rf"holds several: one .*, two .*; name one, such as cubes{suffix}:one"
    ):
        open_cube(path)
    with open_cube(f"{path}:two") as found:
        np.testing.assert_array_equal(found.read(), CUBE + 1)
    with pytest.raises(ValueError, match="holds no 'three'; it holds one"):
        open_cube(f"{path}:three")
    with pytest.raises(ValueError, match=r"has 2 dimensions, shape \(7, 5\); accepted is a cube"):
        open_cube(f"{path}:table")
    save_several(path, {"table": CUBE[0]})
    with pytest.raises(ValueError, match=r"holds table \(7, 5\); accepted is a cube"):
        open_cube(path)


def test_wavelengths_stand_beside_the_cube(tmp_path):
    for suffix in (".npz", ".mat", ".h5"):
        save_several(tmp_path / f"cube{suffix}", {"cube": CUBE, "wavelength": WAVELENGTHS / 1000})
        with open_cube(tmp_path / f"cube{suffix}") as found:
            np.testing.assert_allclose(found.wavelengths, WAVELENGTHS, rtol=1e-12)


def test_axes_of_matlab_are_those_that_matlab_shows(tmp_path):
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        data = file.create_dataset("cube", data=CUBE.transpose(2, 1, 0))
        data.attrs["MATLAB_class"] = np.bytes_("uint8")
    scipy.io.savemat(tmp_path / "old.mat", {"cube": CUBE}, do_compression=True)
    for name in ("new", "old"):
        with open_cube(tmp_path / f"{name}.mat") as found:
            np.testing.assert_array_equal(found[1:4, 2:], CUBE[1:4, 2:])


def test_matlab_files_are_of_version_5_up_to_a_size(tmp_path, monkeypatch):
    monkeypatch.setattr("fastimg.io._matlab._IN_MEMORY", CUBE.nbytes + 1)
    small = written(tmp_path / "small.mat", wavelengths=WAVELENGTHS)
    assert small.read_bytes().startswith(b"MATLAB 5.0 MAT-file")
    read = scipy.io.loadmat(small)
    np.testing.assert_array_equal(read["cube"], CUBE)
    np.testing.assert_array_equal(read["wavelengths"], WAVELENGTHS[None])
    single = CUBE.astype(np.float32)
    large = written(tmp_path / "large.mat", single, wavelengths=WAVELENGTHS)
    assert large.read_bytes().startswith(b"MATLAB 7.3 MAT-file")
    for path, cube in ((small, CUBE), (large, single)):
        with open_cube(path) as found:
            assert found.dtype == cube.dtype
            np.testing.assert_array_equal(found.read(), cube)
            np.testing.assert_array_equal(found.wavelengths, WAVELENGTHS)
    assert {path.name for path in tmp_path.iterdir()} == {"small.mat", "large.mat"}


@pytest.mark.parametrize(
    ("name", "dtype", "version"),
    [
        ("one", "float64", b"5.0"),
        ("/a/b", "uint8", b"7.3"),
        ("_one", "uint8", b"7.3"),
        ("one", "float16", b"7.3"),
    ],
)
def test_what_version_5_does_not_hold_is_written_as_7_3(tmp_path, name, dtype, version):
    cube = CUBE[..., :1].astype(dtype)
    written(f"{tmp_path / 'cube.mat'}:{name}", cube)
    assert (tmp_path / "cube.mat").read_bytes().startswith(b"MATLAB " + version)
    with open_cube(f"{tmp_path / 'cube.mat'}:{name}") as found:
        np.testing.assert_array_equal(found.read(), cube)


def test_what_matlab_reads_begins_as_its_own_files_do(tmp_path, monkeypatch):
    monkeypatch.setattr("fastimg.io._matlab._IN_MEMORY", 0)
    head = written(tmp_path / "cube.mat").read_bytes()[:128]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[124:] == b"\x00\x02IM"
    with h5py.File(tmp_path / "cube.mat") as file:
        assert file["cube"].shape == CUBE.shape[::-1]
        assert file["cube"].attrs["MATLAB_class"] == b"uint8"


@pytest.mark.parametrize("suffix", [".tif", ".mat", ".h5", ".npy", ".npz"])
def test_damaged_files_are_named(tmp_path, suffix):
    needing(suffix)
    path = tmp_path / f"cube{suffix}"
    path.write_bytes(b"nothing that is a cube")
    with pytest.raises(ValueError, match=f"cube{suffix} cannot be read as"):
        open_cube(path)
    with pytest.raises(FileNotFoundError, match=f"none{suffix}"):
        open_cube(tmp_path / f"none{suffix}")


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".npz", ".mat"])
def test_files_cut_short_are_named(tmp_path, suffix):
    needing(suffix)
    path = tmp_path / f"cube{suffix}"
    if suffix == ".mat":
        scipy.io.savemat(path, {"cube": CUBE})
    else:
        written(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=f"cube{suffix}"), open_cube(path) as found:
        found.read()


def test_values_that_are_no_cube_of_numbers_are_refused(tmp_path):
    np.save(tmp_path / "image.npy", CUBE[0])
    with pytest.raises(ValueError, match=r"has 2 dimensions, shape \(7, 5\)"):
        open_cube(tmp_path / "image.npy")
    np.save(tmp_path / "complex.npy", CUBE.astype(complex))
    with pytest.raises(ValueError, match="holds complex128; accepted are real numbers"):
        open_cube(tmp_path / "complex.npy")
    np.save(tmp_path / "empty.npy", CUBE[:0])
    with pytest.raises(ValueError, match="holds an empty cube"):
        open_cube(tmp_path / "empty.npy")
    with pytest.raises(ValueError, match=r"has the suffix '\.xyz'; accepted are ENVI"):
        open_cube(tmp_path / "cube.xyz")


def test_wrong_windows_and_settings_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"values have the shape \(2, 2, 5\); the window has \(4, 7, 5\)"):
        written_wrong(tmp_path, lambda writer: writer.write(slice(0, 4), slice(None), CUBE[:2, :2]))
    with pytest.raises(TypeError, match="values are float64; the file holds uint8"):
        written_wrong(tmp_path, lambda writer: writer.write(slice(0, 4), slice(None), CUBE[:4] * 1.0))
    with pytest.raises(ValueError, match="shape is"), create_cube(tmp_path / "a.npy", (3, 0, 5)):
        pass
    with (
        pytest.raises(ValueError, match=r"wavelengths have the shape \(2,\); the new cube has 5"),
        create_cube(tmp_path / "a.npy", CUBE.shape, wavelengths=[1, 2]),
    ):
        pass
    with pytest.raises(ValueError, match="cannot hold bool"), create_cube(tmp_path / "a.h5", (1, 1, 1), bool):
        pass
    assert not list(tmp_path.iterdir())


def written_wrong(folder, write):
    with create_cube(folder / "a.npy", CUBE.shape, np.uint8) as writer:
        write(writer)


def test_cubes_that_do_not_fit_the_new_one_are_refused(tmp_path):
    with open_cube(written(tmp_path / "a.npy")) as other:
        with pytest.raises(ValueError, match=r"like has the pixels \(9, 7\)"):
            written(tmp_path / "b.npy", CUBE[:3], like=other)
        with pytest.raises(ValueError, match="bands_like has 5 bands; the new cube has 2"):
            written(tmp_path / "b.npy", CUBE[..., :2], bands_like=other)


@pytest.mark.parametrize(("suffix", "package"), [(".hdr", "spectral"), (".tif", "rasterio")])
def test_missing_packages_are_named(tmp_path, monkeypatch, suffix, package):
    (tmp_path / f"cube{suffix}").touch()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=rf"needs? {package}: pip install 'fastimg\[io\]'"):
        open_cube(tmp_path / f"cube{suffix}")
    with pytest.raises(ImportError, match=package):
        written(tmp_path / f"new{suffix}")


def test_a_large_file_is_not_read_to_be_opened(tmp_path, monkeypatch):
    shape = (4000, 4000, 100)  # 6.4 GB that are a hole in the file
    np.lib.format.open_memmap(tmp_path / "cube.npy", "w+", np.float32, shape)
    with open_cube(tmp_path / "cube.npy") as found:
        assert found.shape == shape
        assert found[3990:, 3990:].shape == (10, 10, 100)
    archive = tmp_path / "cube.npz"
    written(archive)
    monkeypatch.setattr(np, "load", lambda *given, **more: pytest.fail("all of it was read"))
    assert open_cube(archive).shape == CUBE.shape


def test_an_archive_is_one_that_numpy_reads(tmp_path):
    with np.load(written(tmp_path / "cube.npz", wavelengths=WAVELENGTHS)) as archive:
        np.testing.assert_array_equal(archive["cube"], CUBE)
        np.testing.assert_array_equal(archive["wavelengths"], WAVELENGTHS)
    assert zipfile.ZipFile(tmp_path / "cube.npz").testzip() is None


def test_formats_have_suffixes_of_their_own():
    suffixes = [suffix for form in CUBE_FORMATS for suffix in form.suffixes]
    assert len(suffixes) == len(set(suffixes))
