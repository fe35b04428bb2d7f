"""A ptychographic scan: the frames, where they were taken, and the geometry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fastimg._arrays import as_kernel_array, namespace
from fastimg.ptychography._propagators import check_geometry, object_pixel
from fastimg.ptychography._scan_inputs import (
    as_array,
    as_index,
    as_intensities,
    as_mask,
    as_probe,
    check_shapes,
    check_values,
    corner_ordered,
    counts_dtype,
)

__all__ = ["Scan"]

# Which of the fields are arrays
_ARRAYS = ("intensities", "positions", "mask", "probe")


@dataclass(frozen=True, eq=False, repr=False)
class Scan:
    """Diffraction patterns at overlapping positions, and how they were measured.

    A scan checks itself when it is made. Its arrays are all NumPy's or all CuPy's.

    Parameters
    ----------
    intensities : array_like, (J, N, N)
        Counts, not negative. float32 and float64 are kept, and not copied where they are C-contiguous;
        integers of any width become float32, which holds counts up to 2**24 exactly. Far field: the zero
        frequency is in the corner ``[0, 0]``, as an FFT has it; ``Scan.centered`` takes frames that have it
        in the middle. Near field: plain images.
    positions : array_like, (J, 2)
        Row and column, in pixels of the object, of the top left corner of the N × N box that a frame sees,
        with fractions of a pixel. Any origin will do.
    wavelength, distance, detector_pixel : float, optional
        Metres; the distance is that from sample to detector. The far field does without them.
    mask : array_like of bool, (N, N) or (J, N, N), optional
        True where a pixel was measured. Elsewhere a count may be anything, NaN included.
    probe : array_like, (N, N) or (M, N, N), optional
        Illumination to start from, complex, with M modes, in the middle of the frame; the sum of its squares
        is the number of counts that it brings to a frame.
    propagator : {"far-field", "near-field"}, optional
        How the exit wave gets to the detector.
    focus_distance : float, optional
        Near field in a divergent beam: metres from the focus to the sample. None: a parallel beam.

    Attributes
    ----------
    intensities : array, (J, N, N), float32 or float64
    positions : array, (J, 2), float64
    mask : array of bool, (N, N) or (J, N, N), or None
    probe : array, (M, N, N), complex64 or complex128, or None
    object_pixel : float or None
        Metres.
    object_shape : tuple of int

    Raises
    ------
    ValueError
        If shapes do not agree, a measured count is negative, NaN or infinite, a position is not finite, or a
        length is missing or not positive. On a GPU the checks wait for a few reductions.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    See Also
    --------
    simulate : Make a scan of a known object.
    reconstruct : Find the object and the illumination of a scan.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.ptychography import Scan
    >>> counts = np.random.default_rng(0).poisson(3.0, (4, 16, 16))
    >>> positions = [[0, 0], [0, 7.5], [7.5, 0], [7.5, 7.5]]
    >>> scan = Scan(counts, positions, wavelength=1e-10, distance=4.0, detector_pixel=55e-6)
    >>> scan
    <Scan: 4 frames of 16 × 16 pixels, float32, far-field, object pixel 4.55e-07 m>
    >>> scan.object_shape, len(scan[1:3])
    ((24, 24), 2)
    """

    intensities: Any
    positions: Any
    _: KW_ONLY
    wavelength: float | None = None
    distance: float | None = None
    detector_pixel: float | None = None
    mask: Any = None
    probe: Any = None
    propagator: str = "far-field"
    focus_distance: float | None = None

    def __post_init__(self) -> None:
        """Check everything, and bring the arrays to their dtypes."""
        xp = self.namespace
        check_geometry(
            self.propagator, self.wavelength, self.distance, self.detector_pixel, self.focus_distance
        )
        checked = {
            "intensities": as_intensities(xp, self.intensities),
            "positions": as_kernel_array(xp, self.positions, [np.float64], name="positions"),
            "mask": as_mask(xp, self.mask),
            "probe": as_probe(xp, self.probe),
        }
        check_shapes(**checked)
        check_values(xp, **checked)
        _set(self, checked)

    @classmethod
    def centered(cls, intensities: Any, positions: Any, *, mask: Any = None, **geometry: Any) -> Scan:
        """Make a far-field scan from frames whose zero frequency is in the middle, at ``[N // 2, N // 2]``.

        Parameters
        ----------
        intensities, positions, mask
            As for ``Scan``; frames and mask are moved so that the zero frequency comes to the corner.
        **geometry
            The other arguments of ``Scan``.

        Returns
        -------
        Scan
            With a copy of the frames.

        Examples
        --------
        >>> import numpy as np
        >>> from fastimg.ptychography import Scan
        >>> frames = np.zeros((2, 8, 8), np.float32)
        >>> frames[:, 4, 4] = 1
        >>> Scan.centered(frames, [[0, 0], [0, 3]]).intensities[:, 0, 0]
        array([1., 1.], dtype=float32)
        """
        if geometry.get("propagator", "far-field") != "far-field":
            raise ValueError(
                f"propagator is {geometry['propagator']!r}; a near field has no zero frequency to be moved: "
                "accepted is 'far-field', and Scan(...) for other frames"
            )
        xp = namespace(intensities=intensities, positions=positions, mask=mask)
        frames, mask = as_array(xp, intensities, "intensities"), as_mask(xp, mask)
        for array, name in ((frames, "intensities"), (mask, "mask")):
            if array is not None and array.ndim < 2:
                raise ValueError(f"{name} has shape {array.shape}; accepted are frames of N × N pixels")
        counts = corner_ordered(xp, frames, counts_dtype(frames.dtype))
        moved = None if mask is None else corner_ordered(xp, mask, mask.dtype)
        return cls(counts, positions, mask=moved, **geometry)

    @property
    def namespace(self) -> ModuleType:
        """The module of the arrays: ``numpy`` or ``cupy``."""
        return namespace(**{name: getattr(self, name) for name in _ARRAYS})

    @property
    def object_pixel(self) -> float | None:
        """Pixel of the object in metres; None where wavelength, distance or detector pixel are not known.

        In the far field λz / (N × detector pixel), in the near field the detector pixel, divided by the
        magnification of a divergent beam.
        """
        return object_pixel(
            self.intensities.shape[-1],
            self.propagator,
            self.wavelength,
            self.distance,
            self.detector_pixel,
            self.focus_distance,
        )

    @property
    def object_shape(self) -> tuple[int, int]:
        """Rows and columns of the smallest object that holds the boxes of all frames."""
        corners = self.namespace.rint(self.positions)
        rows, columns = (corners.max(axis=0) - corners.min(axis=0)).tolist()
        size = self.intensities.shape[-1]
        return int(rows) + size, int(columns) + size

    @classmethod
    def from_cxi(
        cls,
        path: str | os.PathLike[str],
        *,
        size: int | None = None,
        center: tuple[float, float] | None = None,
        frames: slice = slice(None),
        axes: tuple[str, str] | None = None,
        clip: bool = False,
        **geometry: Any,
    ) -> Scan:
        """Read a scan from a CXI file, one of ``to_cxi`` or of somebody else.

        Parameters
        ----------
        path : path-like
            The file.
        size, center, frames, clip
            Which part of which frames to read, and whether negative counts become 0: as in
            ``fastimg.io.read_cxi``. In the far field ``center`` is the pixel that the direct beam hits.
        axes : (str, str), optional
            For files that keep to other rules than those of CXI: the translation along which rows and columns
            of the positions grow, such as ``("y", "x")``, ``("-y", "x")`` or ``("x", "-y")``.
        **geometry : float or str
            ``wavelength``, ``distance``, ``detector_pixel``, ``propagator`` or ``focus_distance``, instead of
            what the file says, or where it says nothing.

        Returns
        -------
        Scan
            NumPy arrays. The frames are in memory once. The origin of the positions is that of the
            translations.

        Raises
        ------
        ValueError
            If the file is damaged, lacks something, or holds NaN or negative counts; the message names the
            file and the dataset.

        Notes
        -----
        In CXI, ``translation`` is the way that the sample was moved, in metres, x, y and z: z is along the
        beam, y up, and x to the left for who looks downstream. ``basis_vectors`` tell along what the rows and
        the columns of a frame grow; without them a frame is what somebody sees who looks downstream: rows
        grow down, columns to the right. The beam moves over the sample against its translation, so that rows
        grow with y and columns with x. Other programs write positions of the beam, or other signs, which
        ``axes`` puts right.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> from fastimg.ptychography import Scan
        >>> lengths = {"wavelength": 1e-10, "distance": 4.0, "detector_pixel": 55e-6}
        >>> scan = Scan(np.ones((2, 8, 8), np.float32), [[0, 0], [0, 3]], **lengths)
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "scan.cxi"
        >>> scan.to_cxi(path)
        >>> Scan.from_cxi(path).positions.round(9).tolist()
        [[0.0, 0.0], [0.0, 3.0]]
        """
        from fastimg.ptychography import _scan_file

        return cls(**_scan_file.read(Path(path), size, center, frames, axes, clip, geometry))

    def to_cxi(self, path: str | os.PathLike[str], *, compression: str | None = None) -> None:
        """Write the scan as a CXI file; all of it or nothing.

        Parameters
        ----------
        path : path-like
            The file to be written. An existing file is replaced.
        compression : {None, "lzf", "gzip"}, optional
            How HDF5 compresses the frames. "gzip" makes smaller files, far more slowly.

        Raises
        ------
        ValueError
            If wavelength, distance or detector pixel are not known: CXI holds metres.

        Notes
        -----
        CXI 1.6; ``from_cxi`` tells the meaning of the translation, and ``fastimg.io.write_cxi`` where things
        are. Far-field frames are written with the zero frequency in the middle, a few at a time.
        """
        from fastimg.ptychography import _scan_file

        _scan_file.write(self, Path(path), compression)

    def to(self, xp: ModuleType) -> Scan:
        """Return the scan with its arrays moved to ``numpy`` or ``cupy``; itself where they are there.

        Parameters
        ----------
        xp : module
            ``numpy`` or ``cupy``.

        Returns
        -------
        Scan
        """
        here = self.namespace
        if xp is here:
            return self
        move = here.asnumpy if xp is np else xp.asarray
        moved = ((name, getattr(self, name)) for name in _ARRAYS)
        return self._with({name: None if array is None else move(array) for name, array in moved})

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.intensities)

    def __getitem__(self, selection: slice | Sequence[int] | Any) -> Scan:
        """Return the scan of some of the frames.

        Parameters
        ----------
        selection : slice, or array_like of int or bool, (J,)
            Frames of a slice without a step are views.
        """
        xp, count = self.namespace, len(self)
        index = as_index(xp, selection, count)
        chosen = {
            name: xp.ascontiguousarray(getattr(self, name)[index]) for name in ("intensities", "positions")
        }
        if len(chosen["intensities"]) == 0:
            raise IndexError(f"the selection {selection!r} holds none of the {count} frames")
        if self.mask is not None and self.mask.ndim == 3:
            chosen["mask"] = xp.ascontiguousarray(self.mask[index])
        return self._with(chosen)

    def __iter__(self) -> Iterator[Scan]:
        """Give scans of one frame each."""
        return (self[j : j + 1] for j in range(len(self)))

    def __repr__(self) -> str:
        """Describe the scan in one line."""
        count, size = self.intensities.shape[:2]
        pixel = "" if self.object_pixel is None else f", object pixel {self.object_pixel:.3g} m"
        modes = "" if self.probe is None else f", {len(self.probe)} modes known"
        where = "" if self.namespace is np else ", on a GPU"
        return (
            f"<Scan: {count} frames of {size} × {size} pixels, {self.intensities.dtype}, {self.propagator}"
            f"{pixel}{modes}{where}>"
        )

    def _with(self, changed: dict[str, Any]) -> Scan:
        """Return the scan with some fields changed, which are known to be right."""
        scan = object.__new__(Scan)
        _set(scan, {field.name: getattr(self, field.name) for field in fields(self)} | changed)
        return scan


def _set(scan: Scan, values: dict[str, Any]) -> None:
    for name, value in values.items():
        object.__setattr__(scan, name, value)
