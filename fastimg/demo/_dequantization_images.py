"""Images whose values are known, and what is made of their first bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.dequantization import dequantize, distance_interpolation, textured_regions

__all__ = [
    "METHODS",
    "RELAXED",
    "TENSION_LENGTH",
    "Example",
    "function_example",
    "score",
    "sky_example",
    "surface",
]

#: Pixels beyond which the blend acts as a membrane
TENSION_LENGTH = 4.4

#: Part of a bin by which a photograph's noise may leave it
RELAXED = 0.1

# Rows and columns of the photograph "rocket": dusk, cut in three by the rocket and the masts beside it
_SKY = (slice(64, 256), slice(182, 470))

# Pixels by which the foreground is grown, for the blur around it
_GROWN = 6


@dataclass(frozen=True)
class Example:
    """An image of 8 bits, and its first bits.

    Attributes
    ----------
    name : str
    truth : ndarray of uint8, (C, H, W)
        Colours, or one plane.
    bits : int
    left : ndarray of bool, (H, W)
        Foreground, which is left as it is.
    """

    name: str
    truth: NDArray[np.uint8]
    bits: int
    left: NDArray[np.bool_]

    @property
    def step(self) -> int:
        """Distance of two levels, in levels of 8 bits."""
        return 2 ** (8 - self.bits)

    @property
    def codes(self) -> NDArray[np.uint8]:
        """The first bits."""
        return self.truth // np.uint8(self.step)

    def values(self, levels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Levels as values of 8 bits, which the truth's are rounded down to; mid-bin in the foreground."""
        lowest = self.step * self.codes.astype(np.float64)
        values = np.clip(self.step * levels.astype(np.float64) - 0.5, lowest, lowest + self.step - 1)
        return np.where(self.left, lowest + (self.step - 1) / 2, values)


def _solved(**settings: Any) -> Callable[[Example], NDArray[np.float64]]:
    def solve(example: Example) -> NDArray[np.float64]:
        mask = example.left if example.left.any() else None
        return example.values(dequantize(example.codes, bits=example.bits, mask=mask, **settings))

    return solve


#: From an example to values of 8 bits, (C, H, W)
METHODS: dict[str, Callable[[Example], NDArray[np.float64]]] = {
    "zero padding": lambda example: example.step * example.codes.astype(np.float64),
    "middle of the bins": lambda example: example.values(example.codes + 0.5),
    "distance interpolation": lambda example: example.values(
        distance_interpolation(example.codes, bits=example.bits)
    ),
    "membrane": _solved(model="membrane"),
    "blend": _solved(model="blend", tension_length=TENSION_LENGTH),
    "plate": _solved(model="plate"),
    "plate, relaxed": _solved(model="plate", relax=RELAXED),
}


def sky_example(bits: int, size: int | None = None) -> Example:
    """Quantize a photograph of a sky; the foreground is found in the codes.

    Parameters
    ----------
    bits : int
    size : int, optional
        Rows and columns; at most; by default 192 and 288.
    """
    import skimage.data

    photograph = skimage.data.rocket()[_SKY][:size, :size]
    truth = np.ascontiguousarray(np.moveaxis(photograph, -1, 0))
    left = textured_regions(truth >> (8 - bits), dilation=_GROWN).any(axis=0)
    return Example("sky", truth, bits, left)


def surface(name: str, size: int) -> NDArray[np.float64]:
    """Return a test function of the paper at ``size`` × ``size`` points, with a maximum of 1.

    "Gaussian" is exp(-2 (x² + y²)) on [-1, 1]², "Rosenbrock" is 100 (y - x²)² + (1 - x)² on x from -1.5 to
    1.5 and y from -1 to 3. The paper leaves width and ranges open; these are the ones of its Table 1.
    """
    if name == "Gaussian":
        y, x = np.meshgrid(*[np.linspace(-1, 1, size)] * 2, indexing="ij")
        values = np.exp(-2 * (x**2 + y**2))
    else:
        y, x = np.meshgrid(np.linspace(-1, 3, size), np.linspace(-1.5, 1.5, size), indexing="ij")
        values = 100 * (y - x**2) ** 2 + (1 - x) ** 2
    return values / values.max()


def function_example(name: str, bits: int, size: int = 64) -> Example:
    """Quantize one of the paper's functions as the paper does: 255 Z / max, rounded down, its first bits.

    Parameters
    ----------
    name : {"Gaussian", "Rosenbrock"}
    bits : int
    size : int, optional
        Rows and columns.
    """
    truth = np.trunc(255 * surface(name, size)).astype(np.uint8)
    return Example(name, truth[None], bits, np.zeros((size, size), bool))


def score(example: Example, values: NDArray[np.float64]) -> tuple[float, float]:
    """PSNR in decibels and SSIM of all that is not foreground, for the range 255."""
    from skimage.metrics import structural_similarity

    seen = np.broadcast_to(~example.left, values.shape)
    truth = example.truth.astype(np.float64)
    error = np.mean((truth - values)[seen] ** 2)
    _, similarity = structural_similarity(truth, values, data_range=255, channel_axis=0, full=True)
    if not example.left.any():
        # the mean of scikit-image's own, which leaves the border out
        similarity = similarity[:, 3:-3, 3:-3]
        seen = seen[:, 3:-3, 3:-3]
    return 10 * float(np.log10(255**2 / error)), float(similarity[seen].mean())
