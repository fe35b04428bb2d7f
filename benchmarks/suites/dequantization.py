"""asv benchmarks of de-quantization: times and cycles by size, bits and model, of inpainting, and bytes.

From the folder ``benchmarks``: ``asv run --bench dequantization`` for the last commit in an environment of
its own, or with ``--python=same --quick`` for the installed fastimg, each benchmark once.
"""

from __future__ import annotations

import sys
from typing import ClassVar

import numpy as np

from fastimg.dequantization import dequantize, distance_interpolation, inpaint_biharmonic

from . import dequantization_memory
from .common import Benchmark

XP = ["numpy", "cupy"]
MODELS = {"plate": {}, "membrane": {"model": "membrane"}, "blend": {"model": "blend", "tension_length": 4.4}}


def smooth_codes(xp, size, bits, batch=()):
    """Return codes of a Gaussian whose values fill all bins, for ``xp``."""
    y, x = np.meshgrid(*[np.linspace(-1, 1, size)] * 2, indexing="ij", sparse=True)
    codes = np.floor(np.exp(-2 * (x**2 + y**2)) * (2**bits - 1e-9)).astype(np.uint16)
    return xp.asarray(np.broadcast_to(codes, (*batch, size, size)).copy())


class Dequantization(Benchmark):
    """One call of ``dequantize`` on one image."""

    params: ClassVar[list] = [XP, [64, 256, 1024], [2, 5], list(MODELS)]
    param_names: ClassVar[list[str]] = ["xp", "size", "bits", "model"]
    unit = "cycles"  # of the tracked figure

    def prepare(self, size, bits, model):
        self.codes = smooth_codes(self.xp, size, bits)

    def run(self, size, bits, model):
        return dequantize(self.codes, bits=bits, return_info=True, **MODELS[model])

    def time_dequantize(self, *params):
        self.run(*params[1:])
        self.synchronize()

    def track_cycles(self, *params):
        return int(self.run(*params[1:])[1].cycles)


class DequantizationBatch(Benchmark):
    """One call on several small images, and on the next frame of a video."""

    params: ClassVar[list] = [XP, ["16 images of 64²", "next frame of 256²"]]
    param_names: ClassVar[list[str]] = ["xp", "work"]

    def prepare(self, work):
        if work.startswith("16"):
            self.codes, self.initial = smooth_codes(self.xp, 64, 3, (16,)), None
        else:
            self.codes = smooth_codes(self.xp, 256, 3)
            before = self.xp.roll(self.codes, 1, axis=1)
            self.initial = dequantize(before, bits=3)

    def run(self, work):
        return dequantize(self.codes, bits=3, initial=self.initial)

    def time_dequantize(self, *params):
        self.run(*params[1:])
        self.synchronize()


class DistanceInterpolation:
    """The fast mode, by size and bits."""

    params: ClassVar[list] = [[256, 1024], [2, 5]]
    param_names: ClassVar[list[str]] = ["size", "bits"]

    def setup(self, size, bits):
        self.codes = smooth_codes(np, size, bits)
        distance_interpolation(self.codes, bits=bits)

    def time_interpolate(self, size, bits):
        distance_interpolation(self.codes, bits=bits)


class InpaintBiharmonic(Benchmark):
    """One call that fills a tenth of an image, by the kind of its holes."""

    params: ClassVar[list] = [XP, [256, 512], ["random pixels", "one hole"]]
    param_names: ClassVar[list[str]] = ["xp", "size", "mask"]

    def prepare(self, size, mask):
        rng = np.random.default_rng(0)
        hole = rng.random((size, size)) < 0.1
        if mask == "one hole":
            side = round(size * 0.1**0.5)
            hole = np.zeros((size, size), bool)
            hole[size // 3 : size // 3 + side, size // 3 : size // 3 + side] = True
        y, x = np.meshgrid(*[np.linspace(0, 9, size)] * 2, indexing="ij", sparse=True)
        self.image, self.mask = self.xp.asarray(np.sin(x) * np.cos(y)), self.xp.asarray(hole)

    def run(self, size, mask):
        return inpaint_biharmonic(self.image, self.mask)

    def time_inpaint(self, *params):
        self.run(*params[1:])
        self.synchronize()


class DequantizationMemory:
    """Bytes that a call takes beyond its image and result, at most."""

    params: ClassVar[list] = [[1024], [3, dequantization_memory.INPAINTING]]
    param_names: ClassVar[list[str]] = ["size", "bits"]
    unit = "bytes"
    timeout = 300

    def setup(self, *params):
        if sys.platform != "linux":
            raise NotImplementedError("the high-water mark is read from Linux")

    def track_bytes_beyond(self, size, bits):
        """Run in a process of its own, so that no earlier benchmark has raised the mark."""
        return dequantization_memory.measure(size, bits)["beyond_bytes"]
