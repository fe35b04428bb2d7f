"""The measured scene of the tests of fusion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastimg.fusion import resample_response

__all__ = ["pavia", "pavia_response"]

# 102 bands from 430 to 860 nm, of which the scene holds the last 93
_BANDS = np.linspace(430, 860, 102)[-93:]


def pavia(folder: Path) -> NDArray[np.float64]:
    """A part of Pavia Centre, 104 × 120 pixels and 93 bands, at least 1: 3.5 % of its samples are 0."""
    with np.load(folder / "hyperspectral" / "pavia_centre_104x120x93_u16.npz") as file:
        return np.maximum(file["cube"].astype(np.float64), 1)


def pavia_response(folder: Path) -> NDArray[np.float64]:
    """The response of IKONOS, blue to near infrared, at the bands of the scene."""
    with np.load(folder / "hyperspectral" / "ikonos_spec_resp.npz") as file:
        table = file["ikonos_sp"]
    return resample_response(table[:, 0], table[:, 2:6], _BANDS)
