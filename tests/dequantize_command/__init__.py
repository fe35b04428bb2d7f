"""What the tests of ``fastimg dequantize`` share."""

import numpy as np
from click.testing import CliRunner

from fastimg.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ["dequantize", *map(str, arguments)])


def done(*arguments):
    """Run something that must succeed, and return what it prints."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def smooth_signal(height=40, width=48):
    """A bump on a ramp, from 0 to nearly 1."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    signal = np.exp(-2 * (x**2 + y**2)) + 0.3 * x
    return 0.999 * (signal - signal.min()) / np.ptp(signal)
