"""Memory that a reconstruction takes beyond its scan.

``measure`` starts a process of its own, where nothing has raised the high-water mark of the resident set
before, and asks it. Linux only: elsewhere the mark cannot be set back after the scan has been made.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .registration_memory import _high_water_mark, _reset_high_water_mark

SIZE, STEP, BATCH = 128, 8, 8


def measure(positions: int, modes: int = 1, *, refine: bool = False, subpixel: bool = True) -> dict[str, int]:
    """Reconstruct in a fresh process and return bytes: of the scan, an object, a batch, and beyond the scan.

    ``beyond_scan_bytes`` is from the system's high-water mark, ``arrays_bytes`` from tracemalloc, which sees
    NumPy's arrays and no others.
    """
    command = [
        sys.executable,
        "-m",
        __spec__.name,
        str(positions),
        str(modes),
        str(int(refine)),
        str(int(subpixel)),
    ]
    # where `python -m` finds this module: asv imports it as suites.ptychography_memory
    folder = Path(__file__).parents[__spec__.name.count(".")]
    finished = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout)


def main() -> None:
    """Make the scan, load the kernels with a part of it, and print what the whole takes."""
    import tracemalloc

    import numpy as np

    from fastimg.ptychography import PositionRefinement, Scan, gaussian_probe, raster_positions, reconstruct

    count, modes, refine, subpixel = (int(argument) for argument in sys.argv[1:])
    across = int(np.ceil(np.sqrt(count)))
    places = raster_positions((across, across), STEP, jitter=2, rng=0)[:count]
    # what is measured does not matter to the memory
    frames = np.random.default_rng(0).random((count, SIZE, SIZE), np.float32)
    scan = Scan(frames, places, probe=gaussian_probe(SIZE, 40, photons=float(frames[0].sum())))
    # of the signals the one with the most arrays
    refinement = PositionRefinement("fixed", "object", start=0) if refine else None

    def run(part: Scan) -> object:
        return reconstruct(
            part,
            modes=modes,
            iterations=2,
            batch_size=BATCH,
            position_refinement=refinement,
            subpixel=bool(subpixel),
        ).object

    run(scan[: 2 * BATCH])
    _reset_high_water_mark()
    before = _high_water_mark()
    found = run(scan)
    beyond = _high_water_mark() - before
    tracemalloc.start()
    run(scan)
    arrays = tracemalloc.get_traced_memory()[1]
    batch = BATCH * modes * SIZE * SIZE * found.itemsize  # type: ignore[attr-defined]
    taken = {
        "scan_bytes": frames.nbytes,
        "object_bytes": found.nbytes,  # type: ignore[attr-defined]
        "batch_bytes": batch,
        "beyond_scan_bytes": beyond,
        "arrays_bytes": arrays,
    }
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
