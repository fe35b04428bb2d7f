"""Scenes for the tests of the ptychography kernels, and what the reference makes of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.kernels.conftest import Changed
from tests.reference import pie as reference

PRECISIONS = ("float32", "float64")
BATCH, FRAMES = 3, 5
MASKS = ("everywhere", "shared", "own")


OUTPUTS = ("numerator", "power", "power_peak", "probe_numerator", "probe_weight", "model", "error")


def project_arguments(s, work, beta=0.6, update=True, model=True):
    batch, own = len(s.corner), len(s.corner) if len(s.fraction) else 1
    frame = s.probe.shape[1:]
    return (
        s.object,
        s.probe,
        s.corner,
        s.fraction,
        s.intensity,
        s.selection,
        s.mask,
        s.transfer,
        beta,
        work,
        ((batch, *frame), s.complex),
        ((own, *frame), s.real),
        ((own,), s.real),
        ((len(s.probe) * update, *frame), s.complex),
        Changed(np.zeros(frame, s.real)),
        ((batch * model, *frame), s.real),
        ((batch,), np.float64),
    )


def expected(name, *arguments):
    """What the reference gives in double precision."""
    places, outputs = [], []
    for argument in arguments:
        if isinstance(argument, tuple):
            argument = np.zeros(argument[0], widened(np.dtype(argument[1])))
            outputs.append(argument)
        elif isinstance(argument, Changed):
            argument = argument.array.astype(widened(argument.array.dtype))
            outputs.append(argument)
        elif isinstance(argument, np.ndarray):
            argument = argument.astype(widened(argument.dtype))
        places.append(argument)
    getattr(reference, name)(*places)
    return outputs


def widened(dtype):
    return np.result_type(dtype, np.float64) if dtype.kind in "fc" else dtype


def assert_close(actual, desired, precision, factor=50):
    """Equal to a few roundings of the largest value."""
    tolerance = factor * np.finfo(precision).eps * max(np.abs(desired).max(initial=0), 1e-30)
    np.testing.assert_allclose(actual, desired, rtol=0, atol=tolerance)


def check(call, name, *arguments, precision, factor=50):
    results = call(name, *arguments)
    for actual, desired in zip(results, expected(name, *arguments), strict=True):
        assert_close(actual, desired, precision, factor)
    return results


def normal(rng, shape, dtype):
    values = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.normal(size=shape)
    return values.astype(dtype)


def scene(rng, size, precision, *, modes=2, mask="own", subpixel=False, near=False, batch=BATCH):
    """A batch whose boxes touch the border of the object, overlap, and coincide."""
    real, kind = np.dtype(precision), np.result_type(precision, np.complex64)
    shape = size + 5, size + 8
    corner = np.array([(0, 0), (5, 8), (2, 3), (2, 3), (0, 8), (5, 0)])[:batch]
    intensity = rng.uniform(0, 8 * modes, (FRAMES, size, size)).astype(real)
    intensity[rng.random(intensity.shape) < 0.05] = 0
    known = rng.random(({"everywhere": 0, "shared": 1, "own": FRAMES}[mask], size, size)) < 0.9
    if len(known):
        intensity[~np.broadcast_to(known, intensity.shape)] = np.nan
    row, column = np.ogrid[:size, :size]
    transfer = np.exp(0.3j * (row - column) ** 2)[None] if near else np.empty((0, size, size))
    fraction = rng.uniform(-0.5, 0.5, (batch, 2))
    fraction[0] = 0
    return SimpleNamespace(
        real=real,
        complex=kind,
        precision=precision,
        object=normal(rng, shape, kind),
        probe=normal(rng, (modes, size, size), kind),
        corner=corner.astype(np.int64),
        fraction=fraction if subpixel else np.empty((0, 2)),
        intensity=intensity,
        selection=np.array([4, 0, 2, 1, 3, 2])[:batch].astype(np.int64),
        mask=known.astype(np.uint8) * 3,
        transfer=transfer.astype(kind),
    )


def batch_of(s, own, rng):
    """Waves, probe of a batch and power, shared or each position's own."""
    batch, (modes, *frame) = len(s.corner), s.probe.shape
    waves = normal(rng, (batch, modes, *frame), s.complex)
    probe = normal(rng, (batch if own else 1, modes, *frame), s.complex)
    power = np.sum(np.abs(probe) ** 2, axis=1)
    power[:, :2] = 0
    return waves, probe, power, power.max(axis=(1, 2))


parametrize_precision = pytest.mark.parametrize("precision", PRECISIONS)
parametrize_size = pytest.mark.parametrize("size", [16, 7])
parametrize_own = pytest.mark.parametrize("own", [False, True])
parametrize_mask = pytest.mark.parametrize("mask", MASKS)
