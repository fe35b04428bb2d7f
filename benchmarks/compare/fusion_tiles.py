"""A scene fused in tiles beside the same in one piece."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.compare._rows import Figure
from benchmarks.fusion_scenes import Scene, scene_of
from fastimg.fusion import fuse_scene, hmwb

__all__ = ["tiles"]

# Largest difference, relative to the mean of the scene
EQUAL = 1e-5


class Case(NamedTuple):
    """Iterations, dtype, and pixels around a tile, None for as many as there are by default."""

    iterations: int
    dtype: str
    halo: int | None
    is_binding: bool = True


SHAPE, TILE = (128, 128, 93), 64
# Not binding is what lies in the method: what a pixel depends on grows with the iterations, and single
# precision has an error of its own.
CASES = [
    Case(50, "float64", 16),
    Case(150, "float64", 16, is_binding=False),
    Case(150, "float64", 24),
    Case(150, "float64", None),
    Case(150, "float32", None, is_binding=False),
]
QUICK_SHAPE, QUICK_TILE, QUICK_CASES = (48, 40, 24), 16, [Case(20, "float64", 8)]


def tiles(*, quick: bool) -> list[Figure]:
    """Compare both for several halos and numbers of iterations."""
    shape, tile, cases = (QUICK_SHAPE, QUICK_TILE, QUICK_CASES) if quick else (SHAPE, TILE, CASES)
    return [_figure(case, scene_of(shape, case.dtype), tile) for case in cases]


def _figure(case: Case, scene: Scene, tile: int) -> Figure:
    images = scene.hyperspectral, scene.multispectral
    whole = hmwb(*images, iterations=case.iterations, **scene.arguments)
    found = np.empty_like(whole)
    info = fuse_scene(
        *images, found, iterations=case.iterations, tile=tile, halo=case.halo, **scene.arguments
    )
    apart = float(np.abs(found - whole).max() / whole.mean(dtype=np.float64))
    default = " (default)" if case.halo is None else ""
    return Figure(
        f"tiles of {tile}², {case.iterations} iterations, to the whole",
        f"{' × '.join(map(str, whole.shape))} ({scene.name}), halo {info.halo}{default}, {case.dtype}",
        f"{apart:.1e}",
        f"{EQUAL:g} of the mean",
        apart <= EQUAL,
        is_binding=case.is_binding,
    )
