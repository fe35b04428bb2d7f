"""Reading images and stacks of images as arrays (N, H, W), and writing them.

One table, ``FORMATS``, says what is read: its rows are what ``read_images`` and the error messages go by.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastimg.io import png
from fastimg.io._atomic import replaced_when_whole

__all__ = ["FORMATS", "HDF5_SUFFIXES", "LUMINANCE", "Format", "read_images", "write_image"]

HDF5_SUFFIXES = (".h5", ".hdf5", ".cxi", ".nxs")

#: Weights of red, green and blue in the luminance (ITU-R BT.709)
LUMINANCE = (0.2126, 0.7152, 0.0722)


class Format(NamedTuple):
    """One family of files: its suffixes, the package that reads it, and how."""

    name: str
    suffixes: tuple[str, ...]
    package: str
    read: Callable[[Path, str | None], NDArray[Any]]


class _DatasetError(ValueError):
    """The file is sound, and ``dataset`` is not what it holds; the message is complete."""


def read_images(path: str | os.PathLike[str], *, dataset: str | None = None) -> NDArray[Any]:
    """Read a gray image, or a stack of them, from any of the ``FORMATS``.

    Colours (RGB, or RGBA, whose alpha is left out) become luminance, 0.2126 R + 0.7152 G + 0.0722 B, as
    float32, on the scale of the file. In HDF5 and NumPy files three axes are always a stack. In a TIFF
    only samples that follow each other pixel by pixel are colours: planes are a stack, because a file does
    not tell planar RGB from three gray images.

    Parameters
    ----------
    path : path-like
        The file; its suffix tells the format.
    dataset : str, optional
        Path of the dataset within an HDF5 file; needed where the file holds several images or stacks.

    Returns
    -------
    ndarray, shape (N, H, W)
        N is 1 for a single image. The dtype is that of the file, float32 for colours.

    Raises
    ------
    ImportError
        If the package that reads this format is not installed; the message says what to install.
    ValueError
        If the suffix is not known, the file is damaged, or what it holds is neither an image nor a stack.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "ramp.npy"
    >>> np.save(path, np.arange(6.0).reshape(2, 3))
    >>> read_images(path).shape
    (1, 2, 3)
    """
    path = Path(path)
    form = _format_of(path)
    if dataset is not None and form.package != "h5py":
        raise ValueError(f"dataset is {dataset!r}, but {path.name} is {form.name}; only HDF5 has datasets")
    if importlib.util.find_spec(form.package) is None:
        raise ImportError(f"reading {form.name} files needs {form.package}: pip install 'fastimg[io]'")
    with path.open("rb"):  # an unreadable file is an OSError that names it, whichever package reads it
        pass
    try:
        images = form.read(path, dataset)
    except _DatasetError:
        raise
    # Pillow reports a damaged PNG as SyntaxError, NumPy an empty file as EOFError
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if images.dtype.kind not in "biufc":
        raise ValueError(f"{path} holds {images.dtype}; accepted are numbers")
    if 0 in images.shape:
        raise ValueError(f"{path} holds an empty image, shape {images.shape}")
    return images


def write_image(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Write an image (H, W) or a stack (N, H, W) as a TIFF that keeps its dtype; all of it or nothing.

    Parameters
    ----------
    path : path-like
        The file to be written, with the suffix .tif or .tiff. An existing file is replaced.
    image : ndarray, shape (H, W) or (N, H, W)
        Integers, floating point or complex.

    Raises
    ------
    ImportError
        If tifffile is not installed.
    ValueError
        If the suffix is another one.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "ramp.tif"
    >>> write_image(path, np.arange(6.0).reshape(2, 3))
    >>> read_images(path)[0, 1]
    array([3., 4., 5.])
    """
    path = Path(path)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"path is {path}; images are written as .tif or .tiff")
    if importlib.util.find_spec("tifffile") is None:
        raise ImportError("writing TIFF files needs tifffile: pip install 'fastimg[io]'")
    import tifffile

    with replaced_when_whole(path) as unfinished:
        tifffile.imwrite(unfinished, image, photometric="minisblack")


def _read_tiff(path: Path, dataset: str | None) -> NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        array, axes = series.asarray(), series.axes
    # "S" are the samples of one pixel. Any leading axis (Z, T, I, Q) counts images of the stack; so does a
    # leading S, because tifffile declares three or four gray 8-bit images to be planes of colours.
    return _as_stack(array, has_colours=axes.endswith("S"))


def _read_picture(path: Path, dataset: str | None) -> NDArray[Any]:
    if png.depth_of(path) == 16:  # Pillow would cut colours to 8 bits
        array = png.read_png(path).samples
        return _as_stack(array, has_colours=True)
    from imageio import v3 as imageio

    try:
        array = imageio.imread(path, plugin="pillow")
    except OSError as error:
        if "pillow" not in str(error):
            raise
        # imageio speaks of its plugin, not of the file
        raise ValueError("its content is damaged, or of a format that Pillow does not read") from error
    return _as_stack(array, has_colours=array.ndim >= 3 and array.shape[-1] in (2, 3, 4))


def _read_hdf5(path: Path, dataset: str | None) -> NDArray[Any]:
    import h5py

    with h5py.File(path) as file:
        found: list[str] = []

        def remember(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.ndim in (2, 3) and item.dtype.kind in "biufc":
                found.append(name)

        file.visititems(remember)
        if not found:
            raise _DatasetError(
                f"{path} holds no dataset that is an image (H, W) or a stack (N, H, W) of numbers"
            )
        choice = ", ".join(sorted(found))
        if dataset is None and len(found) != 1:
            raise _DatasetError(
                f"{path} holds several images: name one with dataset (--dataset); it holds {choice}"
            )
        name = found[0] if dataset is None else dataset.strip("/")
        if name not in found:
            raise _DatasetError(f"dataset is {dataset!r}; {path} holds {choice}")
        return _as_stack(file[name][()])


def _read_numpy(path: Path, dataset: str | None) -> NDArray[Any]:
    return _as_stack(np.load(path, allow_pickle=False))


def _as_stack(array: NDArray[Any], *, has_colours: bool = False) -> NDArray[Any]:
    """Bring one image or several to (N, H, W)."""
    gray = _luminance(array) if has_colours else array
    if gray.ndim not in (2, 3):
        raise ValueError(
            f"it holds an array of shape {array.shape}; accepted are an image (H, W), colours (H, W, 3 or 4) "
            "and a stack (N, H, W)"
        )
    return gray[None] if gray.ndim == 2 else gray


def _luminance(array: NDArray[Any]) -> NDArray[Any]:
    samples = array.shape[-1]
    if samples in (1, 2):  # gray, gray with alpha
        return array[..., 0]
    if samples not in (3, 4):
        raise ValueError(f"a pixel has {samples} samples; accepted are gray, RGB and RGBA")
    return array[..., :3].astype(np.float32) @ np.asarray(LUMINANCE, np.float32)


def _format_of(path: Path) -> Format:
    for form in FORMATS:
        if path.suffix.lower() in form.suffixes:
            return form
    accepted = "; ".join(f"{form.name} ({', '.join(form.suffixes)})" for form in FORMATS)
    raise ValueError(f"{path} has the suffix {path.suffix!r}; accepted are {accepted}")


FORMATS = (
    Format("TIFF", (".tif", ".tiff"), "tifffile", _read_tiff),
    Format("HDF5", HDF5_SUFFIXES, "h5py", _read_hdf5),
    Format("NumPy", (".npy",), "numpy", _read_numpy),
    Format("picture", (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".webp"), "imageio", _read_picture),
)
