"""Launchers of the kernels of a plate between two bounds, ``plate.cu`` and ``plate_*.cu``.

The plate is an image u of n × m pixels in double precision; its energy is ½ uᵀ A u, where A holds squared
second differences with weight ``plate`` and squared first differences with weight ``membrane``, plus a small
pull to ``middle``. Arrays are CuPy's and C-contiguous; outputs are given and written. Nothing here waits for
the device. The same name means the same array in every function:

u, lower, upper, middle : (n, m) float64
    The plate, its bounds (±inf where there is none), and the middle between them (finite).
gradient : (n, m) float64
    A u + pull (u - middle).
state : (n, m) uint8
    0 at liberty, 1 held by a spring, 2 held at its value, 3 absent: without a part in the plate.
downhill : (n, m) float64
    The negative gradient where a pixel may move, else 0.
grids : object
    What ``grids`` made: operators and memory of the multigrid of one shape.
sums : (k,) float64
    Sums over the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._launch import ceil_div as _ceil_div
from ._launch import kind as _kind
from ._launch import launch as _launch
from ._launch import tiles as _tiles
from ._module import load_cupy
from ._plate_grids import Multigrid, launch_sweep

__all__ = [
    "active_contacts",
    "advance",
    "clipped_step",
    "conjugate",
    "dot",
    "gradient",
    "grids",
    "pool",
    "precondition",
    "product",
    "projected_sweep",
    "set_contacts",
    "slope",
    "soft_contacts",
    "step",
    "thin_contacts",
    "upsample",
]

# Of plate.cu and plate_steps.cu
THREADS = 256
TILE_ROWS, TILE_COLUMNS = 16, 64

# Pixels that a block takes where it needs no neighbours
PART_PIXELS = 2048


def grids(shape: tuple[int, int], plate: float, membrane: float, is_even: bool, cut: Any, pull: float) -> Any:
    """Set up the multigrid of images of one shape.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    plate, membrane : float
        Weights of the squared second and first differences.
    is_even : bool
        Whether the image is mirrored at its border, edge pixels repeated; else the border is free.
    cut : (n, m) bool NumPy array or None
        Pixels without a part: differences that touch them are left out.
    pull : float
        Weight of the pull to the middle.
    """
    return Multigrid(shape, plate, membrane, is_even, cut, pull)


def gradient(grids: Multigrid, u: Any, middle: Any, gradient: Any, sums: Any) -> None:
    """Gradient of the energy; ``sums`` are the energy without the pull, and that of the pull."""
    partial = _partial(_image_tiles(u), 2)
    _launch(
        "plate", "gradient", len(partial), THREADS,
        u, middle, grids.pull, *_stencils(grids), *u.shape, gradient, partial,
    )  # fmt: skip
    _sum_parts(partial, sums, 0.5, 0.5 * grids.pull)


def soft_contacts(
    u: Any, lower: Any, upper: Any, gradient: Any, rho: float, state: Any, downhill: Any, sums: Any
) -> None:
    """Springs of stiffness ``rho`` where u is outside its bounds; pixels whose bounds are equal are held.

    ``state`` changes but where it is 3; ``downhill`` is of energy and springs; ``sums`` are the squared
    distances from the bounds, and the number of pixels outside.
    """
    partial = _partial(_parts(u), 2)
    _launch(
        "plate", "soft_contacts", len(partial), THREADS,
        u, lower, upper, gradient, float(rho), u.size, len(partial), state, downhill, partial,
    )  # fmt: skip
    _sum_parts(partial, sums)


def active_contacts(
    u: Any, lower: Any, upper: Any, gradient: Any, state: Any, downhill: Any, sums: Any
) -> None:
    """Hold the pixels at a bound which the energy presses against it, and those whose bounds are equal.

    ``state`` changes but where it is 3; ``sums`` are the squares of the projected gradient, the number of
    pixels pressed, and the number of states that changed.
    """
    partial = _partial(_parts(u), 3)
    _launch(
        "plate", "active_contacts", len(partial), THREADS,
        u, lower, upper, gradient, u.size, len(partial), state, downhill, partial,
    )  # fmt: skip
    _sum_parts(partial, sums)


def thin_contacts(gradient: Any, lower: Any, upper: Any, share: float, state: Any, downhill: Any) -> None:
    """Free the contacts whose force is below ``share`` of the largest within three pixels."""
    force, parts = load_cupy().empty(state.shape, np.float32), _parts(state)
    _launch(
        "plate", "contact_forces", parts, THREADS, gradient, lower, upper, state, state.size, parts, force
    )
    _launch(
        "plate", "thin_contacts", _image_tiles(state), THREADS,
        force, gradient, float(share), *state.shape, state, downhill,
    )  # fmt: skip


def set_contacts(grids: Multigrid, state: Any, spring: float) -> None:
    """Bring the contacts to the coarse grids of ``precondition``: springs, and held pixels.

    ``spring`` is the stiffness of the springs; ``state`` is kept, and is not to change before the next call.
    """
    grids.set_contacts(state, spring)


def precondition(grids: Multigrid, residual: Any, correction: Any) -> None:
    """One V(2, 2) cycle for (A + springs) correction = residual, on the pixels that may move.

    ``correction`` is (n, m) float32; the cycle is symmetric and positive definite.
    """
    grids.cycle(residual, correction)


def product(grids: Multigrid, state: Any, spring: float, p: Any, q: Any, sums: Any) -> None:
    """Set q to (A + pull + springs) p where a pixel may move, else 0; ``sums`` is pᵀ q."""
    partial = _partial(_image_tiles(p), 1)
    _launch(
        "plate", "product", len(partial), THREADS,
        p, state, float(spring), grids.pull, *_stencils(grids), *p.shape, q, partial,
    )  # fmt: skip
    _sum_parts(partial, sums)


def dot(a: Any, b: Any, sums: Any) -> None:
    """Sum of the products of two images, float64 or float32."""
    partial = _partial(_parts(a), 1)
    _launch(
        "plate", f"dot<{_kind(a)}, {_kind(b)}>", len(partial), THREADS, a, b, a.size, len(partial), partial
    )
    _sum_parts(partial, sums)


def advance(alpha: float, p: Any, q: Any, d: Any, r: Any) -> None:
    """Add alpha p to d and subtract alpha q from r."""
    _launch("plate_steps", "advance", _parts(p), THREADS, float(alpha), p, q, p.size, _parts(p), d, r)


def conjugate(z: Any, beta: float, p: Any) -> None:
    """Set p to z + beta p; z is float32."""
    _launch("plate_steps", "conjugate", _parts(p), THREADS, z, float(beta), p.size, _parts(p), p)


def slope(u: Any, d: Any, t: float, lower: Any, upper: Any, sums: Any) -> None:
    """Σ d (x - clip(x, lower, upper)) at x = u + t d: how steeply the squared distance changes along d."""
    partial = _partial(_parts(u), 1)
    _launch(
        "plate", "slope", len(partial), THREADS,
        u, d, float(t), lower, upper, u.size, len(partial), partial,
    )  # fmt: skip
    _sum_parts(partial, sums)


def step(u: Any, d: Any, t: float) -> None:
    """Add t d to u."""
    _launch("plate_steps", "step", _parts(u), THREADS, d, float(t), u.size, _parts(u), u)


def clipped_step(u: Any, d: Any, t: float, lower: Any, upper: Any, out: Any) -> None:
    """Put u + t d, clipped to the bounds, into ``out``."""
    _launch(
        "plate_steps", "clipped_step", _parts(u), THREADS,
        u, d, float(t), lower, upper, u.size, _parts(u), out,
    )  # fmt: skip


def projected_sweep(grids: Multigrid, u: Any, lower: Any, upper: Any, is_backward: bool) -> None:
    """Gauss–Seidel in nine colours, each pixel kept within its bounds: the energy does not increase."""
    grids.room[...] = u
    arguments = (grids.room, lower, upper, *_stencils(grids), *u.shape, u)
    launch_sweep("projected_sweep", is_backward, u.shape, *arguments)


def pool(fine: Any, out: Any) -> None:
    """Mean of the finite ones of each 2 × 2 pixels; an infinity where none is finite."""
    _launch("plate_steps", "pool", _ceil_div(out.size, THREADS), THREADS, fine, *fine.shape, out)


def upsample(coarse: Any, out: Any) -> None:
    """Cubic interpolation to twice the rows and columns, or one less; affine functions stay affine."""
    tall = load_cupy().empty((len(out), coarse.shape[1]), np.float64)
    for source, target, is_along_rows in ((coarse, tall, False), (tall, out, True)):
        length = source.shape[1] if is_along_rows else source.shape[0]
        _launch(
            "plate_steps", "upsample", _ceil_div(target.size, THREADS), THREADS,
            source, length, is_along_rows, *target.shape, target,
        )  # fmt: skip


def _stencils(grids: Multigrid) -> tuple[Any, ...]:
    """Return what the kernels in double precision take of the image's stencils."""
    return grids.plate, grids.membrane, grids.image.code, grids.image.unlisted, grids.image.double


def _image_tiles(image: Any) -> int:
    height, width = image.shape
    return _tiles(height, width, TILE_ROWS, TILE_COLUMNS)


def _parts(image: Any) -> int:
    return _ceil_div(image.size, PART_PIXELS)


def _partial(parts: int, sums: int) -> Any:
    """Return room for what each block leaves of some sums."""
    return load_cupy().empty((parts, sums), np.float64)


def _sum_parts(partial: Any, sums: Any, first_factor: float = 1.0, second_factor: float = 1.0) -> None:
    """Add up what the blocks left, in their order."""
    _launch("plate", "sum_parts", 1, THREADS, partial, *partial.shape, first_factor, second_factor, sums)
