"""What a reconstruction returns."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastimg._arrays import namespace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Reconstruction"]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Object, probe and positions found by ``reconstruct``.

    Arrays are NumPy's or CuPy's, as the scan's are; ``history`` holds NumPy arrays.

    Attributes
    ----------
    object : (H, W) complex
        Transmission of the object. Where no box lies it is as it was at the start.
    probe : (M, N, N) complex
        Modes of the illumination, the strongest first, in square roots of counts.
    positions : (J, 2) float64
        Row and column of the boxes, in the pixels of the scan's positions.
    origin : (int, int)
        ``object[r, c]`` lies at the scan's position ``(r, c) + origin``.
    history : dict of (iterations,) float64
        ``"error"``: the root of Σ(√I - \\|Ψ\\|)² / ΣI over measured pixels; ``"position_change"``: the RMS
        distance that positions moved, in pixels.
    dose : (H, W) float64
        Counts that the illumination brings to each pixel of the object, summed over positions and modes.
    object_pixel : float or None
        Size of the object's pixels in metres, where the scan's geometry is known.
    parameters : dict
        Arguments of ``reconstruct`` as numbers and texts, with ``"seed"`` in place of ``rng``.
    state : dict of arrays
        What an exact continuation needs beside them.

    See Also
    --------
    fastimg.ptychography.reconstruct
    """

    object: Any
    probe: Any
    positions: Any
    origin: tuple[int, int]
    history: dict[str, Any]
    dose: Any
    object_pixel: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def iterations(self) -> int:
        """Iterations done."""
        return len(self.history["error"])

    def __repr__(self) -> str:
        error = f", error {self.history['error'][-1]:.4g}" if self.iterations else ""
        return (
            f"Reconstruction({self.object.shape[0]}×{self.object.shape[1]} object, "
            f"{len(self.probe)} modes of {self.probe.shape[-1]}², {len(self.positions)} positions, "
            f"{self.iterations} iterations{error})"
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write an HDF5 file whose NXdata groups silx, napari and NeXpy plot.

        An interrupted write leaves an existing file whole.

        Parameters
        ----------
        path : path-like
            The file, usually ``*.h5``.

        Returns
        -------
        pathlib.Path
            The file written.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            If the folder does not exist, or the path is a folder.
        """
        from fastimg.ptychography import _reconstruction_file

        return _reconstruction_file.write(self.to_host(), Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Reconstruction:
        """Read what ``save`` wrote, as NumPy arrays.

        Raises
        ------
        ValueError
            If the file is no whole HDF5 file or was not written by ``save``; the missing part is named.
        """
        from fastimg.ptychography import _reconstruction_file

        return cls(**_reconstruction_file.read(Path(path)))

    def to_host(self) -> Reconstruction:
        """Return the same with NumPy arrays; itself where it has them already."""
        xp = namespace(self.object)
        if xp.__name__ == "numpy":
            return self
        names = ("object", "probe", "positions", "dose")
        arrays = {name: getattr(self, name).get() for name in names}
        state = {name: value.get() if hasattr(value, "get") else value for name, value in self.state.items()}
        return Reconstruction(
            **arrays, state=state, origin=self.origin, history=dict(self.history),
            object_pixel=self.object_pixel, parameters=dict(self.parameters),
        )  # fmt: skip

    def plot(self) -> Figure:
        """Draw amplitude and phase of the object, the modes of the probe, positions and the error.

        Returns
        -------
        matplotlib.figure.Figure
            Not shown yet; ``.savefig`` writes it.

        Raises
        ------
        ImportError
            Without matplotlib: ``pip install 'fastimg[plot]'``.
        """
        from fastimg.ptychography import _reconstruction_plot

        return _reconstruction_plot.draw(self.to_host())
