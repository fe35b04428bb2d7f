"""The grids of a plate on the device, and the launches of its multigrid cycle.

Coarse operators are in single precision: thirteen planes of a symmetric matrix and the inverse of its
diagonal, with zeros around them. The stencils without contacts are made on the host, once for a shape, and
kept on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _plate_stencils
from .._plate_stencils import Level, stiffness
from ._launch import ceil_div, launch, tiles
from ._module import load_cupy

__all__ = ["Multigrid", "Stencils", "launch_sweep"]

# Of plate.cuh: states of a pixel, zeros around the planes of an operator, their number
SPRING, FROZEN = 1, 2
PADDING, PLANES = 2, 14

# Code of a pixel whose stencil is told by an array of its own
UNLISTED = 255

# Tiles and threads of plate_sweeps.cu, plate_transfers.cu, plate_contacts.cu and plate_multigrid.cu
ONE_SWEEP_TILE, TWO_SWEEPS_TILE, SWEEP_THREADS = (42, 72), (33, 45), 512
RESTRICT_TILE, RESTRICT_THREADS = 16, 256
SPRING_TILE, SPRING_THREADS = 32, 128
FACTOR_THREADS, SMALL_THREADS, WARP = 128, 512, 32

# Grids of up to so many pixels, with the padding, are swept together by one block.
SMALL = 68 * 68

# Shapes whose stencils are kept on the device: those of a pyramid of images
KEPT_SHAPES = 32


@dataclass(frozen=True)
class Stencils:
    """Which stencil each pixel of a grid has, on the device.

    Attributes
    ----------
    shape : (int, int)
    code : (n, m) uint8
        0 for the stencil of the interior of the image's own grid; else 1 + row of the table, or UNLISTED.
    unlisted : (n, m) or (0, 0) int32
        Row of the table.
    double, single : (K, 25) float64, float32
        The table. In single precision that of a coarse grid, and that of an image too narrow for one, has
        the pull.
    """

    shape: tuple[int, int]
    code: Any
    unlisted: Any
    double: Any
    single: Any


class Multigrid:
    """The grids of one shape, their operators, and the memory of a cycle, on the current device.

    Attributes
    ----------
    shape : (int, int)
        Of the image.
    plate, membrane, pull : float
        Weights of bending, of stretching, and of the pull to the middle of the envelope.
    image : Stencils
        Those of the image's own grid.
    room : (n, m) float64
        What a sweep over the image writes.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        plate: float,
        membrane: float,
        is_even: bool,
        cut: NDArray[np.bool_] | None,
        pull: float,
    ) -> None:
        cupy = load_cupy()
        self.shape, self.plate, self.membrane, self.pull = shape, float(plate), float(membrane), float(pull)
        if cut is None or not cut.any():
            device, stream = cupy.cuda.get_device_id(), cupy.cuda.get_current_stream().ptr
            self._stencils = _uncut_stencils(
                device, stream, shape, self.plate, self.membrane, bool(is_even), self.pull
            )
        else:
            self._stencils = _stencils(shape, self.plate, self.membrane, is_even, cut, self.pull)
        self.image = self._stencils[0]
        self._is_narrow = len(self._stencils) == 1
        self._state, self._spring = cupy.zeros(shape, np.uint8), 0.0
        coarse = self._stencils[0 if self._is_narrow else 1 :]
        layout = _layout([grid.shape for grid in coarse])
        numbers, starts = layout[:, 2].tolist(), layout[:, 3].tolist()
        self._layout = cupy.asarray(layout[:-1])
        # Right-hand sides, residuals and results of all coarse grids, and of each
        self._memory = tuple(cupy.zeros((3, numbers[-1]), np.float32))
        self._rights, self._rests, self._plates = (_parts_of(memory, numbers) for memory in self._memory)
        self._planes = cupy.zeros(starts[-1], np.float32)
        self._operators = _parts_of(self._planes, starts)
        # Of all coarse grids but the last
        self._springs = [cupy.zeros(size // PLANES * 13, np.float32) for size in np.diff(starts[:-1])]
        across, along = sorted(coarse[-1].shape)
        self._factor = cupy.empty((across * along, 2 * across + 3), np.float64)
        self._work = cupy.empty(across * along, np.float64)
        self._before = cupy.empty((0, 0) if self._is_narrow else shape, np.float32)
        self.room = cupy.empty(shape, np.float64)
        # The first of the grids that are swept together
        small = [_padded(grid.shape) <= SMALL for grid in coarse]
        self._first_small = small.index(True) if True in small[:-1] else len(coarse) - 1

    def set_contacts(self, state: Any, spring: float) -> None:
        """Take over which pixels are held, and bring the springs to the coarse grids."""
        self._state, self._spring = state, float(spring)
        last = self._stencils[-1]
        if self._is_narrow:
            launch(
                "plate_contacts", "held_operator", ceil_div(state.size, SPRING_THREADS), SPRING_THREADS,
                state, self._spring, last.code, last.unlisted, last.single, *self.shape, self._planes,
            )  # fmt: skip
        elif spring > 0:
            self._bring_springs(SPRING, spring, True)
            self._bring_springs(FROZEN, np.inf, False)
        else:
            self._bring_springs(FROZEN, np.inf, True)
        launch(
            "plate_multigrid", "factorize", 1, FACTOR_THREADS,
            self._operators[-1], *last.shape, self._factor,
        )  # fmt: skip

    def _bring_springs(self, which: int, hardness: float, is_start: bool) -> None:
        """Add the springs of the pixels in one state to the operators, from grid to grid."""
        grids = len(self._stencils)
        stiff = stiffness(self.plate, self.membrane, hardness, grids)
        for k in range(1, grids):
            fine, grid, is_kept = self._stencils[k - 1], self._stencils[k], k < grids - 1
            launch(
                "plate_contacts", f"bring_springs<{'true' if k == 1 else 'false'}>",
                tiles(*grid.shape, 1, SPRING_TILE), SPRING_THREADS,
                self._state, which, None if k == 1 else self._springs[k - 2],
                float(np.float32(stiff[k] / (1 if k == 1 else stiff[k - 1]))),
                grid.code, grid.unlisted, grid.single, *fine.shape, is_start, is_kept,
                self._springs[k - 1] if is_kept else None, self._operators[k - 1],
            )  # fmt: skip

    def cycle(self, residual: Any, correction: Any) -> None:
        """V-cycle with two sweeps each way, from 0."""
        if self._is_narrow:
            launch(
                "plate_multigrid", "solve_narrow", 1, WARP,
                residual, self._state, self._factor, *self.shape, self._work, correction,
            )  # fmt: skip
            return
        image, first = self.image, self._first_small
        stencils = (image.code, image.unlisted, image.single)
        contacts = (self._state, self._spring, self.plate, self.membrane, *stencils, *self.shape)
        rights, rests, plates = self._rights, self._rests, self._plates
        launch_sweep("fine_sweeps", False, self.shape, residual, *contacts, None, None, self._before)
        self._restrict("fine_restrict", self.shape, self._before, residual, *contacts, rights[0])
        for k in range(first):
            grid = rights[k], self._operators[k], *self._stencils[k + 1].shape
            launch_sweep("coarse_sweeps", False, grid[2:], *grid, None, None, rests[k])
            self._restrict("coarse_restrict", grid[2:], rests[k], *grid, rights[k + 1])
        launch(
            "plate_multigrid", "small_grids", 1, SMALL_THREADS,
            self._planes, self._layout, first, len(rights), self._factor, self._work, *self._memory,
        )  # fmt: skip
        for k in range(first - 1, -1, -1):
            grid = rights[k], self._operators[k], *self._stencils[k + 1].shape
            launch_sweep("coarse_sweeps", True, grid[2:], *grid, rests[k], plates[k + 1], plates[k])
        launch_sweep(
            "fine_sweeps", True, self.shape, residual, *contacts, self._before, plates[0], correction
        )

    def _restrict(self, kernel: str, shape: tuple[int, int], *arguments: Any) -> None:
        height, width = (ceil_div(size, 2) for size in shape)
        blocks = tiles(height, width, RESTRICT_TILE, RESTRICT_TILE)
        launch("plate_transfers", kernel, blocks, RESTRICT_THREADS, *arguments)


def launch_sweep(kernel: str, is_back: bool, shape: tuple[int, int], *arguments: Any) -> None:
    """Launch the sweeps of one direction over a grid."""
    tile = ONE_SWEEP_TILE if kernel == "projected_sweep" else TWO_SWEEPS_TILE
    expression = f"{kernel}<{'true' if is_back else 'false'}>"
    launch("plate_sweeps", expression, tiles(*shape, *tile), SWEEP_THREADS, *arguments)


def _parts_of(memory: Any, starts: Sequence[int]) -> list[Any]:
    return [memory[start:stop] for start, stop in pairwise(starts)]


def _padded(shape: tuple[int, int]) -> int:
    return (shape[0] + 2 * PADDING) * (shape[1] + 2 * PADDING)


def _layout(shapes: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Rows, columns, and where the numbers and the planes of each grid begin; at the end where they end."""
    numbers = np.cumsum([0, *(n * m for n, m in shapes)])
    planes = np.cumsum([0, *(PLANES * _padded(shape) for shape in shapes)])
    return np.column_stack([[*shapes, (0, 0)], numbers, planes]).astype(np.int64)


@lru_cache(KEPT_SHAPES)
def _uncut_stencils(
    device: int,
    stream: int,
    shape: tuple[int, int],
    plate: float,
    membrane: float,
    is_even: bool,
    pull: float,
) -> tuple[Stencils, ...]:
    """Keep the stencils without a cut, for each device; and for each stream, which orders upload and use."""
    return _stencils(shape, plate, membrane, is_even, None, pull)


def _stencils(
    shape: tuple[int, int],
    plate: float,
    membrane: float,
    is_even: bool,
    cut: NDArray[np.bool_] | None,
    pull: float,
) -> tuple[Stencils, ...]:
    """Set up the stencils of all grids, and bring them to the device."""
    levels = _plate_stencils.levels(shape, plate, membrane, is_even, cut)
    made = []
    for k, level in enumerate(levels):
        has_operator = k > 0 or len(levels) == 1
        is_regular = level.is_regular & (not has_operator)
        made.append(_upload(level, is_regular[level.kind], pull * 4.0**k if has_operator else 0.0))
    return tuple(made)


def _upload(level: Level, is_regular: NDArray[np.bool_], pull: float) -> Stencils:
    cupy = load_cupy()
    # The stencil of the interior does not fit at the border, whatever its weights are there.
    is_regular[:2] = is_regular[-2:] = is_regular[:, :2] = is_regular[:, -2:] = False
    is_listed = level.kind < UNLISTED - 1
    code = np.where(is_regular, 0, np.where(is_listed, level.kind + 1, UNLISTED)).astype(np.uint8)
    unlisted = np.zeros((0, 0), np.int32) if is_listed.all() else level.kind.astype(np.int32)
    single = level.table.astype(np.float32)
    single[:, 12] += np.float32(pull) * (level.table[:, 12] > 0)
    uploads = (cupy.asarray(array) for array in (code, unlisted, level.table, single))
    return Stencils(level.shape, *uploads)
