"""asv benchmarks of ptychography: time of an iteration by size, modes and options, and bytes.

From the folder ``benchmarks``: ``asv run --bench Ptychography`` for the last commit in an environment of its
own, or with ``--python=same --quick`` for the installed fastimg, each benchmark once.
"""

from __future__ import annotations

import sys
from typing import ClassVar

import numpy as np

import fastimg
from fastimg.ptychography import (
    PositionRefinement,
    Scan,
    gaussian_probe,
    probe_modes,
    raster_positions,
    reconstruct,
)

from . import ptychography_memory
from .common import Benchmark

XP = ["numpy", "cupy"]
POSITIONS, ITERATIONS = 100, 4
WAYS = {
    "whole pixels": {"subpixel": False},
    "sub-pixel": {},
    "refined, object": {"position_refinement": PositionRefinement("fixed", "object", start=0)},
    "refined, gradient": {"position_refinement": PositionRefinement("fixed", "gradient", start=0)},
}


def random_scan(xp, size, modes):
    """Return a scan of random counts for ``xp``: what they are does not matter to the time."""
    rng = np.random.default_rng(0)
    positions = raster_positions((10, 10), size / 8, jitter=size / 32, rng=rng)
    probe = probe_modes(gaussian_probe(size, size / 4, photons=size**2), modes)
    frames = rng.random((POSITIONS, size, size), np.float32)
    return Scan(frames, positions, probe=probe).to(xp)


class PtychographyIterations(Benchmark):
    """Four iterations of M-rPIE on 100 frames, in batches of 8."""

    params: ClassVar[list] = [XP, [64, 128, 256], [1, 4], list(WAYS), ["1 thread", "all threads"]]
    param_names: ClassVar[list[str]] = ["xp", "size", "modes", "way", "threads"]

    def prepare(self, size, modes, way, threads):
        self.threads = fastimg.get_num_threads()
        if threads == "1 thread":
            if self.xp.__name__ == "cupy":
                raise NotImplementedError("threads are of the CPU")
            fastimg.set_num_threads(1)
        self.scan = random_scan(self.xp, size, modes)

    def teardown(self, *params):
        if hasattr(self, "threads"):
            fastimg.set_num_threads(self.threads)

    def run(self, size, modes, way, threads):
        return reconstruct(self.scan, modes=modes, iterations=ITERATIONS, probe_start=0, **WAYS[way])

    def time_iterations(self, *params):
        self.run(*params[1:])
        self.synchronize()


class PtychographyMemory:
    """Bytes that a reconstruction takes beyond its scan, at most."""

    params: ClassVar[list] = [[500], [1, 4], [False, True]]
    param_names: ClassVar[list[str]] = ["positions", "modes", "refined"]
    unit = "bytes"
    timeout = 300

    def setup(self, *params):
        if sys.platform != "linux":
            raise NotImplementedError("the high-water mark is read from Linux")

    def track_bytes_beyond_scan(self, positions, modes, refined):
        """Run in a process of its own, so that no earlier benchmark has raised the mark."""
        return ptychography_memory.measure(positions, modes, refine=refined)["beyond_scan_bytes"]

    def track_bytes_of_arrays(self, positions, modes, refined):
        return ptychography_memory.measure(positions, modes, refine=refined)["arrays_bytes"]
