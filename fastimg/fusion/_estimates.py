"""From a pair of images to two estimates of the fused cube, whose floors and masses are known."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.fusion._blur import as_blur
from fastimg.fusion._denoise import check_denoise, denoised
from fastimg.fusion._inputs import Pair, as_cube, as_matrix, as_pair, as_response, check_light
from fastimg.fusion._measures import fill_given, fill_spatial, fill_spectral, floor_of, mean_of_spectral
from fastimg.fusion._spectral_inverse import METHODS, inverse_from_sums, least_norm, regression_sums
from fastimg.transport._inputs import as_choice

__all__ = ["Request", "Sources", "request_of"]


@dataclass(frozen=True)
class Sources:
    """Denoised images and the operators that take them to the grid of the fused cube.

    ``estimate_h`` is None, or the estimate of the hyperspectral image that was given itself.
    """

    xp: ModuleType
    hyperspectral: Any
    multispectral: Any
    ratio: int
    offsets: tuple[float, float]
    inverse: NDArray[np.float64]
    estimate_h: Any
    floors: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and bands of the fused cube."""
        return (*self.multispectral.shape[:2], self.hyperspectral.shape[2])

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64: that of the fused cube."""
        return self.hyperspectral.dtype

    def fill(self, out_m: Any, out_h: Any) -> tuple[float, float]:
        """Write both estimates, floored; return their sums."""
        floor_m, floor_h = self.floors
        sum_m = fill_spectral(self.xp, self.multispectral, self.inverse, floor_m, out_m)
        if self.estimate_h is not None:
            return sum_m, fill_given(self.xp, self.estimate_h, floor_h, out_h)
        return sum_m, fill_spatial(self.xp, self.hyperspectral, self.ratio, self.offsets, floor_h, out_h)


@dataclass(frozen=True)
class Request:
    """Checked arguments, of which nothing has been computed yet."""

    pair: Pair
    response: NDArray[np.float64]
    offsets: tuple[float, float]
    spectral_inverse: str | NDArray[np.float64]
    estimate_h: Any
    denoise: tuple[Any, Any]

    def sources(self) -> Sources:
        """Denoise, and make the operators."""
        pair, given = self.pair, self.estimate_h
        xp = pair.xp
        fine = denoised(xp, pair.multispectral, self.denoise[0], "multispectral")
        coarse = denoised(xp, pair.hyperspectral, self.denoise[1], "hyperspectral")
        inverse = _inverse(xp, self.spectral_inverse, self.response, coarse)
        estimate = coarse if given is None else given
        floors = (
            floor_of(mean_of_spectral(xp, fine, inverse), "multispectral, through spectral_inverse,"),
            floor_of(float(estimate.mean(dtype=xp.float64)), "the estimate from hyperspectral"),
        )
        return Sources(xp, coarse, fine, pair.ratio, self.offsets, inverse, given, floors)


def request_of(
    hyperspectral: Any,
    multispectral: Any,
    spectral_response: Any,
    ratio: Any,
    blur: Any,
    spectral_inverse: Any,
    spatial_inverse: Any,
    denoise: Any,
    **others: Any,
) -> Request:
    """Check the arguments; ``others`` have to be arrays of the same kind."""
    given = None if isinstance(spatial_inverse, str) else spatial_inverse
    if given is None:
        as_choice(spatial_inverse, "spatial_inverse", ("cubic",))
    pair = as_pair(hyperspectral, multispectral, ratio, spatial_inverse=given, **others)
    check_light(pair)
    response = as_response(spectral_response, pair.multispectral.shape[2], pair.shape[2])
    if isinstance(spectral_inverse, str):
        as_choice(spectral_inverse, "spectral_inverse", METHODS)
    else:
        spectral_inverse = as_matrix(spectral_inverse, response)
    if given is not None:
        given = as_cube(pair.xp, given, "spatial_inverse")
        if given.shape != pair.shape:
            raise ValueError(
                f"spatial_inverse has shape {given.shape}; accepted are 'cubic' and an estimate of the fused "
                f"cube, {pair.shape}"
            )
    functions = check_denoise(pair.xp, denoise)
    return Request(pair, response, as_blur(blur).centre, spectral_inverse, given, functions)


def _inverse(
    xp: ModuleType, method: Any, response: NDArray[np.float64], hyperspectral: Any
) -> NDArray[np.float64]:
    if not isinstance(method, str):
        return method
    if method == "pinv":
        return least_norm(response)
    return inverse_from_sums(*regression_sums(xp, hyperspectral, response))
