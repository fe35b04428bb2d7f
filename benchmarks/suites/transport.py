"""asv benchmarks of transport: kernels by size and dtype, barycenters, distances, convolutions, and bytes.

From the folder ``benchmarks``: ``asv run --bench transport`` for the last commit in an environment of its
own, or with ``--python=same --quick`` for the installed fastimg, each benchmark once.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastimg import kernels
from fastimg.transport import (
    barycenter,
    convolutional_barycenter2d,
    convolutional_barycenter2d_debiased,
    gaussian_convolve,
    transport_distance,
)

from .common import Benchmark

XP = ["numpy", "cupy"]
DTYPES = ["float32", "float64"]
# The regularisation of POT's examples, with which the widths are (n - 1) √(REG / 2)
REG = 0.004
WIDTH = math.sqrt(REG / 2)
KERNELS = ["convolve_axis", "turn_axis", "mean_axis", "balance", "log_convolve_axis"]


def positive_images(xp, shape, dtype):
    """Return images of mass 1 on a grid, positive and mostly dark, for ``xp``."""
    images = np.random.default_rng(0).random(shape) ** 8 + 1e-6
    images /= images.sum(axis=tuple(range(1, images.ndim)), keepdims=True)
    return xp.asarray(images.astype(dtype))


class TransportKernels(Benchmark):
    """One call of each kernel on two images, along either axis."""

    params: ClassVar[list] = [XP, DTYPES, [256, 512], KERNELS, [0, 1]]
    param_names: ClassVar[list[str]] = ["xp", "dtype", "size", "kernel", "axis"]

    def prepare(self, dtype, size, kernel, axis):
        if kernel == "balance" and axis:
            raise NotImplementedError("balance has no axis")
        if kernel == "log_convolve_axis" and size > 256:
            raise NotImplementedError("logarithms are for small images")
        self.images = positive_images(self.xp, (2, size, size), dtype)
        self.values = self.xp.ones_like(self.images)
        self.out, self.grid = self.xp.empty_like(self.images), self.xp.empty_like(self.images[0])
        self.error, self.ranges = self.xp.empty(1), self.xp.empty((2, 2))
        self.call = getattr(kernels.backend(self.xp).sinkhorn, kernel)

    def run(self, dtype, size, kernel, axis):
        sigmas = [size * WIDTH] * 2
        if kernel == "balance":
            return self.call(self.values, self.images, self.images)
        if kernel == "log_convolve_axis":
            return self.call(self.values, axis, sigmas, self.out)
        self.values[...] = 1  # the others work in place, and repeated calls would overflow
        if kernel == "convolve_axis":
            return self.call(self.values, axis, sigmas, math.inf, self.images, self.out)
        if kernel == "turn_axis":
            return self.call(self.values, self.images, axis, sigmas, math.inf, self.out)
        previous, half = self.images, [0.5, 0.5]
        return self.call(
            self.values, axis, sigmas, math.inf, half, 0.0, None, previous, self.grid, self.out,
            self.error, self.ranges,
        )  # fmt: skip

    def time_kernel(self, *params):
        self.run(*params[1:])
        self.synchronize()


class PotBarycenter(Benchmark):
    """Ten iterations of the functions that POT has too."""

    params: ClassVar[list] = [XP, DTYPES, [(256, 256), (512, 512), (250, 311)], ["plain", "debiased"]]
    param_names: ClassVar[list[str]] = ["xp", "dtype", "shape", "kind"]

    def prepare(self, dtype, shape, kind):
        self.images = positive_images(self.xp, (2, *shape), dtype)
        debiased = kind == "debiased"
        self.call: Any = convolutional_barycenter2d_debiased if debiased else convolutional_barycenter2d

    def run(self, dtype, shape, kind):
        return self.call(self.images, REG, numItermax=10, stopThr=0.0, warn=False)

    def time_ten_iterations(self, *params):
        self.run(*params[1:])
        self.synchronize()


class Barycenter(Benchmark):
    """Ten iterations on lines, images and volumes, on the scalings and on their logarithms."""

    params: ClassVar[list] = [XP, [(512,), (128, 128), (32, 32, 32)], ["auto", "log"]]
    param_names: ClassVar[list[str]] = ["xp", "grid", "stabilize"]

    def prepare(self, grid, stabilize):
        self.measures = positive_images(self.xp, (2, *grid), "float64")

    def run(self, grid, stabilize):
        return barycenter(self.measures, sigma=4.0, iterations=10, stabilize=stabilize)

    def time_ten_iterations(self, *params):
        self.run(*params[1:])
        self.synchronize()

    def peakmem_ten_iterations(self, *params):
        self.run(*params[1:])


class BarycenterConvergence(Benchmark):
    """Iterations until the marginals of two images agree to a millionth."""

    params: ClassVar[list] = [XP, [4, 8], ["plain", "debiased"]]
    param_names: ClassVar[list[str]] = ["xp", "sigma", "kind"]
    unit = "iterations"

    def prepare(self, sigma, kind):
        self.measures = positive_images(self.xp, (2, 64, 64), "float64")

    def run(self, sigma, kind):
        return barycenter(
            self.measures, sigma=sigma, debiased=kind == "debiased", iterations=1000, tol=1e-6,
            return_info=True,
        )  # fmt: skip

    def track_iterations(self, *params):
        return int(self.run(*params[1:])[1].iterations)


class TransportDistance(Benchmark):
    """One distance with its gradient, of one pair and of sixteen."""

    params: ClassVar[list] = [XP, [1, 16], ["uniform", "product", "debiased"]]
    param_names: ClassVar[list[str]] = ["xp", "pairs", "kind"]
    unit = "iterations"

    def prepare(self, pairs, kind):
        images = positive_images(self.xp, (2 * pairs, 64, 64), "float64")
        self.first, self.second = images[:pairs], images[pairs:]
        self.options = {"debiased": True} if kind == "debiased" else {"reference": kind}

    def run(self, pairs, kind):
        return transport_distance(
            self.first,
            self.second,
            sigma=(3.0, 3.0),
            tol=1e-6,
            gradient=True,
            return_info=True,
            **self.options,
        )

    def time_distance(self, *params):
        self.run(*params[1:])
        self.synchronize()

    def track_iterations(self, *params):
        return int(np.max(self.run(*params[1:])[2].iterations))


class GaussianConvolve(Benchmark):
    """One convolution of one image, with all pairs of pixels or cut at four widths."""

    params: ClassVar[list] = [XP, DTYPES, [512, 1024], [2, 10, 40], [None, 4]]
    param_names: ClassVar[list[str]] = ["xp", "dtype", "size", "sigma", "truncate"]

    def prepare(self, dtype, size, sigma, truncate):
        self.image = self.xp.asarray(np.random.default_rng(0).random((size, size)).astype(dtype))

    def run(self, dtype, size, sigma, truncate):
        return gaussian_convolve(self.image, sigma, truncate=truncate)

    def time_convolve(self, *params):
        self.run(*params[1:])
        self.synchronize()
