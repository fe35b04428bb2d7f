"""asv benchmarks of fusion: its kernels by precision, every way to fuse, and bytes.

From the folder ``benchmarks``: ``asv run --bench fusion`` for the last commit in an environment of its own,
or with ``--python=same --quick`` for the installed fastimg, each benchmark once.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np

import fastimg
from fastimg import fusion, kernels
from fastimg.kernels._sinkhorn_layout import padded_bands

from . import fusion_memory
from .common import Benchmark

XP = ["numpy", "cupy"]
SHAPE, RATIO, ITERATIONS = (128, 128, 93), 4, 10
PRECISIONS = {
    "float32": ("float32", "float32"),
    "mixed": ("float64", "float32"),
    "float64": ("float64", "float64"),
}
# Standard deviations at the paper's parameters, and how far the kernels reach, in bands and in pixels
WIDTH_M, WIDTHS_H, RADIUS_M, RADII_H = 2.06, (0.9, 0.9), 53, (10, 10)
WAYS: dict[str, Any] = {
    "gsa": lambda h, m, response: fusion.gsa(h, m, ratio=RATIO),
    "cnmf": lambda h, m, response: fusion.cnmf(h, m, spectral_response=response, ratio=RATIO),
    "arithmetic mean": lambda h, m, response: fusion.arithmetic_mean(
        h, m, spectral_response=response, ratio=RATIO, denoise=False
    ),
    "geometric mean": lambda h, m, response: fusion.geometric_mean(
        h, m, spectral_response=response, ratio=RATIO, denoise=False
    ),
}


def random_pair(xp, dtype, shape=SHAPE):
    """Return images and the response of a random cube, the images for ``xp``."""
    cube = np.random.default_rng(0).random(shape) + 0.5
    response = fusion_memory.boxes(shape[2])
    h, m = fusion.simulate_pair(cube, response, ratio=RATIO, snr_h=30, snr_m=40, rng=0)
    return xp.asarray(h.astype(dtype)), xp.asarray(m.astype(dtype)), response


class FusionKernels(Benchmark):
    """One call of each of the two kernels of an iteration."""

    params: ClassVar[list] = [XP, list(PRECISIONS), ["scale_planes", "fuse_spectra"]]
    param_names: ClassVar[list[str]] = ["xp", "precision", "kernel"]

    def prepare(self, precision, kernel):
        xp, (dtype_m, dtype_h) = self.xp, PRECISIONS[precision]
        shape = (*SHAPE[:2], padded_bands(SHAPE[2]))
        measures = np.random.default_rng(0).random((2, *shape)) + 0.5
        self.measure_m, self.measure_h = xp.asarray(measures[0], dtype_m), xp.asarray(measures[1], dtype_h)
        self.u_m, self.u_h = xp.ones_like(self.measure_m), xp.ones_like(self.measure_h)
        self.v_h, self.fused = xp.ones_like(self.measure_h), xp.empty_like(self.measure_h)
        self.gauge, self.extremes = xp.ones(shape[2], dtype_h), xp.empty((2, shape[2]), dtype_h)
        self.span = xp.empty(1)
        self.family = kernels.backend(xp).sinkhorn

    def run(self, precision, kernel):
        if kernel == "scale_planes":
            self.family.scale_planes(self.u_h, self.measure_h, WIDTHS_H, RADII_H, self.v_h)
            return
        # the scalings stay near 1 with λ of one half, however often it is called
        self.family.fuse_spectra(
            self.u_m, self.measure_m, WIDTH_M, RADIUS_M, self.u_h, self.v_h, WIDTHS_H, RADII_H, 0.5,
            self.gauge, SHAPE[2], self.fused, self.extremes, self.span,
        )  # fmt: skip

    def time_kernel(self, *params):
        self.run(*params[1:])
        self.synchronize()


class Hmwb(Benchmark):
    """Ten iterations, images to fused cube, on one thread and on all; and a whole call with its defaults."""

    params: ClassVar[list] = [XP, list(PRECISIONS), ["1 thread", "all threads"]]
    param_names: ClassVar[list[str]] = ["xp", "precision", "threads"]

    def prepare(self, precision, threads):
        self.threads = fastimg.get_num_threads()
        if threads == "1 thread":
            if self.xp.__name__ == "cupy":
                raise NotImplementedError("threads are of the CPU")
            fastimg.set_num_threads(1)
        dtype = "float64" if precision == "float64" else "float32"
        self.h, self.m, self.response = random_pair(self.xp, dtype)

    def teardown(self, *params):
        if hasattr(self, "threads"):
            fastimg.set_num_threads(self.threads)

    def run(self, precision, threads):
        return fusion.hmwb(
            self.h, self.m, spectral_response=self.response, ratio=RATIO, denoise=False,
            iterations=ITERATIONS, precision=precision,
        )  # fmt: skip

    def time_ten_iterations(self, *params):
        self.run(*params[1:])
        self.synchronize()

    def peakmem_ten_iterations(self, *params):
        self.run(*params[1:])


class HmwbDefaults(Benchmark):
    """One call with its defaults, noise removed, and the range that its scalings reach."""

    params: ClassVar[list] = [XP, ["pinv", "regression"]]
    param_names: ClassVar[list[str]] = ["xp", "inverse"]
    unit = "log-range"  # of the tracked figure

    def prepare(self, inverse):
        self.h, self.m, self.response = random_pair(self.xp, "float32")

    def run(self, inverse):
        return fusion.hmwb(
            self.h, self.m, spectral_response=self.response, ratio=RATIO, spectral_inverse=inverse,
            return_info=True,
        )  # fmt: skip

    def time_hmwb(self, *params):
        self.run(*params[1:])
        self.synchronize()

    def track_log_range(self, *params):
        info = self.run(*params[1:])[1]
        return float(max(info.range_m, info.range_h))


class OtherWays(Benchmark):
    """One call of each other way to fuse the same images."""

    params: ClassVar[list] = [XP, list(WAYS)]
    param_names: ClassVar[list[str]] = ["xp", "way"]

    def prepare(self, way):
        self.pair = random_pair(self.xp, "float32")

    def run(self, way):
        return WAYS[way](*self.pair)

    def time_fuse(self, *params):
        self.run(*params[1:])
        self.synchronize()


class FusionMemory:
    """Bytes that ``hmwb`` takes beyond its images, at most."""

    params: ClassVar[list] = [list(PRECISIONS)]
    param_names: ClassVar[list[str]] = ["precision"]
    unit = "bytes"
    timeout = 300

    def setup(self, precision):
        if sys.platform != "linux":
            raise NotImplementedError("the high-water mark is read from Linux")

    def track_bytes_beyond_images(self, precision):
        """Run in a process of its own, so that no earlier benchmark has raised the mark."""
        return fusion_memory.measure(SHAPE, precision)["beyond_bytes"]

    def track_bytes_of_arrays(self, precision):
        return fusion_memory.measure(SHAPE, precision)["arrays_bytes"]
