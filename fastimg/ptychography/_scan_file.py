"""Scans as CXI files: from metres in the laboratory to pixels of the object, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastimg.io.cxi import CXIScan, read_cxi, write_cxi
from fastimg.ptychography._propagators import check_geometry, object_pixel

if TYPE_CHECKING:
    from fastimg.ptychography._scan import Scan

__all__ = ["read", "write"]

# Along what rows and columns of a frame grow, as seen by who looks downstream: down and to the right. In the
# laboratory y is up and x to the left.
_DOWN_AND_RIGHT = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])

_LENGTHS = ("wavelength", "distance", "detector_pixel")


def read(
    path: Path,
    size: int | None,
    center: tuple[float, float] | None,
    frames: slice,
    axes: tuple[str, str] | None,
    clip: bool,
    geometry: dict[str, Any],
) -> dict[str, Any]:
    """Return the arguments of ``Scan`` that a file gives."""
    beam = None if axes is None else _as_axes(axes)
    unknown = set(geometry) - {*_LENGTHS, "propagator", "focus_distance"}
    if unknown:
        raise TypeError(f"from_cxi got an unexpected argument {unknown.pop()!r}")
    file = read_cxi(path, size=size, center=center, frames=frames, clip=clip)
    known: dict[str, Any] = {
        "propagator": file.propagator or "far-field",
        "wavelength": file.wavelength,
        "distance": file.distance,
        "focus_distance": file.focus_distance,
    }
    if "detector_pixel" not in geometry:
        known["detector_pixel"] = _square_pixel(path, file)
    known |= geometry
    for name in _LENGTHS:
        if known[name] is None:
            raise ValueError(f"{path} does not tell {name}; accepted is {name}=… in metres")
    check_geometry(**known)
    if beam is None:
        beam = -_DOWN_AND_RIGHT if file.basis_vectors is None else -_unit(file.basis_vectors)
    pixel = object_pixel(file.intensities.shape[-1], **known)
    assert pixel is not None
    if known["propagator"] == "far-field":
        for frame in file.intensities:
            frame[:] = np.fft.ifftshift(frame)
    mask = file.mask
    if mask is not None and known["propagator"] == "far-field":
        mask = np.fft.ifftshift(mask, axes=(-2, -1))
    return {
        "intensities": file.intensities,
        "positions": file.translation @ beam.T / pixel,
        "mask": mask,
        "probe": file.probe,
        **known,
    }


def write(scan: Scan, path: Path, compression: str | None) -> None:
    """Write a scan."""
    pixel = scan.object_pixel
    if pixel is None or scan.detector_pixel is None:
        missing = ", ".join(name for name in _LENGTHS if getattr(scan, name) is None)
        raise ValueError(
            f"{missing} of the scan is None; accepted for a CXI file, which holds metres, are numbers"
        )
    far = scan.propagator == "far-field"
    mask = None if scan.mask is None else _on_host(scan.mask)
    probe = None if scan.probe is None else _on_host(scan.probe)
    write_cxi(
        path,
        CXIScan(
            intensities=_Frames(scan.intensities, far),
            translation=_on_host(scan.positions) * pixel @ -_DOWN_AND_RIGHT,
            wavelength=scan.wavelength,
            distance=scan.distance,
            x_pixel_size=scan.detector_pixel,
            y_pixel_size=scan.detector_pixel,
            mask=np.fft.fftshift(mask, axes=(-2, -1)) if far and mask is not None else mask,
            basis_vectors=_DOWN_AND_RIGHT * scan.detector_pixel,
            probe=probe[0] if probe is not None and len(probe) == 1 else probe,
            propagator=scan.propagator,
            focus_distance=scan.focus_distance,
        ),
        compression=compression,
    )


class _Frames:
    """Frames as a file holds them: on the CPU, the zero frequency in the middle, a part at a time."""

    def __init__(self, frames: Any, far: bool) -> None:
        self.shape, self.dtype = frames.shape, frames.dtype
        self._frames, self._far = frames, far

    def __getitem__(self, part: slice) -> NDArray[Any]:
        block = _on_host(self._frames[part])
        return np.fft.fftshift(block, axes=(-2, -1)) if self._far else block


def _on_host(array: Any) -> NDArray[Any]:
    return array if isinstance(array, np.ndarray) else array.get()


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _as_axes(axes: Any) -> NDArray[np.float64]:
    """Return the directions of the translation along which rows and columns grow."""
    names = [str(axis) for axis in axes]
    letters = [name.lstrip("-") for name in names]
    if len(names) != 2 or len(set(letters)) != 2 or any(name.strip("xyz") not in ("", "-") for name in names):
        raise ValueError(f"axes is {axes!r}; accepted are two of x, y and z, each with or without -")
    beam = np.zeros((2, 3))
    for row, (name, letter) in enumerate(zip(names, letters, strict=True)):
        beam[row, "xyz".index(letter)] = -1 if name.startswith("-") else 1
    return beam


def _square_pixel(path: Path, file: CXIScan) -> float | None:
    """Return the pixel of the detector, which has to be square; one side is taken for both."""
    sides = [side for side in (file.x_pixel_size, file.y_pixel_size) if side is not None]
    if not sides and file.basis_vectors is not None:
        sides = np.linalg.norm(file.basis_vectors, axis=1).tolist()
    if sides and abs(sides[0] - sides[-1]) > 1e-3 * abs(sides[0]):
        raise ValueError(f"{path} has pixels of {sides[0]:g} × {sides[1]:g} m; accepted are square pixels")
    return sides[0] if sides else None
