"""Scenes for fusion: a crop of Pavia Centre where the data are, else one made up; their images and estimates.

The data are ``hyperspectral/pavia_centre_104x120x93_u16.npz`` (ROSIS, the last 93 of 102 bands) and
``hyperspectral/ikonos_spec_resp.npz`` in the folder ``$FASTIMG_DATA``, else in ``shared/data`` beside the
repository.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks import plain_fusion
from fastimg.fusion import (
    hmwb,
    kernel_widths,
    resample_response,
    simulate_pair,
    spectral_inverse,
    starck_murtagh,
    upsample,
)

__all__ = [
    "HYPERSPECTRAL",
    "MULTISPECTRAL",
    "WEIGHT",
    "Estimates",
    "Scene",
    "data_folder",
    "estimates_of",
    "fuse_estimates",
    "fuse_plainly",
    "plain_kernels",
    "plain_measures",
    "scene_of",
]

Cube = NDArray[Any]

PAVIA, IKONOS = "hyperspectral/pavia_centre_104x120x93_u16.npz", "hyperspectral/ikonos_spec_resp.npz"
# Wavelengths in nm of the first and last of the bands; of the table the columns of four channels
WAVELENGTHS, ALL_BANDS, COLUMNS = (430.0, 860.0), 102, slice(2, 6)
RATIO, NOISE_H, NOISE_M = 4, 30.0, 40.0
# Defaults of hmwb: λ, and the gamma and alpha of either kernel
WEIGHT, MULTISPECTRAL, HYPERSPECTRAL = 0.1, (1e-6, 1e-3), (1e-4, 501.0)
# Estimates are raised to this part of their mean
FLOOR = 1e-3


class Scene(NamedTuple):
    """What two sensors saw of a cube: (rows / ratio, cols / ratio, bands) and (rows, cols, channels)."""

    name: str
    hyperspectral: Cube
    multispectral: Cube
    response: NDArray[np.float64]

    @property
    def arguments(self) -> dict[str, Any]:
        """What hmwb has to know, besides the images."""
        return {"spectral_response": self.response, "ratio": RATIO, "blur": starck_murtagh()}


class Estimates(NamedTuple):
    """Estimates of a cube from either image, of one dtype, as they are before they become measures."""

    m: Cube
    h: Cube


def data_folder() -> Path:
    """Return where the data should be."""
    given = os.environ.get("FASTIMG_DATA")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"


def scene_of(shape: tuple[int, int, int], dtype: Any = np.float64, *, seed: int = 0) -> Scene:
    """Return images of Pavia, mirrored or cut to ``shape``; of a scene made up where there are no data."""
    folder, bands = data_folder(), shape[2]
    if all((folder / file).is_file() for file in (PAVIA, IKONOS)):
        with np.load(folder / PAVIA) as arrays:
            cube = arrays["cube"].astype(np.float64)[..., :bands]
        with np.load(folder / IKONOS) as arrays:
            table = arrays["ikonos_sp"]
        centers = np.linspace(*WAVELENGTHS, ALL_BANDS)[-93:][:bands]
        seen = [channel for channel in table[:, COLUMNS].T if np.interp(centers, table[:, 0], channel).any()]
        name, response = "Pavia", resample_response(table[:, 0], np.array(seen).T, centers)
    else:
        name, cube, response = "made up", _made_up(shape, seed), _boxes(bands)
    missing = [(0, max(0, wanted - length)) for wanted, length in zip(shape, cube.shape, strict=True)]
    cube = np.pad(cube, missing, mode="symmetric")
    h, m = simulate_pair(
        cube[: shape[0], : shape[1]], response, ratio=RATIO, blur=starck_murtagh(),
        snr_h=NOISE_H, snr_m=NOISE_M, rng=seed,
    )  # fmt: skip
    return Scene(name, h.astype(dtype), m.astype(dtype), response)


def _made_up(shape: tuple[int, int, int], seed: int) -> Cube:
    """Return smooth spectra of materials, in patches."""
    rng = np.random.default_rng(seed)
    spectra = np.exp(ndimage.gaussian_filter1d(rng.standard_normal((5, shape[2])), 6, axis=1) * 2)
    fields = ndimage.gaussian_filter(rng.standard_normal((5, *shape[:2])), (0, 4, 4))
    amounts = np.exp(20 * fields)
    return (amounts / amounts.sum(axis=0)).transpose(1, 2, 0) @ spectra


def _boxes(bands: int) -> NDArray[np.float64]:
    """Return the means of four runs of bands."""
    return np.array(
        [np.isin(np.arange(bands), run) / len(run) for run in np.array_split(np.arange(bands), 4)]
    )


def estimates_of(scene: Scene, inverse: str = "pinv") -> Estimates:
    """Return M̃(m) and H̃(h), without denoising, in the dtype of the images."""
    matrix = spectral_inverse(inverse, scene.response, scene.hyperspectral).T
    m = scene.multispectral @ matrix.astype(scene.multispectral.dtype)
    return Estimates(m, upsample(scene.hyperspectral, RATIO))


def fuse_estimates(estimates: Estimates, iterations: int, precision: Any, **arguments: Any) -> Any:
    """Fuse by ``hmwb``: the operators leave the estimates as they are."""
    same = np.eye(estimates.m.shape[2])
    return hmwb(
        np.ascontiguousarray(estimates.h[::RATIO, ::RATIO]),
        estimates.m,
        spectral_response=same,
        spectral_inverse=same,
        spatial_inverse=estimates.h,
        ratio=RATIO,
        denoise=False,
        iterations=iterations,
        precision=precision,
        **arguments,
    )


def fuse_plainly(estimates: Estimates, iterations: int) -> Cube:
    """Fuse by plain NumPy in the dtype of the estimates, in the units of the second."""
    measures, kernels = plain_measures(estimates), plain_kernels(estimates)
    scale = estimates.h.dtype.type(_floored(estimates.h).mean(dtype=np.float64))
    return plain_fusion.barycenter(*measures, kernels, WEIGHT, iterations) * scale


def plain_measures(estimates: Estimates) -> tuple[Cube, Cube]:
    """Return both estimates, floored, of mean 1."""
    m, h = _floored(estimates.m), _floored(estimates.h)
    return m / m.dtype.type(m.mean(dtype=np.float64)), h / h.dtype.type(h.mean(dtype=np.float64))


def plain_kernels(estimates: Estimates) -> plain_fusion.Kernels:
    """Return the dense kernels of hmwb's default parameters."""
    shape = estimates.m.shape
    width_m, widths_h = kernel_widths(shape, *MULTISPECTRAL)[2], kernel_widths(shape, *HYPERSPECTRAL)[:2]
    return plain_fusion.kernels_of(shape, width_m, widths_h, estimates.m.dtype)


def _floored(estimate: Cube) -> Cube:
    return np.maximum(estimate, estimate.dtype.type(FLOOR * estimate.mean(dtype=np.float64)))
