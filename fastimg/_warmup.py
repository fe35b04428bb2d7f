"""Compiling kernels ahead of their first use, so that no later call waits for the compiler.

``STEPS`` maps each system to a function that lists what to run: a label and a callable for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Literal, NamedTuple

import numpy as np

__all__ = ["STEPS", "Step", "steps"]

SIZES = (64, 128, 256, 512)
NORMALIZATIONS: tuple[Literal["phase"] | None, ...] = ("phase", None)
DTYPES = ("float32", "float64", "complex64", "complex128")

# Two images of the largest size: the kernels use several threads from 2**16 points and two pairs on
_BATCH_POINTS = 2 * max(SIZES) ** 2


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


STEPS: dict[str, Callable[[], Iterator[Step]]] = {"registration": _registration}
