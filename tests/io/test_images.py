"""Image files: what is read, how colours and stacks come out, and that writing is all or nothing."""

import h5py
import numpy as np
import pytest

from fastimg.io import read_images, write_image
from fastimg.io._atomic import replaced_when_whole
from fastimg.io.images import FORMATS, LUMINANCE

imageio = pytest.importorskip("imageio.v3")
tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 255, (5, 7), np.uint8)
COLOURS = RNG.integers(0, 255, (5, 7, 3), np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "complex64"])
def test_a_tiff_comes_back_with_its_dtype(tmp_path, dtype):
    image = GRAY.astype(dtype)
    write_image(tmp_path / "image.tif", image)
    read = read_images(tmp_path / "image.tif")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, image[None])


def test_a_stack_in_a_tiff_is_a_stack(tmp_path):
    stack = RNG.random((3, 5, 7))
    write_image(tmp_path / "stack.tiff", stack)
    np.testing.assert_array_equal(read_images(tmp_path / "stack.tiff"), stack)


def test_three_images_of_three_columns_are_not_taken_for_colours(tmp_path):
    stack = RNG.random((4, 5, 3)).astype(np.float32)
    write_image(tmp_path / "narrow.tif", stack)
    np.testing.assert_array_equal(read_images(tmp_path / "narrow.tif"), stack)


@pytest.mark.parametrize("planes", [3, 4])
def test_planes_in_a_tiff_are_a_stack(tmp_path, planes):
    stack = RNG.integers(0, 255, (planes, 5, 7), np.uint8)
    tifffile.imwrite(tmp_path / "planes.tif", stack, photometric="rgb", planarconfig="separate")
    read = read_images(tmp_path / "planes.tif")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, stack)


def test_colours_in_a_tiff_become_luminance(tmp_path):
    tifffile.imwrite(tmp_path / "colours.tif", COLOURS, photometric="rgb")
    read = read_images(tmp_path / "colours.tif")
    assert read.dtype == np.float32
    np.testing.assert_allclose(read[0], COLOURS @ np.asarray(LUMINANCE), rtol=1e-6)


@pytest.mark.parametrize("samples", [3, 4])
def test_colours_in_a_png_become_luminance_without_their_alpha(tmp_path, samples):
    alpha = np.full((5, 7, samples - 3), 128, np.uint8)
    imageio.imwrite(tmp_path / "colours.png", np.concatenate([COLOURS, alpha], axis=-1))
    read = read_images(tmp_path / "colours.png")
    np.testing.assert_allclose(read[0], COLOURS @ np.asarray(LUMINANCE), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_gray_png_keeps_its_dtype(tmp_path, dtype):
    image = GRAY.astype(dtype) * (257 if dtype == "uint16" else 1)
    imageio.imwrite(tmp_path / "image.png", image)
    read = read_images(tmp_path / "image.png")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read[0], image)


def test_the_only_dataset_of_an_hdf5_file_needs_no_name(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/data"] = RNG.random((2, 5, 7))
        file["entry/exposure"] = 0.5
    assert read_images(tmp_path / "scan.h5").shape == (2, 5, 7)


def test_one_of_several_datasets_has_to_be_named(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["dark"], file["entry/data"] = np.zeros((5, 7)), np.ones((2, 5, 7))
    with pytest.raises(ValueError, match=r"name one with dataset \(--dataset\); it holds dark, entry/data"):
        read_images(tmp_path / "scan.h5")
    with pytest.raises(ValueError, match=r"dataset is 'light'; .*scan.h5 holds dark, entry/data"):
        read_images(tmp_path / "scan.h5", dataset="light")
    assert read_images(tmp_path / "scan.h5", dataset="/dark").shape == (1, 5, 7)


def test_an_hdf5_file_without_images_says_so(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/exposure"] = 0.5
    with pytest.raises(ValueError, match=r"scan.h5 holds no dataset that is an image"):
        read_images(tmp_path / "scan.h5")


def test_a_dataset_is_only_accepted_for_hdf5(tmp_path):
    np.save(tmp_path / "image.npy", GRAY)
    with pytest.raises(ValueError, match="only HDF5 has datasets"):
        read_images(tmp_path / "image.npy", dataset="entry/data")


@pytest.mark.parametrize("array", [np.zeros(5), np.zeros((2, 2, 5, 7)), np.zeros((0, 7)), np.array([["a"]])])
def test_what_is_no_image_is_refused(tmp_path, array):
    np.save(tmp_path / "array.npy", array)
    with pytest.raises(ValueError, match=r"accepted are|empty image"):
        read_images(tmp_path / "array.npy")


@pytest.mark.parametrize("suffix", [".tif", ".h5", ".npy", ".png"])
def test_a_damaged_file_is_named(tmp_path, suffix):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(b"this is no image")
    with pytest.raises(ValueError, match=f"damaged{suffix} cannot be read as"):
        read_images(path)


def test_a_damaged_picture_is_refused_in_plain_words(tmp_path):
    path = tmp_path / "damaged.png"
    path.write_bytes(b"this is no image")
    with pytest.raises(
        ValueError, match="cannot be read as an image: its content is damaged, or of a format"
    ):
        read_images(path)


def test_an_unknown_suffix_lists_the_formats(tmp_path):
    with pytest.raises(ValueError, match=r"\.docx.*accepted are") as raised:
        read_images(tmp_path / "image.docx")
    assert all(form.name in str(raised.value) for form in FORMATS)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_images(tmp_path / "missing.tif")


def test_a_missing_reader_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "image.tif"
    write_image(path, GRAY)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs tifffile: pip install 'fastimg\[io\]'"):
        read_images(path)


def test_only_tiff_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"written as \.tif"):
        write_image(tmp_path / "image.png", GRAY)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "shifts.csv"
    target.write_text("old")

    def write_half():
        with replaced_when_whole(target) as path:
            path.write_text("half")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_replaces_the_old_file_with_ordinary_permissions(tmp_path):
    target, ordinary = tmp_path / "shifts.csv", tmp_path / "ordinary"
    target.write_text("old")
    ordinary.touch()
    with replaced_when_whole(target) as path:
        assert path.suffix == ".csv"
        path.write_text("new")
    assert target.read_text() == "new"
    assert target.stat().st_mode == ordinary.stat().st_mode


def test_a_target_that_cannot_be_written_is_refused_at_once(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="does not exist"),
        replaced_when_whole(tmp_path / "no/file.csv"),
    ):
        pass
    with pytest.raises(IsADirectoryError), replaced_when_whole(tmp_path):
        pass
