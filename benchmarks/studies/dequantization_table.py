"""Table 1 of the paper in both senses: its own numbers, and the best that the model gives.

Setting: the paper's Gaussian and Rosenbrock functions at 64², 8 bits cut to 2, 3 and 5, compared with the
8-bit original by NRMSE, PSNR and SSIM. Zero padding appends zero bits. The paper's rows are those of its own
iteration in the one reading that gives them (`benchmarks.plain_dequantization.paper_iteration`). The plate is
``dequantize`` with the bins of 8-bit values, converged; beside it are the best Gaussian blur, and the best
total variation, whose parameter the original chose. All are clipped to the values that the codes allow.
Energies are of codes whose bins the function fills, floor(f), f from 0 to 2^bits - 1e-9.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, astuple
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare._rows import Figure
from benchmarks.compare.dequantization_energy import CONVERGED, ENERGIES, least_energies
from benchmarks.plain_dequantization import (
    PAPER_STEP,
    PAPER_STEPS,
    explicit_iteration,
    explicit_steps,
    paper_iteration,
    pyramid_start,
)
from benchmarks.quantization import (
    Quality,
    blurred,
    codes_of,
    plate_of_8_bits,
    quality,
    reference,
    total_variation,
    unit_codes,
    zero_padded,
)
from benchmarks.studies._tables import Options, Study, Table
from fastimg.demo._plain_dequantization import bending_energy
from fastimg.dequantization import dequantize

SIZE, BITS = 64, (2, 3, 5)
MOST_STEPS = 500_000
# Table 1 as it is printed: NRMSE, PSNR and SSIM of zero padding, Laplace and biharmonic
PAPER = {
    ("gaussian", 2): ((0.3252, 17.0239, 0.4174), (0.3362, 16.7344, 0.4661), (0.0713, 30.2044, 0.9462)),
    ("gaussian", 3): ((0.1618, 23.0882, 0.7585), (0.1535, 23.5467, 0.8187), (0.1169, 25.9098, 0.8877)),
    ("gaussian", 5): ((0.0383, 35.6112, 0.9831), (0.0308, 37.4985, 0.9918), (0.0371, 35.8821, 0.9885)),
    ("rosenbrock", 2): ((0.4011, 19.3146, 0.3118), (0.4457, 18.3993, 0.3855), (0.2315, 24.0895, 0.8097)),
    ("rosenbrock", 3): ((0.2194, 24.5547, 0.5317), (0.2646, 22.9290, 0.4988), (0.1520, 27.7415, 0.8251)),
    ("rosenbrock", 5): ((0.0561, 36.4029, 0.8999), (0.0721, 34.2228, 0.8555), (0.0681, 34.7163, 0.9319)),
}
PADDED, LAPLACE, BIHARMONIC = "zero pad", "Laplace", "biharmonic"
# Printed are 4 decimals; the paper's iteration is repeated to this many dB
PRINTED, REPEATED = 5e-5, 1e-3
# PSNR and SSIM that the plate has to reach, and how near
PLATE = {
    ("gaussian", 2): (37.4, 0.992),
    ("gaussian", 3): (45.1, 0.998),
    ("gaussian", 5): (54.7, 1.000),
    ("rosenbrock", 2): (32.5, 0.879),
    ("rosenbrock", 3): (40.7, 0.959),
    ("rosenbrock", 5): (51.9, 0.997),
}
PLATE_LARGE = {2: 37.98, 4: 53.80, 6: 60.06}
LARGE = 256
PSNR_NEAR, SSIM_NEAR = 0.1, 1e-3


def study(options: Options) -> Study:
    """Make the paper's table, the model's, and the energies."""
    cases = list(PAPER)[:1] if options.quick else list(PAPER)
    paper_rows, paper_figures = _paper(cases)
    model_rows, model_figures, models = _model(cases)
    large_rows, large_figures = _large(() if options.quick else PLATE_LARGE)
    energy_rows, energy_figures = least_energies(list(ENERGIES)[:1] if options.quick else list(ENERGIES))
    tables = [
        Table(
            "Table 1: as printed, and repeated",
            ("function", "bits", "method", "as printed", "repeated", "PSNR apart"),
            paper_rows,
        ),
        Table(
            "the model: PSNR/SSIM",
            ("method", *(f"{name} {bits} bit" for name, bits in cases)),
            model_rows,
        ),
        Table(f"plate, {LARGE}² Gaussian", ("bits", "PSNR", "SSIM"), large_rows),
        Table("Gaussian, least energy", ("size", "bits", "energy", "KKT", "cycles"), energy_rows),
    ]
    tables.append(
        Table(
            "Gaussian, the paper's steps on this energy",
            ("size", "bits", f"after {PAPER_STEPS}·N a grid, above the minimum", "steps to 1 %"),
            [_explicit(bits) for bits in (BITS[:1] if options.quick else BITS)],
        )
    )
    figures = [*paper_figures, *model_figures, *large_figures, *energy_figures]
    return Study("dequantization-table", (__doc__ or "").strip(), tables, figures, {"model": models})


def _paper(cases: list[tuple[str, int]]) -> tuple[list[tuple[str, ...]], list[Figure]]:
    """Repeat the paper's numbers."""
    rows: list[tuple[str, ...]] = []
    apart: dict[str, list[tuple[float, ...]]] = {PADDED: [], LAPLACE: [], BIHARMONIC: []}
    for name, bits in cases:
        original = reference(name, SIZE)
        codes = codes_of(original, bits)
        found = {
            PADDED: zero_padded(codes, bits),
            LAPLACE: paper_iteration(codes, "membrane"),
            BIHARMONIC: paper_iteration(codes, "plate"),
        }
        for (method, image), printed in zip(found.items(), PAPER[name, bits], strict=True):
            measured = astuple(quality(original, image))
            apart[method].append(tuple(np.subtract(measured, printed)))
            rows.append(
                (name, str(bits), method, _listed(printed), _listed(measured), f"{apart[method][-1][1]:+.5f}")
            )
    padded = float(np.abs(apart[PADDED]).max())
    iterated = float(np.abs(apart[LAPLACE] + apart[BIHARMONIC])[:, 1].max())
    others = float(np.abs(apart[LAPLACE] + apart[BIHARMONIC])[:, ::2].max())
    count = len(cases)
    return rows, [
        Figure(
            f"{PADDED} to Table 1, largest difference",
            f"{count} rows, all measures",
            f"{padded:.1e}",
            f"{PRINTED:g}, its rounding",
            padded <= PRINTED,
        ),
        Figure(
            "the paper's iteration to Table 1, largest difference",
            f"{2 * count} rows, PSNR (NRMSE and SSIM: {others:.1e})",
            f"{iterated:.1e} dB",
            f"{REPEATED:g} dB",
            iterated <= REPEATED,
        ),
    ]


def _model(
    cases: list[tuple[str, int]],
) -> tuple[list[tuple[str, ...]], list[Figure], dict[str, dict[str, Any]]]:
    """Measure the converged plate, and membrane, beside the peers."""
    cells: dict[str, list[str]] = {}
    found: dict[str, dict[str, Any]] = {}
    figures: list[Figure] = []
    for name, bits in cases:
        on = f"{name} {bits} bit"
        original = reference(name, SIZE)
        for method, (image, chosen) in _ways(original, bits).items():
            reached = quality(original, image)
            cells.setdefault(method, []).append(f"{reached.psnr:.2f}/{reached.ssim:.3f}{chosen}")
            found.setdefault(method, {})[on] = asdict(reached)
            if method == "plate":
                figures += _quality_figures(reached, f"{on}, {SIZE}²", *PLATE[name, bits])
    return [(method, *row) for method, row in cells.items()], figures, found


def _ways(original: NDArray[np.float64], bits: int) -> dict[str, tuple[NDArray[np.float64], str]]:
    """Return what each method finds, and what the original chose."""
    codes = codes_of(original, bits)
    blur, sigma = blurred(original, codes, bits)
    smoothed, weight = total_variation(original, codes, bits)
    return {
        PADDED: (zero_padded(codes, bits), ""),
        "best blur": (blur, f" (σ {sigma:.2f})"),
        "best total variation": (smoothed, f" (weight {weight:.3g})"),
        "membrane": (plate_of_8_bits(codes, bits, model="membrane", **CONVERGED), ""),
        "plate": (plate_of_8_bits(codes, bits, **CONVERGED), ""),
    }


def _quality_figures(reached: Quality, on: str, psnr: float, ssim: float | None = None) -> list[Figure]:
    figures = [
        Figure(
            "PSNR of the plate",
            on,
            f"{reached.psnr:.2f} dB",
            f"{psnr} ± {PSNR_NEAR} dB",
            abs(reached.psnr - psnr) <= PSNR_NEAR,
        )
    ]
    if ssim is not None:
        figures.append(
            Figure(
                "SSIM of the plate",
                on,
                f"{reached.ssim:.4f}",
                f"{ssim:.3f} ± {SSIM_NEAR:g}",
                abs(reached.ssim - ssim) <= SSIM_NEAR,
            )
        )
    return figures


def _large(bits: Iterable[int]) -> tuple[list[tuple[str, ...]], list[Figure]]:
    """Measure the plate on a larger Gaussian."""
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    original = reference("gaussian", LARGE)
    for count in bits:
        reached = quality(original, plate_of_8_bits(codes_of(original, count), count, **CONVERGED))
        rows.append((str(count), f"{reached.psnr:.2f}", f"{reached.ssim:.4f}"))
        figures += _quality_figures(reached, f"gaussian {count} bit, {LARGE}²", PLATE_LARGE[count])
    return rows, figures


def _explicit(bits: int) -> tuple[str, ...]:
    """Take the paper's number of steps, of its size, down the energy of the free plate; then count on."""
    codes = unit_codes("gaussian", SIZE, bits)
    lower, upper = codes.astype(float), codes + 1.0
    least = dequantize(codes, bits=bits, return_info=True, **CONVERGED)[1].energy
    start = pyramid_start(lower, upper, PAPER_STEP)
    after = bending_energy(explicit_iteration(start, lower, upper, PAPER_STEPS * SIZE, PAPER_STEP))
    steps = explicit_steps(start, lower, upper, 1.01 * least, step=PAPER_STEP, most=MOST_STEPS)
    return f"{SIZE}²", str(bits), f"{100 * (after / least - 1):.1f} %", f"{steps or f'> {MOST_STEPS}'}"


def _listed(values: Iterable[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)
