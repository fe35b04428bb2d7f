"""CXI files of ptychographic scans: HDF5 with fixed names and SI units (version 1.6, http://cxidb.org/cxi.html).

Frames are in the order of an image: in the far field, the zero frequency is in the middle.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fastimg.io._atomic import replaced_when_whole
from fastimg.io._cxi_datasets import (
    DETECTOR,
    HC,
    LAYOUT,
    Found,
    find_window,
    opened,
    parts,
    read_basis,
    read_counts,
    read_mask,
    read_probe,
    read_translation,
    read_wavelength,
)

__all__ = ["CXI_VERSION", "CXIScan", "read_cxi", "write_cxi"]

#: 100 times the version of the format that is written
CXI_VERSION = 160


@dataclass(frozen=True, eq=False)
class CXIScan:
    """What a CXI file of a scan holds, in SI units.

    Attributes
    ----------
    intensities : array, (J, N, N)
        Counts, in the order of an image. To be written, it may be anything that has ``shape`` and ``dtype``
        and gives NumPy arrays for slices of frames.
    translation : ndarray, (J, 3), float64
        Where the sample was moved to for each frame, x, y and z, in metres. z is along the beam, y up, x to
        the left for who looks downstream.
    wavelength, distance, x_pixel_size, y_pixel_size : float or None
        Metres; pixels are the detector's, x along a row of the frame, y down its columns.
    mask : ndarray of bool, (N, N) or (J, N, N), or None
        True where a pixel was measured: where the bits of the file are all 0.
    basis_vectors : ndarray, (2, 3), or None
        The steps, x, y and z in metres, from one row to the next and from one column to the next.
    probe : ndarray, (N, N) or (M, N, N), complex, or None
        Illumination to start from.
    propagator : str or None
        How the wave gets from sample to detector.
    focus_distance : float or None
        Metres from the focus to the sample.
    """

    intensities: Any
    translation: NDArray[np.float64]
    wavelength: float | None = None
    distance: float | None = None
    x_pixel_size: float | None = None
    y_pixel_size: float | None = None
    mask: NDArray[np.bool_] | None = None
    basis_vectors: NDArray[np.float64] | None = None
    probe: NDArray[Any] | None = None
    propagator: str | None = None
    focus_distance: float | None = None


def read_cxi(
    path: str | os.PathLike[str],
    *,
    size: int | None = None,
    center: tuple[float, float] | None = None,
    frames: slice = slice(None),
    clip: bool = False,
) -> CXIScan:
    """Read a scan from a CXI file.

    Parameters
    ----------
    path : path-like
        The file.
    size : int, optional
        N: a square of N × N pixels is read from each frame. By default the largest around ``center``.
    center : (float, float), optional
        Row and column of the pixel that comes to ``[N // 2, N // 2]``. By default the middle of the frame,
        ``[H // 2, W // 2]``.
    frames : slice, optional
        Which frames to read; by default all.
    clip : bool, optional
        Whether negative counts, which a subtracted dark frame leaves, become 0. They are an error otherwise.

    Returns
    -------
    CXIScan
        Integers become float32, which holds counts up to 2**24 exactly.

    Raises
    ------
    ValueError
        If the file is damaged, lacks a dataset, or holds one of the wrong shape, or NaN or negative counts at
        measured pixels; the message names the file and the dataset.
    OSError
        If the file cannot be opened.

    Notes
    -----
    Only the part that is asked for is read, a few frames at a time, into one array. Lengths are in metres and
    energies in joules, as CXI has them, unless an attribute ``units`` says otherwise.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scan.cxi"
    >>> write_cxi(path, CXIScan(np.ones((3, 8, 10), np.uint16), np.zeros((3, 3)), distance=4.0))
    >>> scan = read_cxi(path, size=4, center=(3, 5))
    >>> scan.intensities.shape, scan.intensities.dtype, scan.distance
    ((3, 4, 4), dtype('float32'), 4.0)
    """
    path = Path(path)
    with opened(path) as file:
        found = Found(path, file)
        data = found.dataset("intensities")
        if data is None:
            raise ValueError(f"{path} has no {LAYOUT['intensities'][0]}; it is not a CXI file of frames")
        name = data.name
        if data.ndim != 3 or data.dtype.kind not in "biuf" or 0 in data.shape:
            raise ValueError(
                f"{path}, {name} has shape {data.shape} and dtype {data.dtype}; accepted are real frames, "
                "(J, H, W)"
            )
        chosen = range(len(data))[frames]
        if not chosen or chosen.step < 0:
            raise ValueError(
                f"frames is {frames}; accepted are rising slices of the {len(data)} frames of {path}"
            )
        window = find_window(data.shape[1:], size, center, path, name)
        mask = read_mask(found, data.shape, chosen, window)
        counts = read_counts(path, data, chosen, window, mask, clip)
        return CXIScan(
            intensities=counts,
            translation=read_translation(found, len(data))[frames],
            wavelength=read_wavelength(found),
            **{
                key: found.number(key)
                for key in ("distance", "x_pixel_size", "y_pixel_size", "focus_distance")
            },
            mask=mask,
            basis_vectors=read_basis(found),
            probe=read_probe(found, counts.shape[-1]),
            propagator=found.text("propagator"),
        )


def write_cxi(path: str | os.PathLike[str], scan: CXIScan, *, compression: str | None = None) -> None:
    """Write a scan as a CXI file; all of it or nothing.

    Parameters
    ----------
    path : path-like
        The file to be written. An existing file is replaced.
    scan : CXIScan
        What to write; frames need not be square.
    compression : {None, "lzf", "gzip"}, optional
        How HDF5 compresses the frames.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.

    Notes
    -----
    In ``entry_1``: ``instrument_1/detector_1`` holds data, mask, distance, pixel sizes and basis vectors,
    ``instrument_1/source_1`` energy, wavelength and, as ``illumination``, the probe,
    ``sample_1/geometry_1/translation`` the translations; ``data_1`` has links to what silx and napari
    show. What CXI has no place for is in ``fastimg``: propagator and focus distance. The mask is CXI's:
    bit 0 ("invalid") is set where a pixel was not measured.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scan.cxi"
    >>> write_cxi(path, CXIScan(np.ones((3, 8, 8), np.float32), np.zeros((3, 3)), wavelength=1e-10))
    >>> with h5py.File(path) as file:
    ...     print(f"{file['entry_1/instrument_1/source_1/energy'][()]:.5g} J")
    1.9864e-15 J
    """
    with replaced_when_whole(path) as partial, h5py.File(partial, "w") as file:
        file["cxi_version"], file["number_of_entries"] = CXI_VERSION, 1
        file.attrs["default"] = "entry_1"
        data = file.create_dataset(
            LAYOUT["intensities"][0],
            scan.intensities.shape,
            scan.intensities.dtype,
            chunks=(1, *scan.intensities.shape[1:]),
            compression=compression,
            shuffle=compression is not None,
        )
        data.attrs["axes"] = "translation:y:x"
        for part in parts(range(len(data)), data[0].nbytes):
            data[part.start : part.stop] = scan.intensities[part.start : part.stop]
        _write(file, "translation", scan.translation, "m")
        for key in (
            "distance",
            "x_pixel_size",
            "y_pixel_size",
            "basis_vectors",
            "wavelength",
            "focus_distance",
        ):
            _write(file, key, getattr(scan, key), "m")
        _write(file, "energy", None if scan.wavelength is None else HC / scan.wavelength, "J")
        _write(file, "mask", None if scan.mask is None else (~scan.mask).astype(np.uint32))
        _write(file, "probe", scan.probe)
        _write(file, "propagator", scan.propagator)
        links = file.create_group("entry_1/data_1")
        for key, name in (("intensities", "data"), ("translation", "translation")):
            links[name] = h5py.SoftLink("/" + LAYOUT[key][0])
        file[f"{DETECTOR}/translation"] = h5py.SoftLink("/" + LAYOUT["translation"][0])
        file["entry_1"].attrs.update(NX_class="NXentry", default="data_1")
        links.attrs.update(NX_class="NXdata", signal="data")


def _write(file: h5py.File, key: str, value: Any, units: str | None = None) -> None:
    if value is None:
        return
    dataset = file.create_dataset(LAYOUT[key][0], data=value)
    if units is not None:
        dataset.attrs["units"] = units
