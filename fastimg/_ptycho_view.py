"""Pictures of files of ptychography: what ``fastimg ptycho view`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastimg._ptycho_files import check_folder, is_reconstruction, read_scan
from fastimg.io._atomic import replaced_when_whole
from fastimg.ptychography import Reconstruction, Scan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_scan", "view"]


def view(source: Path, target: Path, **reading: Any) -> None:
    """Draw a reconstruction or a scan.

    Raises
    ------
    ValueError
        If the file is damaged, or the picture's suffix is unknown.
    ImportError
        Without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a picture needs matplotlib: pip install 'fastimg[plot]'") from error
    check_folder(target)
    kinds = sorted(Figure().canvas.get_supported_filetypes())
    if target.suffix.lower().lstrip(".") not in kinds:
        raise ValueError(f"{target} has the suffix {target.suffix!r}; accepted are {', '.join(kinds)}")
    if is_reconstruction(source):
        if reading:
            name = next(iter(reading)).replace("_", "-")
            raise ValueError(f"--{name} is given, but {source} is a reconstruction; it is for scans")
        figure = Reconstruction.load(source).plot()
    else:
        figure = draw_scan(read_scan(source, **reading))
    with replaced_when_whole(target) as partial:
        figure.savefig(partial)


def draw_scan(scan: Scan) -> Figure:
    """Draw the mean frame, the positions, and the counts of each frame."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    mean, counts = _mean_frame(scan)
    figure = Figure(figsize=(12, 4), layout="constrained")
    frame, plane, series = figure.subplots(1, 3)
    known = mean[np.isfinite(mean) & (mean > 0)]
    # a decade below the faintest mean that one count makes there is nothing to see
    low = max(known.min(), known.max() * 1e-7) if known.size else 0.1
    high = max(known.max(), 1.001 * low) if known.size else 1.0
    shown = frame.imshow(np.maximum(mean, low), cmap="magma", norm=LogNorm(low, high))
    figure.colorbar(shown, ax=frame, label="counts", shrink=0.8)
    frame.set(title=f"mean of {len(scan)} frames", xlabel="pixel", ylabel="pixel")

    pixel, unit = (1.0, "pixel") if scan.object_pixel is None else (1e6 * scan.object_pixel, "µm")
    places = (scan.positions + scan.intensities.shape[-1] / 2) * pixel
    plane.plot(places[:, 1], places[:, 0], color="0.8", linewidth=0.5, zorder=0)
    dots = plane.scatter(places[:, 1], places[:, 0], c=counts, s=9, cmap="viridis")
    figure.colorbar(dots, ax=plane, label="counts in the frame", shrink=0.8)
    plane.set(title="positions", xlabel=unit, ylabel=unit, aspect="equal")
    plane.invert_yaxis()

    series.plot(counts, linewidth=0.8)
    series.set(title="total counts", xlabel="frame", ylabel="counts", ylim=(0, None))
    series.grid(alpha=0.3)
    return figure


def _mean_frame(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over the measured pixels, in the order of an image, and the counts of each frame."""
    size = scan.intensities.shape[-1]
    total, measured, counts = np.zeros((size, size)), np.zeros((size, size)), np.empty(len(scan))
    for number, frame in enumerate(scan.intensities):
        known: Any = True if scan.mask is None else scan.mask if scan.mask.ndim == 2 else scan.mask[number]
        light = np.where(known, frame, 0)
        total += light
        measured += known
        counts[number] = light.sum(dtype=np.float64)
    mean = np.where(measured > 0, total / np.maximum(measured, 1), np.nan)
    return (np.fft.fftshift(mean) if scan.propagator == "far-field" else mean), counts
