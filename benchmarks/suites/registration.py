"""asv benchmarks of registration: times, errors against a known shift, and bytes.

From the folder ``benchmarks``: ``asv run`` for the last commit in an environment of its own, or
``asv run --python=same --quick`` for the installed fastimg, each benchmark once.
"""

from __future__ import annotations

import sys
from typing import ClassVar

import numpy as np

import fastimg
from fastimg import kernels, registration

from . import registration_memory
from .common import Benchmark

UPSAMPLE_FACTOR = 100
SIZE = 128
BATCH = 256
XP = ["numpy", "cupy"]
DTYPES = ["float32", "float64", "complex64"]


def image_pairs(xp, pairs, dtype, size=SIZE):
    """Return random images, the same shifted by known amounts, and those amounts, all for ``xp``."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.fft2(rng.standard_normal((pairs, size, size)).astype(dtype))
    # At the Nyquist frequency the shift of a real image is not defined
    spectrum[:, size // 2] = 0
    spectrum[:, :, size // 2] = 0
    shift = rng.uniform(-8, 8, (pairs, 2))
    frequencies = np.fft.fftfreq(size)
    phase = frequencies[:, None] * shift[:, 0, None, None] + frequencies * shift[:, 1, None, None]
    spectra = np.stack([spectrum, spectrum * np.exp(2j * np.pi * phase)])
    both = np.fft.ifft2(spectra) if np.dtype(dtype).kind == "c" else np.fft.ifft2(spectra).real
    images, moving = both.astype(dtype)
    return xp.asarray(images), xp.asarray(moving), xp.asarray(shift)


class RegisterStack(Benchmark):
    """One call of ``register_stack``: a pair, a batch on one thread, a batch on all threads."""

    params: ClassVar[list] = [XP, DTYPES, ["1 pair", f"{BATCH} pairs, 1 thread", f"{BATCH} pairs"]]
    param_names: ClassVar[list[str]] = ["xp", "dtype", "work"]
    unit = "px"  # of the tracked figure

    def prepare(self, dtype, work):
        self.threads = fastimg.get_num_threads()
        if "1 thread" in work:
            fastimg.set_num_threads(1)
        pairs = 1 if work == "1 pair" else BATCH
        self.reference, self.moving, self.shift = image_pairs(self.xp, pairs, dtype)

    def teardown(self, *params):
        if hasattr(self, "threads"):
            fastimg.set_num_threads(self.threads)

    def run(self, dtype, work):
        return registration.register_stack(self.reference, self.moving, upsample_factor=UPSAMPLE_FACTOR)

    def time_register(self, *params):
        self.run(*params[1:])
        self.synchronize()

    def track_largest_error(self, *params):
        found = self.run(*params[1:]).shift
        return float(np.abs(self.to_host(found - self.shift)).max())


class PhaseCrossCorrelation(Benchmark):
    """One pair through the function that scikit-image has too."""

    params: ClassVar[list] = [XP, DTYPES, [128, 256, 200]]
    param_names: ClassVar[list[str]] = ["xp", "dtype", "size"]
    unit = "px"

    def prepare(self, dtype, size):
        reference, moving, self.shift = image_pairs(self.xp, 1, dtype, size)
        self.reference, self.moving = reference[0], moving[0]

    def run(self, dtype, size):
        return registration.phase_cross_correlation(
            self.reference, self.moving, upsample_factor=UPSAMPLE_FACTOR
        )

    def time_register(self, *params):
        self.run(*params[1:])
        self.synchronize()

    def track_largest_error(self, *params):
        found = self.run(*params[1:])[0]
        return float(np.abs(self.to_host(found - self.shift[0])).max())


class Parts(Benchmark):
    """What registration is made of: each on a batch of images."""

    params: ClassVar[list] = [XP, ["complex64", "complex128"], ["fft2", "upsampled_dft", "apply_shift"]]
    param_names: ClassVar[list[str]] = ["xp", "dtype", "part"]

    def prepare(self, dtype, part):
        self.images, _, self.shift = image_pairs(self.xp, BATCH, dtype)
        self.fft = kernels.backend(self.xp).fft

    def run(self, dtype, part):
        if part == "fft2":
            return self.fft.fft2(self.images)
        if part == "apply_shift":
            return registration.apply_shift(self.images, self.shift)
        return registration.upsampled_dft(self.images, (15, 15), 10)

    def time_part(self, *params):
        self.run(*params[1:])
        self.synchronize()


class Memory:
    """Bytes that a batch takes beyond its input, at most, as the operating system counts them."""

    params: ClassVar[list] = [2000]
    param_names: ClassVar[list[str]] = ["pairs"]
    unit = "bytes"
    timeout = 300

    def setup(self, pairs):
        if sys.platform != "linux":
            raise NotImplementedError("the high-water mark is read from Linux")

    def track_bytes_beyond_input(self, pairs):
        """Run in a process of its own, so that no earlier benchmark has raised the mark."""
        return registration_memory.measure(pairs)["beyond_input_bytes"]
