"""How the cubes of a fusion lie in memory, on both sides: bands last, padded to whole vectors."""

from __future__ import annotations

__all__ = ["BAND_MULTIPLE", "padded_bands"]

# Two vectors of the widest processors in single precision; a whole line of a GPU's cache
BAND_MULTIPLE = 32


def padded_bands(bands: int) -> int:
    """Bands of an array that holds ``bands`` of them in whole vectors."""
    return -(-bands // BAND_MULTIPLE) * BAND_MULTIPLE
