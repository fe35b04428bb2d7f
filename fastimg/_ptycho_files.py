"""Files of ptychography as the commands see them: checks before any work, and errors that name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from fastimg.ptychography import Reconstruction, Scan

__all__ = [
    "READING",
    "check_folder",
    "check_new",
    "is_reconstruction",
    "named",
    "read_picture",
    "read_probe",
    "read_scan",
]

#: Options that say how a scan is read: arguments of ``Scan.from_cxi``
READING = ("size", "center", "axes", "clip", "wavelength", "distance", "detector_pixel")


def check_folder(target: Path) -> None:
    """Raise an OSError if no file can be written beside ``target``."""
    folder = target.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder {folder} of {target.name} does not exist")
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"{target} cannot be written to the folder {folder}: {error.strerror}") from error


def check_new(target: Path, overwrite: bool) -> None:
    """Raise an error if ``target`` cannot be written, or is there already."""
    check_folder(target)
    if target.exists() and not overwrite:
        raise ValueError(f"{target} is there already; --overwrite replaces it")


def is_reconstruction(path: Path) -> bool:
    """Whether ``Reconstruction.save`` wrote a file."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path) as file:
            program = file.get("entry/program_name")
            return program is not None and program.asstr()[()] == "fastimg.ptychography"
    except (OSError, TypeError, AttributeError):
        return False


def read_scan(path: Path, **reading: Any) -> Scan:
    """Read a CXI file; every error names it."""
    with named(path):
        return Scan.from_cxi(path, **reading)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Put the file's name into errors that lack it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def read_probe(path: Path, size: int) -> Any:
    """Read the illumination from a result, a scan or an array."""
    if path.suffix == ".npy":
        with named(path):
            return np.load(path, allow_pickle=False)
    if is_reconstruction(path):
        return Reconstruction.load(path).probe
    from fastimg.io.cxi import read_cxi

    with named(path):
        probe = read_cxi(path, size=size, frames=slice(0, 1)).probe
    if probe is None:
        raise ValueError(f"{path} holds no probe of {size} × {size} pixels")
    return probe


def read_picture(path: Path) -> np.ndarray:
    """Read one gray picture."""
    from fastimg.io import read_images

    images = read_images(path)
    if len(images) != 1:
        raise ValueError(f"{path} holds {len(images)} images; accepted is one")
    if images.dtype.kind == "c" or not np.isfinite(images).all():
        raise ValueError(f"{path} holds {images.dtype} pixels, or NaN; accepted are finite real ones")
    return images[0]
