"""What each way to fuse reaches on a measured scene.

Setting: a part of Pavia Centre, 104 × 120 pixels and 93 bands from 468 to 860 nm, raised to at least 1 (3.5 %
of its samples are 0), is the reference. The hyperspectral image is what the 5 × 5 filter of Starck and
Murtagh sees at every fourth pixel, with noise of 30 dB; the multispectral one is the scene in the four bands
of IKONOS, with noise of 40 dB. The former is denoised by total variation, but for GSA; the latter is not, as
a Wiener filter takes more than so little noise: one row shows it. Estimates are raised to at least 1e-3 of
their mean, and both they and the reference divided by their mean. Means over three seeds of the noise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare._rows import Figure
from benchmarks.fusion_scenes import ALL_BANDS, COLUMNS, IKONOS, PAVIA, WAVELENGTHS, data_folder
from benchmarks.studies._tables import Options, Study, Table
from fastimg.fusion import (
    arithmetic_mean,
    cnmf,
    denoise_total_variation,
    geometric_mean,
    gsa,
    hmwb,
    resample_response,
    simulate_pair,
    spectral_inverse,
    starck_murtagh,
    upsample,
)
from fastimg.metrics import cross_correlation, ergas, rmse, sam, uiqi

SEEDS = (0, 1, 2)
RATIO, SNR_H, SNR_M = 4, 30, 40
# RMSE over the mean, spectral angle in degrees, correlation; None where nothing is to be reached
EXPECTED: dict[str, tuple[float, float, float] | None] = {
    "cubic interpolation alone": (0.435, 8.09, 0.889),
    "regression inverse alone": (0.0785, 5.54, 0.996),
    "HMWB, pinv, λ = 0.1": (0.102, 5.97, 0.994),
    "HMWB, regression, λ = 0.1": (0.094, 5.90, 0.995),
    "HMWB, regression, λ = 0.9": (0.0761, 5.50, 0.9966),
    "HMWB, all defaults (Wiener filter)": None,
    "arithmetic mean": (0.360, 12.45, 0.969),
    "geometric mean": (0.390, 13.50, 0.968),
    "GSA": (0.084, 6.16, 0.996),
    "CNMF": (0.0748, 5.53, 0.9966),
}
RMSE_NEAR, SAM_NEAR, CC_NEAR = 0.05, 0.1, 0.002
FLOOR = 1e-3


def study(options: Options) -> Study:
    """Fuse with every method and compare with the reference."""
    setting = (__doc__ or "").strip()
    folder = data_folder()
    if not (folder / PAVIA).is_file():
        return Study("fusion-table", setting, skipped=f"no {PAVIA} in {folder}; set FASTIMG_DATA")
    reference, response = scene(folder)
    seeds = SEEDS[:1] if options.quick else SEEDS
    iterations = 10 if options.quick else 150
    found: dict[str, list[list[float]]] = {method: [] for method in EXPECTED}
    for seed in seeds:
        for method, make in _methods(reference, response, seed, iterations).items():
            found[method].append(quality(make(), reference))
    means = {method: np.mean(values, axis=0).tolist() for method, values in found.items()}
    rows = [_row(method, means[method]) for method in EXPECTED]
    head = ("method", "RMSE / mean", "SAM", "CC", "ERGAS", "Q", "expected")
    table = Table(f"Pavia Centre, {len(seeds)} seeds, HMWB after {iterations} iterations", head, rows)
    figures = [figure for method in EXPECTED for figure in _figures(method, means[method])]
    return Study("fusion-table", setting, [table], figures, {"means": means, "seeds": list(seeds)})


def _methods(
    reference: NDArray[np.float64], response: NDArray[np.float64], seed: int, iterations: int
) -> dict[str, Callable[[], Any]]:
    blur = starck_murtagh()
    h, m = simulate_pair(reference, response, ratio=RATIO, blur=blur, snr_h=SNR_H, snr_m=SNR_M, rng=seed)
    clean = denoise_total_variation(h)
    common: dict[str, Any] = {
        "spectral_response": response,
        "ratio": RATIO,
        "denoise": (None, denoise_total_variation),
    }

    def barycenter(inverse: str, weight: float, **changed: Any) -> Callable[[], Any]:
        given = {**common, "spectral_inverse": inverse, "weight": weight, "iterations": iterations, **changed}
        return lambda: hmwb(h, m, **given)

    return {
        "cubic interpolation alone": lambda: upsample(clean, RATIO),
        "regression inverse alone": lambda: m @ spectral_inverse("regression", response, clean).T,
        "HMWB, pinv, λ = 0.1": barycenter("pinv", 0.1),
        "HMWB, regression, λ = 0.1": barycenter("regression", 0.1),
        "HMWB, regression, λ = 0.9": barycenter("regression", 0.9),
        "HMWB, all defaults (Wiener filter)": barycenter("pinv", 0.1, denoise=True),
        "arithmetic mean": lambda: arithmetic_mean(h, m, **common),
        "geometric mean": lambda: geometric_mean(h, m, **common),
        "GSA": lambda: gsa(h, m, ratio=RATIO, blur=blur),
        "CNMF": lambda: cnmf(clean, m, spectral_response=response, ratio=RATIO, blur=blur),
    }


def quality(estimate: NDArray[np.float64], reference: NDArray[np.float64]) -> list[float]:
    """Return RMSE over the mean, SAM, CC, ERGAS and Q of images of the same sum."""
    floored = np.maximum(estimate, FLOOR * estimate.mean())
    pair = floored / floored.mean(), reference / reference.mean()
    return [rmse(*pair), sam(*pair), cross_correlation(*pair), ergas(*pair, ratio=RATIO), uiqi(*pair)]


def _row(method: str, values: list[float]) -> tuple[str, ...]:
    error, angle, correlation, relative, index = values
    expected = EXPECTED[method]
    wanted = "" if expected is None else " ".join(f"{value:g}" for value in expected)
    return (
        method,
        f"{error:.4f}",
        f"{angle:.2f}°",
        f"{correlation:.4f}",
        f"{relative:.2f}",
        f"{index:.3f}",
        wanted,
    )


def _figures(method: str, values: list[float]) -> list[Figure]:
    expected = EXPECTED[method]
    if expected is None:
        return []
    error, angle, correlation = values[:3]
    return [
        Figure(
            "RMSE / mean",
            method,
            f"{error:.4f}",
            f"{expected[0]} ± {100 * RMSE_NEAR:g} %",
            abs(error / expected[0] - 1) <= RMSE_NEAR,
        ),
        Figure(
            "SAM",
            method,
            f"{angle:.2f}°",
            f"{expected[1]:.2f} ± {SAM_NEAR}°",
            abs(angle - expected[1]) <= SAM_NEAR,
        ),
        Figure(
            "CC",
            method,
            f"{correlation:.4f}",
            f"{expected[2]} ± {CC_NEAR}",
            abs(correlation - expected[2]) <= CC_NEAR,
        ),
    ]


def scene(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with np.load(folder / PAVIA) as file:
        reference = np.maximum(file["cube"].astype(np.float64), 1)
    with np.load(folder / IKONOS) as file:
        table = file["ikonos_sp"]
    centers = np.linspace(*WAVELENGTHS, ALL_BANDS)[-reference.shape[2] :]
    return reference, resample_response(table[:, 0], table[:, COLUMNS], centers)
