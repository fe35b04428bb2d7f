"""The datasets of CXI files: where they are, and how they become arrays and SI numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DETECTOR",
    "HC",
    "LAYOUT",
    "Found",
    "find_window",
    "opened",
    "parts",
    "read_basis",
    "read_counts",
    "read_mask",
    "read_probe",
    "read_translation",
    "read_wavelength",
]

DETECTOR, _SOURCE = "entry_1/instrument_1/detector_1", "entry_1/instrument_1/source_1"

# Where things are in a file: the first path is written, all of them are looked up in this order. The last two
# are no part of CXI; ``source_1/illumination`` is where SHARP and Ptychodus look for the probe.
LAYOUT: dict[str, tuple[str, ...]] = {
    "intensities": (f"{DETECTOR}/data", "entry_1/data_1/data"),
    "translation": (
        "entry_1/sample_1/geometry_1/translation",
        "entry_1/data_1/translation",
        f"{DETECTOR}/translation",
        "entry_1/sample_1/geometry/translation",
    ),
    "mask": (f"{DETECTOR}/mask", "entry_1/data_1/mask"),
    "distance": (f"{DETECTOR}/distance",),
    "x_pixel_size": (f"{DETECTOR}/x_pixel_size",),
    "y_pixel_size": (f"{DETECTOR}/y_pixel_size",),
    "basis_vectors": (f"{DETECTOR}/basis_vectors",),
    "energy": (f"{_SOURCE}/energy",),
    "wavelength": (f"{_SOURCE}/wavelength",),
    "probe": (f"{_SOURCE}/illumination",),
    "propagator": ("entry_1/fastimg/propagator",),
    "focus_distance": ("entry_1/fastimg/focus_distance",),
}

# Planck's constant times the speed of light, J m (exact in the SI)
HC = 6.62607015e-34 * 299792458

# CXI is in SI units; some files say in an attribute that they are not
_UNITS = {
    **{
        "m": 1.0,
        "meter": 1.0,
        "metre": 1.0,
        "mm": 1e-3,
        "um": 1e-6,
        "µm": 1e-6,
        "nm": 1e-9,
        "angstrom": 1e-10,
    },
    **{"j": 1.0, "joule": 1.0, "ev": 1.602176634e-19, "kev": 1.602176634e-16},
}

# Frames are read and written in parts of about this size
_PART_BYTES = 1 << 25


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file; what HDF5 cannot read is a ValueError that names it."""
    with path.open("rb"):  # a missing file is an OSError of its own
        pass
    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read as a CXI file: {error}") from error
    with file:
        yield file


class Found:
    """The datasets of a file by their keys in ``LAYOUT``."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file = path, file

    def dataset(self, key: str) -> h5py.Dataset | None:
        """Return the first one that is there."""
        for name in LAYOUT[key]:
            item = self._file.get(name)
            if isinstance(item, h5py.Dataset):
                return item
        return None

    def values(self, key: str, selection: Any = ()) -> NDArray[Any] | None:
        """Return its values, in SI units."""
        dataset = self.dataset(key)
        if dataset is None:
            return None
        values = read(self.path, dataset, selection)
        units = dataset.attrs.get("units")
        if units is None or values.dtype.kind not in "iuf":
            return values
        units = units.decode() if isinstance(units, bytes) else str(units)
        if units.lower() not in _UNITS:
            raise ValueError(
                f"{self.path}, {dataset.name} is in {units!r}; accepted are m and J, and {', '.join(_UNITS)}"
            )
        return values * _UNITS[units.lower()]

    def number(self, key: str) -> float | None:
        """Return a number, which may be repeated for each frame."""
        values = self.values(key)
        if values is None:
            return None
        values = np.ravel(values)
        numeric = values.size > 0 and values.dtype.kind in "iuf" and bool(np.isfinite(values).all())
        if not numeric or not np.allclose(values, values[0], rtol=1e-3, atol=0):
            raise ValueError(
                f"{self.path}, {LAYOUT[key][0]} is {values!r}; accepted is a finite number, the same for all "
                "frames"
            )
        return float(values[0])

    def text(self, key: str) -> str | None:
        """Return a string."""
        dataset = self.dataset(key)
        return None if dataset is None else str(dataset.asstr()[()])


def read(path: Path, dataset: h5py.Dataset, selection: Any) -> NDArray[Any]:
    """Read from a dataset; what a file cut short lacks is a ValueError that names it."""
    try:
        return np.asarray(dataset[selection])
    except OSError as error:
        raise ValueError(f"{path}, {dataset.name} cannot be read: {error}") from error


def find_window(
    shape: tuple[int, int], size: int | None, center: tuple[float, float] | None, path: Path, name: str
) -> tuple[slice, slice]:
    """Return the rows and columns of a square around the centre."""
    middle = [length // 2 for length in shape] if center is None else [round(place) for place in center]
    # A square of even and of odd size reach differently far to either side
    room = [
        max(2 * min(place, length - place), 2 * min(place, length - place - 1) + 1)
        for place, length in zip(middle, shape, strict=True)
    ]
    if min(room) < 1:
        raise ValueError(
            f"center is {center!r}, beyond the frames of {shape[0]} × {shape[1]} in {path}, {name}"
        )
    square = min(room) if size is None else size
    starts = [place - square // 2 for place in middle]
    fits = all(start >= 0 and start + square <= n for start, n in zip(starts, shape, strict=True))
    if square < 1 or not fits:
        raise ValueError(
            f"size is {size!r}; accepted around the center {tuple(middle)} is at most {min(room)} pixels: "
            f"the frames in {path}, {name} are {shape[0]} × {shape[1]}"
        )
    rows, columns = (slice(start, start + square) for start in starts)
    return rows, columns


def parts(frames: range, frame_bytes: int) -> Iterator[range]:
    step = max(1, _PART_BYTES // max(1, frame_bytes))
    return (frames[start : start + step] for start in range(0, len(frames), step))


def read_counts(
    path: Path,
    data: h5py.Dataset,
    frames: range,
    window: tuple[slice, slice],
    mask: NDArray[np.bool_] | None,
    clip: bool,
) -> NDArray[Any]:
    dtype = np.dtype(np.float64 if data.dtype.kind == "f" and data.dtype.itemsize > 4 else np.float32)
    size = window[0].stop - window[0].start
    counts = np.empty((len(frames), size, size), dtype)
    done = 0
    for part in parts(frames, size * size * max(data.dtype.itemsize, dtype.itemsize)):
        target = counts[done : done + len(part)]
        target[:] = read(path, data, (slice(part.start, part.stop, part.step), *window))
        if clip:
            np.maximum(target, 0, out=target)
        for number, frame in zip(part, range(done, done + len(part)), strict=True):
            wrong = ~((counts[frame] >= 0) & (counts[frame] < np.inf))
            if mask is not None:
                wrong &= mask if mask.ndim == 2 else mask[frame]
            if wrong.any():
                raise ValueError(
                    f"{path}, {data.name} has negative, NaN or infinite counts at measured pixels, first in "
                    f"frame {number}; clip=True makes negative counts 0"
                )
        done += len(part)
    return counts


def read_mask(
    found: Found, shape: tuple[int, ...], frames: range, window: tuple[slice, slice]
) -> NDArray[np.bool_] | None:
    dataset = found.dataset("mask")
    if dataset is None:
        return None
    if dataset.shape not in (shape, shape[1:]) or dataset.dtype.kind not in "biuf":
        raise ValueError(
            f"{found.path}, {dataset.name} has shape {dataset.shape} and dtype {dataset.dtype}; accepted are "
            f"numbers of shape {shape[1:]} or {shape}"
        )
    if dataset.ndim == 2:
        return read(found.path, dataset, window) == 0
    size = window[0].stop - window[0].start
    mask = np.empty((len(frames), size, size), bool)
    for place, number in enumerate(frames):
        mask[place] = read(found.path, dataset, (number, *window)) == 0
    return mask


def read_translation(found: Found, count: int) -> NDArray[np.float64]:
    values = found.values("translation")
    if values is None:
        raise ValueError(f"{found.path} has no {LAYOUT['translation'][0]}; a scan needs translations")
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[0] in (2, 3) and values.shape[1] == count and count > 3:
        values = values.T  # as PyNX writes it
    if values.ndim != 2 or values.shape[0] != count or values.shape[1] not in (2, 3):
        raise ValueError(
            f"{found.path}, {LAYOUT['translation'][0]} has shape {values.shape}; accepted is ({count}, 3): "
            "x, y and z for each frame"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{found.path}, {LAYOUT['translation'][0]} contains NaN or infinity")
    translation = np.zeros((count, 3))
    translation[:, : values.shape[1]] = values
    return translation


def read_wavelength(found: Found) -> float | None:
    wavelength = found.number("wavelength")
    if wavelength is not None:
        return wavelength
    energy = found.number("energy")
    if energy is None:
        return None
    # 1e-9 J are 6 GeV
    if not 0 < energy < 1e-9:
        raise ValueError(
            f"{found.path}, {LAYOUT['energy'][0]} is {energy:g}, which is no photon's energy in joules; "
            "accepted are joules, or an attribute units"
        )
    return HC / energy


def read_basis(found: Found) -> NDArray[np.float64] | None:
    values = found.values("basis_vectors")
    if values is None:
        return None
    values = np.asarray(values, dtype=np.float64)
    same = values.ndim == 3 and bool((values == values[:1]).all())
    basis = values[0] if same and len(values) else values
    if basis.shape != (2, 3) or not np.isfinite(basis).all() or not (np.linalg.norm(basis, axis=1) > 0).all():
        raise ValueError(
            f"{found.path}, {LAYOUT['basis_vectors'][0]} has shape {values.shape}; accepted are two vectors, "
            "(2, 3), not 0 and the same for all frames"
        )
    return basis


def read_probe(found: Found, size: int) -> NDArray[Any] | None:
    """Return the probe, where it has the size of the frames as they were read."""
    dataset = found.dataset("probe")
    if dataset is None or dataset.shape[-2:] != (size, size) or dataset.ndim not in (2, 3):
        return None
    probe = read(found.path, dataset, ())
    return probe if probe.dtype.kind == "c" else None
