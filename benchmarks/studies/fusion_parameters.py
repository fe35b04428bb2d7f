"""How much the parameters of a fusion matter: iterations, weight, and how far mass may move in the plane.

Setting: that of ``fusion-table``, with regression as the spectral inverse unless a row says otherwise, and
one seed of the noise; the last table has all seeds. The width σ_H is that of the kernel of the hyperspectral
estimate, in pixels on an axis of 112, the mean of the scene's two. The rows show what can be gained on this
scene by someone who knows the truth, not what a choice made without it gains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fusion_scenes import PAVIA, data_folder
from benchmarks.studies._tables import Options, Study, Table
from benchmarks.studies.fusion_table import RATIO, SEEDS, SNR_H, SNR_M, quality, scene
from fastimg.fusion import cnmf, denoise_total_variation, hmwb, simulate_pair, starck_murtagh

AXIS = 112
ITERATIONS = (10, 30, 50, 100, 150, 300, 500)
WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)
WIDTHS = (0.8, 1.5, 3.0, 4.5)
BEST_WEIGHT, BEST_WIDTH = 0.3, 3.0
# Of mass that moves along wavelength instead: so much that it does not
ALPHA = 5e6

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def study(options: Options) -> Study:
    """Fuse with many parameters and compare with the reference."""
    setting = (__doc__ or "").strip()
    folder = data_folder()
    if not (folder / PAVIA).is_file():
        return Study("fusion-parameters", setting, skipped=f"no {PAVIA} in {folder}; set FASTIMG_DATA")
    reference, response = scene(folder)
    if options.quick:
        reference, response = reference[:48, :40, ::8], response[:, ::8]
    tables = [
        _iterations(reference, response, quick=options.quick),
        _weights(reference, response, quick=options.quick),
        _seeds(reference, response, quick=options.quick),
    ]
    return Study("fusion-parameters", setting, tables)


def _pair(reference: NDArray[np.float64], response: NDArray[np.float64], seed: int) -> Pair:
    return simulate_pair(
        reference, response, ratio=RATIO, blur=starck_murtagh(), snr_h=SNR_H, snr_m=SNR_M, rng=seed
    )


def _fuse(pair: Pair, response: NDArray[np.float64], **given: Any) -> Any:
    width = given.pop("width", None)
    if width is not None:
        gamma = 2 * (width / (AXIS - 1)) ** 2
        given |= {"gamma_h": gamma, "alpha_h": ALPHA * gamma}
    common = {"spectral_response": response, "ratio": RATIO, "denoise": (None, denoise_total_variation)}
    return hmwb(*pair, **common, **{"spectral_inverse": "regression", **given})


def _cell(estimate: Any, reference: NDArray[np.float64]) -> str:
    error, angle = quality(estimate, reference)[:2]
    return f"{error:.4f} {angle:.2f}°"


def _iterations(reference: NDArray[np.float64], response: NDArray[np.float64], *, quick: bool) -> Table:
    counts = ITERATIONS[:2] if quick else ITERATIONS
    pair, rows = _pair(reference, response, 0), []
    for inverse, weight in (("pinv", 0.1), ("regression", 0.1), ("regression", 0.9)):
        cells: list[str] = []

        def look(state: Any, cells: list[str] = cells) -> None:
            if state.iteration in counts:
                cells.append(_cell(state.fused, reference))

        _fuse(pair, response, spectral_inverse=inverse, weight=weight, iterations=max(counts), callback=look)
        rows.append((f"{inverse}, λ = {weight}", *cells))
    return Table("RMSE / mean and SAM after iterations", ("", *map(str, counts)), rows)


def _weights(reference: NDArray[np.float64], response: NDArray[np.float64], *, quick: bool) -> Table:
    weights, widths = (WEIGHTS[:2], WIDTHS[:2]) if quick else (WEIGHTS, WIDTHS)
    pair = _pair(reference, response, 0)
    rows = [
        (
            f"σ_H = {width}",
            *(
                _cell(_fuse(pair, response, width=width, weight=weight, iterations=_count(quick)), reference)
                for weight in weights
            ),
        )
        for width in widths
    ]
    head = ("", *(f"λ = {weight}" for weight in weights))
    return Table("RMSE / mean and SAM after 150 iterations", head, rows)


def _seeds(reference: NDArray[np.float64], response: NDArray[np.float64], *, quick: bool) -> Table:
    rows = []
    for seed in SEEDS[:1] if quick else SEEDS:
        pair = _pair(reference, response, seed)
        clean = denoise_total_variation(pair[0])
        factors = cnmf(clean, pair[1], spectral_response=response, ratio=RATIO, blur=starck_murtagh())
        ours = _fuse(pair, response, width=BEST_WIDTH, weight=BEST_WEIGHT, iterations=_count(quick))
        rows.append((str(seed), *(_ergas(each, reference) for each in (ours, factors))))
    head = ("seed", f"HMWB, σ_H = {BEST_WIDTH:g}, λ = {BEST_WEIGHT}", "CNMF")
    return Table("RMSE / mean, SAM and ERGAS", head, rows)


def _ergas(estimate: Any, reference: NDArray[np.float64]) -> str:
    return f"{_cell(estimate, reference)} {quality(estimate, reference)[3]:.2f}"


def _count(quick: bool) -> int:
    return 10 if quick else 150
