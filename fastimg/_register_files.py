"""Registration of image files: what the command ``fastimg register`` does."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from fastimg.io._atomic import replaced_when_whole
from fastimg.io.images import HDF5_SUFFIXES, read_images, write_image
from fastimg.registration import StackShifts, apply_shift, register_stack

__all__ = ["FileShift", "register_files", "write_shifts"]


@dataclass(frozen=True)
class FileShift:
    """One row of the table of shifts; ``index`` counts the images of one file from 0.

    ``shift_row`` and ``shift_column`` are the pixels by which the image has to be moved to lie on the
    reference; ``error`` and ``phasediff`` are those of `fastimg.registration.phase_cross_correlation`.
    """

    file: str
    index: int
    shift_row: float
    shift_column: float
    error: float
    phasediff: float


def register_files(
    reference: Path,
    moving: Sequence[Path],
    *,
    upsample_factor: float = 100,
    normalization: Literal["phase"] | None = None,
    dataset: str | None = None,
    registered_folder: Path | None = None,
    progress: Callable[[Sequence[Path]], Iterator[Path]] = iter,
) -> list[FileShift]:
    """Register every image of the files ``moving`` to the one image of ``reference``.

    Parameters
    ----------
    reference, moving : pathlib.Path
        Files that `fastimg.io.read_images` reads. The images have one shape.
    upsample_factor, normalization
        As of `fastimg.registration.register_stack`.
    dataset : str, optional
        Dataset to read from those files that are HDF5; one of them has to be.
    registered_folder : pathlib.Path, optional
        Folder for the images after their shifts, one TIFF a file; it is made if it is not there. Files appear
        there only after all of ``moving`` has been registered.
    progress : callable, optional
        Wraps the sequence of files, as ``tqdm`` does.

    Returns
    -------
    list of FileShift

    Raises
    ------
    ValueError
        If ``reference`` holds several images, shapes differ, pixels are not finite, two registered
        images would get the same name, or ``dataset`` is given without an HDF5 file.
    """
    if dataset is not None and not any(_is_hdf5(path) for path in (reference, *moving)):
        suffixes = ", ".join(HDF5_SUFFIXES)
        raise ValueError(f"dataset is {dataset!r}, but no file is HDF5 ({suffixes}); only HDF5 has datasets")
    target = _read(reference, dataset)
    if len(target) != 1:
        raise ValueError(f"the reference {reference} holds {len(target)} images; accepted is one")
    targets = {} if registered_folder is None else _registered_names(moving, registered_folder)
    rows: list[FileShift] = []
    with ExitStack() as unfinished:
        if registered_folder is not None:
            unfinished.enter_context(_folder(registered_folder))
        for path in progress(moving):
            images = _read(path, dataset)
            if images.shape[1:] != target.shape[1:]:
                raise ValueError(
                    f"{path} holds images of shape {images.shape[1:]}; "
                    f"the reference has the shape {target.shape[1:]}"
                )
            found = register_stack(
                target[0], images, upsample_factor=upsample_factor, normalization=normalization
            )
            rows += _rows(path, found)
            if targets:
                part = unfinished.enter_context(replaced_when_whole(targets[path]))
                write_image(part, apply_shift(images, found.shift))
    return rows


def write_shifts(stream: TextIO, rows: Sequence[FileShift]) -> None:
    """Write the table of shifts as CSV: one line of column names, then one line an image.

    Examples
    --------
    >>> import sys
    >>> write_shifts(sys.stdout, [FileShift("frame.tif", 0, -1.25, 0.5, 0.01, 0.0)])
    file,index,shift_row,shift_column,error,phasediff
    frame.tif,0,-1.25,0.5,0.01,0.0
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(field.name for field in fields(FileShift))
    writer.writerows(astuple(row) for row in rows)


def _is_hdf5(path: Path) -> bool:
    return path.suffix.lower() in HDF5_SUFFIXES


def _read(path: Path, dataset: str | None) -> NDArray[Any]:
    images = read_images(path, dataset=dataset if _is_hdf5(path) else None)
    if not np.isfinite(images).all():
        raise ValueError(f"{path} holds NaN or infinite pixels; accepted are finite ones")
    return images


def _rows(path: Path, found: StackShifts) -> Iterator[FileShift]:
    columns = map(_shortest, (found.shift[:, 0], found.shift[:, 1], found.error, found.phasediff))
    for index, numbers in enumerate(zip(*columns, strict=True)):
        yield FileShift(str(path), index, *numbers)


def _shortest(values: NDArray[Any]) -> list[float]:
    """The numbers with the fewest digits that tell them apart in their precision: -3.92 for float32."""
    return [float(str(value)) for value in values]


def _registered_names(moving: Sequence[Path], folder: Path) -> dict[Path, Path]:
    targets = {path: folder / f"{path.stem}_registered.tif" for path in moving}
    if len(set(targets.values())) < len(set(moving)):
        raise ValueError("two of the moving files have the same name; their registered images would collide")
    return targets


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a folder, and take it away again if the block raises; not what was there before."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for path in made:
                path.rmdir()
        raise
