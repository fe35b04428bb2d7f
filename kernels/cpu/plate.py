"""The kernels of a plate between two bounds: its energy, its contacts, and the multigrid of its equations.

The plate is an image u of n × m pixels in double precision; its energy is ½ uᵀ A u, where A holds squared
second differences with weight ``plate`` and squared first differences with weight ``membrane``, plus a small
pull to ``middle``. Arrays are NumPy's and C-contiguous; outputs are given and written. The same name means
the same array in every function:

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

from . import _plate_bounds as bounds
from . import _plate_sweeps as sweeps
from ._jit import run_parallel
from ._plate_chunks import run_chunks, run_class, run_sums
from ._plate_cycle import Multigrid

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
    run_sums(bounds.gradient, u.shape, sums, u, middle, grids.pull, grids.regular, grids.odds, gradient)


def soft_contacts(
    u: Any, lower: Any, upper: Any, gradient: Any, rho: float, state: Any, downhill: Any, sums: Any
) -> None:
    """Springs of stiffness ``rho`` where u is outside its bounds; pixels whose bounds are equal are held.

    ``state`` changes but where it is 3; ``downhill`` is of energy and springs; ``sums`` are the squared
    distances from the bounds, and the number of pixels outside.
    """
    run_sums(bounds.soft_contacts, u.shape, sums, u, lower, upper, gradient, float(rho), state, downhill)


def active_contacts(
    u: Any, lower: Any, upper: Any, gradient: Any, state: Any, downhill: Any, sums: Any
) -> None:
    """Hold the pixels at a bound which the energy presses against it, and those whose bounds are equal.

    ``state`` changes but where it is 3; ``sums`` are the squares of the projected gradient, the number of
    pixels pressed, and the number of states that changed.
    """
    run_sums(bounds.active_contacts, u.shape, sums, u, lower, upper, gradient, state, downhill)


def thin_contacts(gradient: Any, lower: Any, upper: Any, share: float, state: Any, downhill: Any) -> None:
    """Free the contacts whose force is below ``share`` of the largest within three pixels."""
    force = np.empty(gradient.shape, np.float32)
    run_chunks(bounds.contact_forces, gradient.shape, gradient, lower, upper, state, force)
    run_chunks(bounds.thin_contacts, gradient.shape, gradient, force, np.float32(share), state, downhill)


def set_contacts(grids: Multigrid, state: Any, spring: float) -> None:
    """Bring springs of stiffness ``spring`` and held pixels to the coarse grids of ``precondition``.

    ``state`` is kept, and is not to change before the next call.
    """
    grids.set_contacts(state, float(spring))


def precondition(grids: Multigrid, residual: Any, correction: Any) -> None:
    """One V(2, 2) cycle for (A + springs) correction = residual, on the pixels that may move.

    ``correction`` is (n, m) float32; the cycle is symmetric and positive definite.
    """
    run_parallel(grids.cycle, residual, correction)


def product(grids: Multigrid, state: Any, spring: float, p: Any, q: Any, sums: Any) -> None:
    """Set q to (A + pull + springs) p where a pixel may move, else to 0; ``sums`` is pᵀ q."""
    run_sums(bounds.product, p.shape, sums, p, state, float(spring), grids.pull, grids.regular, grids.odds, q)


def dot(a: Any, b: Any, sums: Any) -> None:
    """Sum of the products of two images, float64 or float32."""
    run_sums(bounds.dot, a.shape, sums, a, b)


def advance(alpha: float, p: Any, q: Any, d: Any, r: Any) -> None:
    """Add alpha p to d and subtract alpha q from r."""
    run_chunks(bounds.advance, p.shape, float(alpha), p, q, d, r)


def conjugate(z: Any, beta: float, p: Any) -> None:
    """Set p to z + beta p; z is float32."""
    run_chunks(bounds.conjugate, p.shape, z, float(beta), p)


def slope(u: Any, d: Any, t: float, lower: Any, upper: Any, sums: Any) -> None:
    """Σ d (x - clip(x, lower, upper)) at x = u + t d: how steeply the squared distance changes along d."""
    run_sums(bounds.slope, u.shape, sums, u, d, float(t), lower, upper)


def step(u: Any, d: Any, t: float) -> None:
    """Add t d to u."""
    run_chunks(bounds.step, u.shape, u, d, float(t))


def clipped_step(u: Any, d: Any, t: float, lower: Any, upper: Any, out: Any) -> None:
    """Put u + t d, clipped to the bounds, into ``out``."""
    run_chunks(bounds.clipped_step, u.shape, u, d, float(t), lower, upper, out)


def projected_sweep(grids: Multigrid, u: Any, lower: Any, upper: Any, is_backward: bool) -> None:
    """Gauss–Seidel in nine colours, each pixel kept within its bounds: the energy does not increase."""
    for color in (2, 1, 0) if is_backward else (0, 1, 2):
        arguments = (u, lower, upper, grids.regular, grids.odds, color, is_backward)
        run_class(sweeps.projected_sweep, u.shape, color, *arguments)


def pool(fine: Any, out: Any) -> None:
    """Mean of the finite ones of each 2 × 2 pixels; an infinity where none is finite."""
    bounds.pool(fine, out)


def upsample(coarse: Any, out: Any) -> None:
    """Cubic interpolation to twice the rows and columns, or one less; affine functions stay affine."""
    bounds.upsample(coarse, out)
