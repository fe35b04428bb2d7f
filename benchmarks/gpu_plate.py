"""What ``benchmarks.gpu`` runs of de-quantization: every kernel of the plate, and the speed of the solver."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

__all__ = ["FAMILIES", "call_kernels", "described", "measure_solver"]

FAMILIES = (
    "plate",
    "plate_contacts",
    "plate_multigrid",
    "plate_steps",
    "plate_sweeps",
    "plate_transfers",
)
SIZES, BITS = (256, 1024, 4096), (2, 5)
REPEATS = 3
# Of small images, solved together
BATCH, BATCH_SIZE = 16, 64
# Models and borders with stencils of their own
MODELS: tuple[dict[str, Any], ...] = (
    {},
    {"model": "membrane"},
    {"model": "blend", "tension_length": 4.4, "boundary": "even"},
)


def smooth_codes(cupy: Any, shape: tuple[int, int], bits: int) -> Any:
    """Return codes of a Gaussian whose values fill all bins."""
    y, x = np.meshgrid(*[np.linspace(-1, 1, side) for side in shape], indexing="ij", sparse=True)
    return cupy.asarray(np.floor(np.exp(-2 * (x**2 + y**2)) * (2**bits - 1e-9)).astype(np.uint16))


def call_kernels(cupy: Any, shape: tuple[int, int]) -> None:
    """Solve small problems of every model, with bounds, fixed points and a mask that is cut."""
    from fastimg.dequantization import dequantize, inpaint_biharmonic
    from fastimg.kernels.cuda import plate

    codes = smooth_codes(cupy, shape, 3)
    mask = cupy.zeros(shape, bool)
    mask[shape[0] // 4 : shape[0] // 2, 4:12] = True
    with warnings.catch_warnings():
        # two cycles are not meant to converge
        warnings.simplefilter("ignore")
        for model in MODELS:
            dequantize(codes, bits=3, max_cycles=2, **model)
        dequantize(codes, bits=3, mask=mask, mask_mode="cut", max_cycles=2)
        inpaint_biharmonic(codes.astype(np.float32), mask)
    for kinds in product((np.float32, np.float64), repeat=2):
        plate.dot(*(codes.astype(kind) for kind in kinds), cupy.empty(1))


def measure_solver(cupy: Any, elapsed: Callable[[Any, Callable[[], Any]], float]) -> list[dict[str, Any]]:
    """Return the time of ``dequantize`` by size and bits, and for a batch, with cycles and residual.

    ``elapsed`` returns the seconds that the device takes for a call.
    """
    from fastimg.dequantization import dequantize

    rows = []
    works = [((size, size), 1, bits) for size in SIZES for bits in BITS]
    for shape, images, bits in [*works, ((BATCH_SIZE, BATCH_SIZE), BATCH, 3)]:
        codes = smooth_codes(cupy, shape, bits)
        if images > 1:
            codes = cupy.stack([codes] * images)
        info = dequantize(codes, bits=bits, return_info=True)[1]
        times = [elapsed(cupy, lambda c=codes, b=bits: dequantize(c, bits=b)) for _ in range(REPEATS)]
        seconds = float(np.median(times))
        cycles = int(np.sum(info.cycles))
        rows.append(
            {
                "size": shape,
                "images": images,
                "bits": bits,
                "seconds": seconds,
                "cycles": cycles,
                "ns_per_pixel_and_cycle": 1e9 * seconds * images / (codes.size * cycles),
                "kkt": float(np.max(info.kkt)),
                "converged": bool(np.all(info.converged)),
            }
        )
    return rows


def described(row: dict[str, Any]) -> str:
    """Return a row of ``measure_solver`` as a line of text."""
    images = f"{row['images']} of {row['size'][0]}²" if row["images"] > 1 else f"{row['size'][0]}²"
    return (
        f"dequantization, {images}, {row['bits']} bits: {1e3 * row['seconds']:.1f} ms, "
        f"{row['cycles']} cycles, {row['ns_per_pixel_and_cycle']:.3f} ns a pixel and cycle"
    )
