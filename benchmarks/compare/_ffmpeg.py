"""FFmpeg's filters against banding, where its command is installed."""

from __future__ import annotations

import shutil
import subprocess
from itertools import product

import numpy as np
from numpy.typing import NDArray

__all__ = ["FILTERS", "filtered", "is_installed"]

# Every filter with settings to choose from: strengths up to its limit, ranges in pixels. The bits tell the
# depth that it works in.
FILTERS = {
    "gradfun": (
        8,
        [f"gradfun=strength={s}:radius={r}" for s, r in product((1.2, 4, 16, 64), (4, 8, 16, 32))],
    ),
    "deband": (
        16,
        [
            f"deband=1thr={t}:range={r}:blur={b}"
            for t, r, b in product((0.02, 0.05, 0.1, 0.2, 0.5), (4, 8, 16, 32), (0, 1))
        ],
    ),
}


def is_installed() -> bool:
    """Whether there is an ``ffmpeg`` on the path."""
    return shutil.which("ffmpeg") is not None


def filtered(image: NDArray[np.float64], filter_: str, depth: int) -> NDArray[np.float64]:
    """Return an image of 0…255 after a filter, which works on 8 or 16 bits."""
    height, width = image.shape
    scale, dtype, name = (1, "u1", "gray") if depth == 8 else (256, "<u2", "gray16le")
    raw = ["-f", "rawvideo", "-pix_fmt", name]
    command = ["ffmpeg", "-v", "error", *raw, "-s", f"{width}x{height}", "-i", "-", "-vf", filter_, *raw, "-"]
    given = np.round(scale * image).astype(dtype)
    finished = subprocess.run(command, input=given.tobytes(), check=True, capture_output=True)
    return np.frombuffer(finished.stdout, dtype).reshape(image.shape) / scale
