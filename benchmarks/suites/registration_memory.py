"""Memory that registration of a large batch takes beyond its input.

``measure`` starts a process of its own, where nothing has raised the high-water mark of the resident set
before, and asks it. Linux only: elsewhere the mark cannot be set back after the input has been made.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SIZE = 128


def measure(pairs: int, dtype: str = "float32") -> dict[str, int]:
    """Register a batch in a fresh process and return its bytes of input, of results and beyond the input."""
    command = [sys.executable, "-m", __spec__.name, str(pairs), dtype]
    # where `python -m` finds this module: asv imports it as suites.registration_memory
    folder = Path(__file__).parents[__spec__.name.count(".")]
    finished = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout)


def _high_water_mark() -> int:
    """Largest resident set so far, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def _reset_high_water_mark() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Make the input, load the kernels with a small batch, and print what the large one takes."""
    import numpy as np

    from fastimg.registration import register_stack

    pairs, dtype = int(sys.argv[1]), sys.argv[2]
    images = np.random.default_rng(0).standard_normal((2, pairs, SIZE, SIZE), np.float32).astype(dtype)
    register_stack(images[0, :4], images[1, :4])
    _reset_high_water_mark()
    before = _high_water_mark()
    found = register_stack(images[0], images[1])
    beyond = _high_water_mark() - before
    results = found.shift.nbytes + found.error.nbytes + found.phasediff.nbytes
    print(json.dumps({"input_bytes": images.nbytes, "result_bytes": results, "beyond_input_bytes": beyond}))


if __name__ == "__main__":
    main()
