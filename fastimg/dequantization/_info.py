"""What a de-quantization tells about itself: while it runs, and at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["DequantizationInfo", "IterationState"]


@dataclass(frozen=True)
class IterationState:
    """What a callback is given after each Newton step inside the envelope.

    The steps before, in which springs hold the surface near its envelope, are not reported.

    Attributes
    ----------
    cycles : int
        V-cycles on the finest grid so far, for this image.
    energy : float
        Bending energy, in squared units of the result.
    kkt : float
        RMS of the projected gradient, in units of the result.
    index : tuple of int
        Which image of the batch: leading axes, then the channel; () for a single one.
    """

    cycles: int
    energy: float
    kkt: float
    index: tuple[int, ...] = ()


@dataclass(frozen=True)
class DequantizationInfo:
    """How a de-quantization ended.

    For a single image these are numbers; for batches and channels NumPy arrays of the leading axes, batches
    before channels.

    Attributes
    ----------
    energy : float or array
        Half the sum that is minimised, in squared units of the result.
    kkt : float or array
        RMS of the projected gradient, in units of the result; 0 at the exact minimum.
    cycles : int or array
        V-cycles on the finest grid, those of all anomaly passes together.
    converged : bool or array
        Whether ``tol`` was reached.
    removed : bool array, shape of the image
        Pixels whose bounds were dropped as anomalies.
    """

    energy: Any
    kkt: Any
    cycles: Any
    converged: Any
    removed: Any = field(repr=False)
