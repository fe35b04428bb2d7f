"""How near a fused cube in a file is to a reference in another one, in memory for a few bands or rows."""

from __future__ import annotations

import importlib.util

import numpy as np

from fastimg import metrics
from fastimg._fuse_samples import Measured
from fastimg.io.cubes import open_cube

__all__ = ["check_packages", "quality"]

# Bytes that are compared at a time
_BLOCK_BYTES = 2**25


def check_packages() -> None:
    """Raise ImportError where what measures quality is missing."""
    if importlib.util.find_spec("skimage") is None:
        raise ImportError("--reference needs scikit-image, for PSNR: pip install 'fastimg[fusion]'")


def quality(output: str, reference: str, ratio: int, nodata: float | None) -> dict[str, float]:
    """Return the measures of quality; over the pixels that have data in both files.

    Parameters
    ----------
    output, reference : str
        Files that `fastimg.io.open_cube` reads, of one shape.
    ratio : int
        Fine pixels along a coarse one.
    nodata : float or None
        The value that marks pixels without data in ``output``.

    Returns
    -------
    dict
        RMSE in the units of the files, and over the mean of the reference, SAM in degrees, ERGAS, CC, UIQI,
        and PSNR in dB; those of single bands averaged. No UIQI where a pixel has no data, nor where the image
        is smaller than its window.
    """
    with open_cube(output) as found, open_cube(reference) as expected:
        estimate, truth = Measured(found, nodata), Measured(expected)
        rows, columns, bands = found.shape
        known = np.ones((rows, columns), bool)
        angles, pixels = 0.0, 0
        step = max(1, _BLOCK_BYTES // (8 * columns * bands))
        for start in range(0, rows, step):
            part = slice(start, min(rows, start + step))
            pair = estimate[part, :], truth[part, :]
            known[part] = ~(np.isnan(pair[0]).any(axis=2) | np.isnan(pair[1]).any(axis=2))
            count = int(known[part].sum())
            if count:
                angles += count * metrics.sam(*(values[known[part]][:, None] for values in pair))
                pixels += count
        if not pixels:
            raise ValueError(f"{output} and {reference} have no pixel with data in common")
        singles = np.array(
            [_of_band(estimate, truth, slice(band, band + 1), known, ratio) for band in range(bands)]
        )
    root_mean_squares = np.sqrt(np.mean(singles[:, :2] ** 2, axis=0))
    means = singles[:, 2:].mean(axis=0)
    measured = {
        "RMSE": root_mean_squares[0], "RMSE/mean": root_mean_squares[0] / means[0], "SAM": angles / pixels,
        "ERGAS": root_mean_squares[1], "CC": means[1], "UIQI": means[2], "PSNR": means[3],
    }  # fmt: skip
    return {name: float(value) for name, value in measured.items() if not np.isnan(value)}


def _of_band(
    estimate: Measured, truth: Measured, band: slice, known: np.ndarray, ratio: int
) -> tuple[float, ...]:
    """RMSE, ERGAS, mean of the reference, CC, UIQI and PSNR of one band."""
    every = slice(None)
    found, expected = estimate.samples(every, every, band), truth.samples(every, every, band)
    pixels = found[known][:, None], expected[known][:, None]
    has_windows = known.all() and min(known.shape) >= 8
    return (
        metrics.rmse(*pixels),
        metrics.ergas(*pixels, ratio),
        float(pixels[1].mean(dtype=np.float64)),
        metrics.cross_correlation(*pixels),
        metrics.uiqi(found, expected) if has_windows else float("nan"),
        metrics.psnr(*pixels),
    )
