"""The checks that the functions of registration share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from fastimg._arrays import as_kernel_array

REAL = (np.dtype("float32"), np.dtype("float64"))
COMPLEX = (np.dtype("complex64"), np.dtype("complex128"))

# A finiteness test makes a boolean array: it looks at this many values at a time
_BLOCK = 1 << 22


def is_phase(normalization: Any) -> bool:
    """Whether the cross-power spectrum is divided by its modulus."""
    if normalization is None:
        return False
    if not (isinstance(normalization, str) and normalization == "phase"):
        raise ValueError(f"normalization is {normalization!r}; accepted are 'phase' and None")
    return True


def is_fourier(space: Any) -> bool:
    """Whether the inputs are spectra."""
    name = space.lower() if isinstance(space, str) else None
    if name not in ("real", "fourier"):
        raise ValueError(f"space is {space!r}; accepted are 'real' and 'fourier'")
    return name == "fourier"


def as_factor(upsample_factor: Any) -> float:
    """Return the upsampling factor as a float of at least 1."""
    scalar = np.ndim(upsample_factor) == 0 and hasattr(upsample_factor, "item")
    number = upsample_factor.item() if scalar else upsample_factor
    if not isinstance(number, int | float):
        raise TypeError(f"upsample_factor is {upsample_factor!r}; accepted are finite numbers from 1")
    if not (1 <= number < math.inf):
        raise ValueError(f"upsample_factor is {upsample_factor!r}; accepted are finite numbers from 1")
    return float(number)


def as_array(xp: ModuleType, a: Any, accepted: tuple[np.dtype, ...], name: str) -> tuple[Any, np.dtype]:
    """Return an array of ``xp`` and the kernel dtype it is to become, which a batch does part by part."""
    if not isinstance(a, xp.ndarray):
        a = as_kernel_array(xp, a, accepted, name=name)
    if a.ndim == 0:
        raise ValueError(f"{name} is a single number; accepted are arrays")
    return a, as_kernel_array(xp, a[..., :0], accepted, name=name).dtype


def real_of(dtype: np.dtype) -> np.dtype:
    """Return the real dtype of the same precision."""
    return np.empty(0, dtype).real.dtype


def check_finite(xp: ModuleType, array: Any, name: str) -> None:
    """Raise ``ValueError`` if there is a NaN or infinity; on a device, this waits for one reduction.

    Neither can vanish from a sum, so a finite sum settles it; an overflowed one does not.
    """
    if array.dtype.kind not in "fc":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()
    if bool(xp.isfinite(total)):
        return
    if not all(bool(xp.isfinite(block).all()) for block in _blocks(array)):
        raise ValueError(f"{name} contains NaN or infinity; accepted are finite values")


def _blocks(array: Any) -> Iterator[Any]:
    """Cut an array into pieces of at most ``_BLOCK`` values, without copying."""
    if array.size <= _BLOCK:
        yield array
    elif array.ndim == 1:
        yield from (array[start : start + _BLOCK] for start in range(0, array.size, _BLOCK))
    else:
        for item in array:
            yield from _blocks(item)


def check_images(reference: Any, moving: Any, names: tuple[str, str]) -> None:
    """Raise ``ValueError`` unless both are images, or stacks of images, of one non-empty shape."""
    for array, name in zip((reference, moving), names, strict=True):
        if array.ndim < 2 or 0 in array.shape[-2:]:
            raise ValueError(f"{name} has shape {array.shape}; accepted is (..., height, width), not empty")
    if reference.shape[-2:] != moving.shape[-2:]:
        raise ValueError(
            f"{names[0]} and {names[1]} have images of {reference.shape[-2:]} and {moving.shape[-2:]}; "
            "accepted are images of the same shape"
        )
