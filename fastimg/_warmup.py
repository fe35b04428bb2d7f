"""Compiling kernels ahead of their first use, so that no later call waits for the compiler.

``STEPS`` maps each system to a function that lists what to run: a label and a callable for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np

__all__ = ["STEPS", "Step", "steps"]

SIZES = (64, 128, 256, 512)
NORMALIZATIONS: tuple[Literal["phase"] | None, ...] = ("phase", None)
DTYPES = ("float32", "float64", "complex64", "complex128")

FRAME_SIZES = (64, 128, 256)
MODES = (1, 3)

FLOATS = ("float32", "float64")
PRECISIONS: tuple[Literal["float32", "mixed", "float64"], ...] = ("float32", "mixed", "float64")

MODELS: tuple[Literal["plate", "membrane"], ...] = ("plate", "membrane")

# Two images of the largest size: the kernels use several threads from 2**16 points and two pairs on
_BATCH_POINTS = 2 * max(SIZES) ** 2

# Positions at a time: so many that frames of the smallest size are shared among threads too
_BATCH = 16


class Step(NamedTuple):
    """One thing to run: what it is, and how to run it."""

    label: str
    run: Callable[[], None]


def steps(systems: tuple[str, ...] = ()) -> list[Step]:
    """List the steps of the named systems, or of all of them.

    Examples
    --------
    >>> steps(("registration",))[0].label
    'registration 64² float32'
    """
    return [step for name in systems or STEPS for step in STEPS[name]()]


def _registration() -> Iterator[Step]:
    for size, dtype in product(SIZES, DTYPES):
        yield Step(f"registration {size}² {dtype}", partial(_register, size, dtype))


def _register(size: int, dtype: str) -> None:
    from fastimg import registration

    # A single pair takes the kernels for one thread, a batch those for several
    images = np.random.default_rng(0).random((2, _BATCH_POINTS // size**2, size, size)).astype(dtype)
    for reference, moving in ((images[0, 0], images[1, 0]), images):
        for normalization in NORMALIZATIONS:
            found = registration.register_stack(reference, moving, normalization=normalization)
        registration.apply_shift(moving, found.shift)
    registration.upsampled_dft(np.fft.fft2(moving[0]).astype(np.result_type(dtype, np.complex64)), 15, 10)


def _ptychography() -> Iterator[Step]:
    for size, modes, subpixel in product(FRAME_SIZES, MODES, (False, True)):
        kind = "sub-pixel, refinement" if subpixel else "whole pixels"
        yield Step(
            f"ptychography {size}² {modes} modes, {kind}", partial(_reconstruct, size, modes, subpixel)
        )


def _reconstruct(size: int, modes: int, subpixel: bool) -> None:
    from fastimg import ptychography

    # The second batch has one position: the serial versions of the kernels, where they have any
    positions = ptychography.raster_positions((1, _BATCH + 1), 1.5)
    probe = ptychography.probe_modes(ptychography.gaussian_probe(size, size / 4), modes)
    wide = int(positions.max()) + size + 1
    scan = ptychography.simulate(np.ones((wide, wide), np.complex64), probe, positions, photons=1e6, rng=0)
    refinements = [
        ptychography.PositionRefinement("adam", "object", start=0),
        ptychography.PositionRefinement("fixed", "gradient", start=0),
    ]
    for refinement in refinements if subpixel else [None]:
        ptychography.reconstruct(
            scan, modes=modes, iterations=1, batch_size=_BATCH, probe_start=0, subpixel=subpixel,
            position_refinement=refinement,
        )  # fmt: skip


def _dequantization() -> Iterator[Step]:
    for size, model in product(SIZES, MODELS):
        yield Step(f"dequantization {size}² {model}", partial(_dequantize, size, model))


def _dequantize(size: int, model: Literal["plate", "membrane"]) -> None:
    from fastimg import dequantization

    codes = (16 * np.hypot(*np.mgrid[-0.7 : 0.7 : size * 1j, -0.7 : 0.7 : size * 1j])).astype(np.uint8)
    hole = np.zeros(codes.shape, bool)
    hole[size // 4 : size // 2, size // 4 : size // 2] = True
    masks: tuple[dict[str, Any], ...] = (
        {}, {"mask": hole, "mask_mode": "cut"}, {"mask": hole, "boundary": "even"},
    )  # fmt: skip
    for settings in masks:
        dequantization.dequantize(codes, bits=4, model=model, tol=0.1, **settings)


def _transport() -> Iterator[Step]:
    for dtype in FLOATS:
        yield Step(f"transport {dtype}", partial(_transport_images, dtype))


def _transport_images(dtype: str) -> None:
    from fastimg import transport

    images = np.random.default_rng(0).random((2, 32, 40)).astype(dtype) + np.float32(0.5)
    images /= images.sum((1, 2), keepdims=True)
    for debiased in (False, True):
        transport.barycenter(
            images, sigma=(2.0, 3.0), iterations=2, tol=2.0 if debiased else None, debiased=debiased
        )
    transport.barycenter(images, sigma=(2.0, 3.0), iterations=1, stabilize="log")
    transport.transport_distance(*images, sigma=(2.0, 3.0), gradient=True)
    transport.gaussian_convolve(images[0], 2.0)


def _fusion() -> Iterator[Step]:
    for precision in PRECISIONS:
        yield Step(f"fusion {precision}", partial(_fuse, precision))


def _fuse(precision: Literal["float32", "mixed", "float64"]) -> None:
    from fastimg import fusion

    cube = np.random.default_rng(0).random((16, 16, 12)).astype(np.float32) + 1
    response = np.repeat(np.eye(3), 4, axis=1) / 4
    images = fusion.simulate_pair(cube, response, ratio=4)
    fusion.hmwb(
        *images, spectral_response=response, ratio=4, iterations=2, denoise=False, precision=precision
    )


STEPS: dict[str, Callable[[], Iterator[Step]]] = {
    "registration": _registration,
    "ptychography": _ptychography,
    "dequantization": _dequantization,
    "transport": _transport,
    "fusion": _fusion,
}
