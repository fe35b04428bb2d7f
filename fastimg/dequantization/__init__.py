"""Bit-depth de-quantization: from an image of few levels to the smooth one behind it.

Inside its quantization bins the signal is a bended plate: of all images that the codes allow, the one with
the least bending energy is found, by a multigrid solver [1]_. The same solver fills holes.

References
----------
.. [1] D. Völgyes, A. C. T. Martinsen, A. Stray-Pedersen, D. Waaler, M. Pedersen, "Image De-Quantization Using
   Plate Bending Model", Algorithms 11, 110 (2018). :doi:`10.3390/a11080110`
"""

from fastimg.dequantization._dequantize import dequantize
from fastimg.dequantization._distance import distance_interpolation
from fastimg.dequantization._info import DequantizationInfo, IterationState
from fastimg.dequantization._inpaint import inpaint_biharmonic
from fastimg.dequantization._texture import textured_regions

__all__ = [
    "DequantizationInfo",
    "IterationState",
    "dequantize",
    "distance_interpolation",
    "inpaint_biharmonic",
    "textured_regions",
]
