"""Quantized images whose smooth originals are known, for the tests of de-quantization."""

import numpy as np


def hill(shape, top=3.9):
    """A Gaussian hill from near 0 up to ``top``, its summit off the middle."""
    rows, columns = (np.linspace(-1, 1, length) if length > 1 else np.zeros(1) for length in shape)
    return top * np.exp(-2 * ((rows[:, None] - 0.1) ** 2 + (columns - 0.2) ** 2))


def ramp(shape, row=0.13, column=0.21, start=0.37):
    """A plane."""
    return start + row * np.arange(shape[0])[:, None] + column * np.arange(shape[1])


def codes_of(truth, dtype=np.uint8):
    """Quantize by rounding down."""
    return np.floor(truth).astype(dtype)


def bins_of(codes, *, bits=None, levels=None, rounding="floor", relax=0.0):
    """The bounds of codes, in double precision."""
    codes = codes.astype(np.int64)
    if levels is not None:
        levels = np.asarray(levels, np.float64)
        lower, upper = levels[codes], levels[codes + 1]
    else:
        lower = codes - (0.5 if rounding == "nearest" else 0.0)
        upper = lower + 1
    width = upper - lower
    return lower - relax * width, upper + relax * width


def assert_inside(result, lower, upper, where=True):
    """Every pixel lies within its bounds, compared in double precision."""
    result = result.astype(np.float64)
    assert np.isfinite(result).all()
    assert ((result >= lower) | ~np.asarray(where)).all()
    assert ((result <= upper) | ~np.asarray(where)).all()


def rms(values):
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))
