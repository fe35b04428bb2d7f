"""The two estimates of a scene that may be larger than memory, tile by tile, with what all tiles share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.fusion._measures import FLOOR, fill_spectral
from fastimg.fusion._scene_images import CoarseImage, FineImage
from fastimg.fusion._spatial_inverse import upsample_rows, upsampling_taps

__all__ = ["SceneMeasures", "scene_measures"]


@dataclass(frozen=True)
class SceneMeasures:
    """Two images, and what makes estimates of the fused cube of them.

    Attributes
    ----------
    coarse, fine
        The images.
    ratio : int
    offsets : (float, float)
        Where the sample (0, 0) of the coarse image lies on the fine grid.
    inverse : array, (bands, channels)
    floors : (float, float)
        Least values of the estimates from the fine and from the coarse image.
    mass_ratio : float
        Sum of the estimate from the coarse image over that from the fine one.
    """

    coarse: CoarseImage
    fine: FineImage
    ratio: int
    offsets: tuple[float, float]
    inverse: NDArray[np.float64]
    floors: tuple[float, float]
    mass_ratio: float = math.nan

    def of_fine(self, rows: slice, cols: slice) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return M̃(m), floored, and where there is no data."""
        channels, missing = self.fine.read(rows, cols)
        estimate = np.empty((*channels.shape[:2], len(self.inverse)), channels.dtype)
        fill_spectral(np, channels, self.inverse, self.floors[0], estimate)
        return estimate, missing

    def of_coarse(self, rows: slice, cols: slice) -> NDArray[Any]:
        """Return H̃(h), floored."""
        places = [
            upsampling_taps(samples, self.ratio, part.start, part.stop, offset)
            for samples, part, offset in zip(self.coarse.shape[:2], (rows, cols), self.offsets, strict=True)
        ]
        image = self.coarse.take(*(indices for indices, _ in places))
        for _, weights in places:
            image = upsample_rows(np, image, np.arange(len(image)), weights).swapaxes(0, 1)
        return np.maximum(image, image.dtype.type(self.floors[1]), order="C")

    def both(self, rows: slice, cols: slice) -> tuple[tuple[NDArray[Any], NDArray[Any]], NDArray[np.bool_]]:
        """Return both estimates of a tile, and where the result has no data.

        Without data in the fine image the estimates differ by their mass alone.
        """
        of_fine, missing = self.of_fine(rows, cols)
        of_coarse = self.of_coarse(rows, cols)
        if missing.any():
            of_fine[missing] = of_coarse[missing] / of_fine.dtype.type(self.mass_ratio)
        return (of_fine, of_coarse), missing | self._coarse_missing(rows, cols)

    def _coarse_missing(self, rows: slice, cols: slice) -> Any:
        """Where the coarse sample nearest to a pixel has no data."""
        if not self.coarse.missing.any():
            return False
        nearest = [
            np.floor((np.arange(part.start, part.stop) - offset) / self.ratio + 0.5).astype(int) % samples
            for samples, part, offset in zip(self.coarse.shape[:2], (rows, cols), self.offsets, strict=True)
        ]
        return self.coarse.missing[nearest[0][:, None], nearest[1]]


def scene_measures(
    coarse: CoarseImage,
    fine: FineImage,
    ratio: int,
    offsets: tuple[float, float],
    inverse: NDArray[np.float64],
    tiles: Iterable[tuple[slice, slice]],
) -> SceneMeasures:
    """Find the floors and the masses, in two passes over the tiles, which together are the scene."""
    tiles = list(tiles)
    total, count = np.zeros(len(fine.means)), 0
    for rows, cols in tiles:
        channels, missing = fine.read(rows, cols)
        total += channels[~missing].sum(axis=0, dtype=np.float64)
        count += int((~missing).sum())
    mean_m = float(np.mean(inverse @ (total / count)))
    mean_h = float(coarse.planes.mean(dtype=np.float64))
    for mean, name in ((mean_m, "multispectral, through spectral_inverse,"), (mean_h, "hyperspectral")):
        if not 0 < mean < math.inf:
            raise ValueError(f"{name} has the mean {mean:g}; accepted are images of positive mean")
    floors = (FLOOR * mean_m, FLOOR * mean_h)
    measures = SceneMeasures(coarse, fine, ratio, offsets, inverse, floors)
    sums = np.zeros(2)
    for rows, cols in tiles:
        of_fine, missing = measures.of_fine(rows, cols)
        known = ~missing
        for number, estimate in enumerate((of_fine, measures.of_coarse(rows, cols))):
            sums[number] += estimate.sum(axis=2, dtype=np.float64)[known].sum()
    return replace(measures, mass_ratio=float(sums[1] / sums[0]))
