"""Images of few levels whose originals are known, measures of quality, and peers with an oracle.

References are images of 0…255, quantized to ``bits`` by ``>> (8 - bits)``. What ways are compared by is the
8-bit image that they find: those of fastimg and the peers alike are clipped to the values of 8 bits that
the codes allow.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import color, data
from skimage.metrics import structural_similarity
from skimage.restoration import denoise_tv_chambolle

from fastimg.demo._dequantization_images import surface
from fastimg.dequantization import dequantize

__all__ = [
    "SURFACES",
    "Quality",
    "allowed",
    "bins_of_8_bits",
    "blurred",
    "codes_of",
    "middles",
    "photographs",
    "plate_of_8_bits",
    "quality",
    "reference",
    "total_variation",
    "unit_codes",
    "zero_padded",
]

Image = NDArray[np.float64]

SURFACES = ("gaussian", "rosenbrock")
SSIM_WINDOW = 7
# Where the oracle looks: standard deviations in pixels, weights of the total variation in 8-bit units
SIGMAS = np.geomspace(0.3, 20, 60)
WEIGHTS = np.geomspace(0.5, 1000, 34)


def reference(name: str, size: int) -> Image:
    """Return the 8-bit image of a test function."""
    return np.trunc(255 * surface(name.capitalize(), size))


def unit_codes(name: str, size: int, bits: int) -> NDArray[np.uint16]:
    """Return the codes of a test function whose values fill all bins, without 8 bits in between."""
    return np.floor(surface(name.capitalize(), size) * (2**bits - 1e-9)).astype(np.uint16)


def photographs() -> dict[str, Image]:
    """Return photographs in gray, 0…255: of scikit-image, and one of scikit-learn where that is installed."""
    found = {"camera": data.camera().astype(float), "astronaut": _gray(data.astronaut())}
    if importlib.util.find_spec("sklearn"):
        from sklearn.datasets import load_sample_image

        found["china"] = _gray(load_sample_image("china.jpg"))
    else:
        found["coffee"] = _gray(data.coffee())
    return found


def _gray(image: Any) -> Image:
    return np.trunc(255 * color.rgb2gray(image))


def codes_of(image: Image, bits: int) -> NDArray[np.uint8]:
    """Return the codes of an 8-bit image."""
    return image.astype(np.uint8) >> np.uint8(8 - bits)


def zero_padded(codes: Any, bits: int) -> Image:
    """Return the codes as an 8-bit image whose missing bits are 0."""
    return np.asarray(codes, float) * 2.0 ** (8 - bits)


def bins_of_8_bits(bits: int) -> Image:
    """Return the edges of the bins in 8-bit units, for ``levels``: half a unit below the values."""
    return np.arange(2**bits + 1) * 2.0 ** (8 - bits) - 0.5


def allowed(found: Any, codes: Any, bits: int) -> Image:
    """Return values clipped to what 8 bits the codes allow."""
    lowest = zero_padded(codes, bits)
    return np.clip(found, lowest, lowest + 2 ** (8 - bits) - 1)


def plate_of_8_bits(codes: Any, bits: int, **arguments: Any) -> Image:
    """Return ``dequantize`` in 8-bit units, as it is compared."""
    found = dequantize(codes, levels=bins_of_8_bits(bits), dtype=np.float64, **arguments)
    return allowed(found, codes, bits)


@dataclass(frozen=True)
class Quality:
    """How near an image is to its original: the measures of the paper's Table 1."""

    nrmse: float
    psnr: float
    ssim: float


def quality(original: Image, found: Image) -> Quality:
    """Compare 8-bit images: error relative to the root of the mean square, PSNR for a range of 255, SSIM."""
    error = _error(original, found)
    ssim = structural_similarity(original, found, data_range=255, win_size=SSIM_WINDOW)
    norm = float(np.sqrt(np.mean(original**2)))
    return Quality(error / norm, float(20 * np.log10(255 / error)), float(ssim))


def _error(original: Image, found: Image) -> float:
    return float(np.sqrt(np.mean((original - found) ** 2)))


def blurred(
    original: Image, codes: Any, bits: int, sigmas: Any = SIGMAS, *, clip: bool = True
) -> tuple[Image, float]:
    """Return the best blur of the bins' middles that there is, and its σ: the original chooses."""
    middle = middles(codes, bits)
    ways = {sigma: partial(ndimage.gaussian_filter, middle, sigma, mode="nearest") for sigma in sigmas}
    return _best(original, codes, bits, ways, clip=clip)


def total_variation(
    original: Image, codes: Any, bits: int, weights: Any = WEIGHTS, *, clip: bool = True
) -> tuple[Image, float]:
    """Return the best total-variation denoising of the bins' middles, and its weight: the original chooses.

    The settings are scikit-image's defaults. They end before convergence, which on smooth images is better.
    """
    middle = middles(codes, bits)
    ways = {weight: partial(denoise_tv_chambolle, middle, weight=weight) for weight in weights}
    return _best(original, codes, bits, ways, clip=clip)


def middles(codes: Any, bits: int) -> Image:
    """Return the middle of the values that 8 bits allow."""
    return zero_padded(codes, bits) + (2 ** (8 - bits) - 1) / 2


def _best(
    original: Image, codes: Any, bits: int, ways: dict[float, Callable[[], Image]], *, clip: bool
) -> tuple[Image, float]:
    found = ((allowed(way(), codes, bits) if clip else way(), float(chosen)) for chosen, way in ways.items())
    return min(found, key=lambda pair: _error(original, pair[0]))
