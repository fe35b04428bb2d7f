"""Memory that the fusion of a cube takes beyond its two images.

``measure`` starts a process of its own, where nothing has raised the high-water mark of the resident set
before, and asks it. Linux only: elsewhere the mark cannot be set back after the images have been made.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .registration_memory import _high_water_mark, _reset_high_water_mark

RATIO, ITERATIONS = 4, 4


def measure(shape: tuple[int, int, int], precision: str) -> dict[str, int]:
    """Fuse in a fresh process and return bytes: of the fused cube, and beyond the images, with the result.

    ``beyond_bytes`` is from the system's high-water mark, ``arrays_bytes`` from tracemalloc, which sees
    NumPy's arrays and no others.
    """
    command = [sys.executable, "-m", __spec__.name, precision, *map(str, shape)]
    # where `python -m` finds this module: asv imports it as suites.fusion_memory
    folder = Path(__file__).parents[__spec__.name.count(".")]
    finished = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout)


def boxes(bands: int) -> Any:
    """Return a response (4, bands): the means of four runs of bands."""
    return np.array(
        [np.isin(np.arange(bands), run) / len(run) for run in np.array_split(np.arange(bands), 4)]
    )


def main() -> None:
    """Make the images, load the kernels with a part of them, and print what the whole takes."""
    import tracemalloc

    from fastimg.fusion import hmwb

    precision, (rows, cols, bands) = sys.argv[1], map(int, sys.argv[2:])
    dtype = np.float64 if precision == "float64" else np.float32
    rng = np.random.default_rng(0)
    # what the images show does not matter to the memory
    h = rng.random((rows // RATIO, cols // RATIO, bands)).astype(dtype) + 1
    m = rng.random((rows, cols, 4)).astype(dtype) + 1

    def run(side: int) -> Any:
        return hmwb(
            h[: side // RATIO, : side // RATIO],
            m[:side, :side],
            spectral_response=boxes(bands),
            ratio=RATIO,
            iterations=ITERATIONS,
            precision=precision,  # type: ignore[arg-type]
        )

    run(4 * RATIO)
    _reset_high_water_mark()
    before = _high_water_mark()
    cube_bytes = run(max(rows, cols)).nbytes
    beyond = _high_water_mark() - before
    tracemalloc.start()
    run(max(rows, cols))
    arrays = tracemalloc.get_traced_memory()[1]
    print(json.dumps({"cube_bytes": cube_bytes, "beyond_bytes": beyond, "arrays_bytes": arrays}))


if __name__ == "__main__":
    main()
