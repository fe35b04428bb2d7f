"""Memory that de-quantization and inpainting take beyond their image and result.

``measure`` starts a process of its own, where nothing has raised the high-water mark of the resident set
before, and asks it. Linux only: elsewhere the mark cannot be set back after the image has been made.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .registration_memory import _high_water_mark, _reset_high_water_mark

# Codes are 0 to 2**bits - 1; without bits a tenth of the pixels is filled in, by us or by scikit-image
INPAINTING, PEER = 0, -1


def measure(size: int, bits: int) -> dict[str, Any]:
    """Work on one image in a fresh process and return bytes beyond image and result, seconds and cycles."""
    command = [sys.executable, "-m", __spec__.name, str(size), str(bits)]
    # where `python -m` finds this module: asv imports it as suites.dequantization_memory
    folder = Path(__file__).parents[__spec__.name.count(".")]
    finished = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout)


def main() -> None:
    """Make the image, load the kernels with a small part of it, and print what the whole takes."""
    size, bits = (int(argument) for argument in sys.argv[1:])
    if bits > 0:
        from fastimg.dequantization import dequantize

        image = _levels(size, bits)

        def run(part: Any) -> Any:
            return dequantize(part, bits=bits, return_info=True)
    else:
        image, mask = _with_holes(size)
        inpaint = _inpainting(bits)

        def run(part: Any) -> Any:
            return inpaint(part, mask[: len(part), : len(part)]), None

    run(np.ascontiguousarray(image[:64, :64]))
    _reset_high_water_mark()
    before, start = _high_water_mark(), time.perf_counter()
    found, info = run(image)
    seconds, beyond = time.perf_counter() - start, _high_water_mark() - before
    taken = {
        "image_bytes": image.nbytes,
        "result_bytes": found.nbytes,
        "beyond_bytes": max(beyond - found.nbytes, 0),
        "seconds": seconds,
    }
    if info is not None:
        taken |= {"cycles": int(info.cycles), "kkt": float(info.kkt), "converged": bool(info.converged)}
    print(json.dumps(taken))


def _levels(size: int, bits: int) -> Any:
    """Return codes of a smooth image, uint8 or uint16."""
    y, x = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 2, indexing="ij", sparse=True)
    values = np.exp(-2 * (x**2 + y**2)) + 0.2 * np.sin(7 * x + 5 * y**2)
    values -= values.min()
    values *= (2**bits - 1e-3) / values.max()
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def _with_holes(size: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*[np.linspace(0, 9, size)] * 2, indexing="ij", sparse=True)
    return np.sin(x) * np.cos(y), rng.random((size, size)) < 0.1


def _inpainting(kind: int) -> Any:
    if kind == PEER:
        from skimage.restoration import inpaint_biharmonic
    else:
        from fastimg.dequantization import inpaint_biharmonic
    return inpaint_biharmonic


if __name__ == "__main__":
    main()
