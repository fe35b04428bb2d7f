"""Least energies of the plate with known values, with residuals and envelopes; and cycles to a tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.compare._rows import Figure
from benchmarks.quantization import unit_codes
from fastimg.dequantization import DequantizationInfo, dequantize

__all__ = ["CONVERGED", "ENERGIES", "cycles", "least_energies"]

# Least energy of the Gaussian by size and bits, the relative distance to it, and the largest residual by size
ENERGIES = {(64, 2): 0.1528338, (64, 3): 0.6521628, (64, 5): 11.219454, (256, 2): 0.00963691}
NEAR = 1e-5
RESIDUALS = {64: 1e-8, 256: 5e-9}
CONVERGED: dict[str, Any] = {"tol": 1e-14, "max_cycles": 500}
GAP, CYCLES = 1e-4, 40


def least_energies(cases: list[tuple[int, int]]) -> tuple[list[tuple[str, ...]], list[Figure]]:
    """Return a row (size, bits, energy, KKT, cycles) and figures for each size and number of bits."""
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    for size, bits in cases:
        codes = unit_codes("gaussian", size, bits)
        found, info = dequantize(codes, bits=bits, dtype=np.float64, return_info=True, **CONVERGED)
        rows.append((f"{size}²", str(bits), f"{info.energy:.9g}", f"{info.kkt:.1e}", f"{info.cycles}"))
        outside = float(np.maximum(codes - found, found - codes - 1).max())
        figures += _figures(f"gaussian {bits} bit, {size}²", info, outside, size, bits)
    return rows, figures


def _figures(on: str, info: DequantizationInfo, outside: float, size: int, bits: int) -> list[Figure]:
    known, limit = ENERGIES[size, bits], RESIDUALS[size]
    apart = abs(info.energy / known - 1)
    return [
        Figure(
            "least energy, relative difference",
            on,
            f"{info.energy:.9g}, {apart:.1e}",
            f"{known:.8g}, {NEAR:g}",
            apart <= NEAR,
        ),
        Figure("KKT, RMS of the projected gradient", on, f"{info.kkt:.1e}", f"{limit:g}", info.kkt <= limit),
        Figure("farthest outside its bin", on, f"{max(outside, 0.0):g}", "0", outside <= 0),
    ]


def cycles(name: str, size: int, bits: int) -> Figure:
    """Return how many cycles the default tolerance takes, and that it is kept."""
    codes = unit_codes(name, size, bits)
    info, exact = (
        dequantize(codes, bits=bits, dtype=np.float64, return_info=True, **arguments)[1]
        for arguments in ({"tol": GAP}, CONVERGED)
    )
    gap = info.energy / exact.energy - 1
    return Figure(
        f"cycles to a relative distance of {GAP:g}",
        f"{name} {bits} bit, {size}²",
        f"{info.cycles} cycles, {gap:.1e} above the minimum",
        f"{CYCLES} cycles, {GAP:g}",
        info.cycles <= CYCLES and gap <= GAP,
    )
