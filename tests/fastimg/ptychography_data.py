"""Measured ptychographic data for the tests."""

import bz2
import io

import numpy as np


def siemens_star(folder):
    """The scan of a Siemens star with soft X-rays: frames, positions from 0 in pixels, a guess of the probe.

    516 frames of 128 × 128 float32 counts, zero frequency in the corner; the geometry is not known.
    """
    packed = (folder / "ptychography" / "siemens-star-small.npz.bz2").read_bytes()
    with np.load(io.BytesIO(bz2.decompress(packed))) as file:
        positions = file["scan"][0].astype(np.float64)
        return file["data"][0], positions - positions.min(axis=0), file["probe"].reshape(128, 128)
