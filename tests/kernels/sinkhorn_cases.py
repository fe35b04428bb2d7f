"""Cases for the tests of Sinkhorn's kernels, and what the reference makes of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import fastimg
from tests.kernels.conftest import Changed
from tests.reference import sinkhorn as reference

# Sums of positive numbers: the rounding of taps, sums and powers. What is turned twice has it twice.
RTOL = {"float32": 5e-6, "float64": 2e-13}
# Below this, near the end of the format, kernels may flush what the reference keeps.
TINY = {"float32": 1e-33, "float64": 1e-290}

parametrize_precision = pytest.mark.parametrize("precision", ["float32", "float64"])


@dataclass
class Output:
    """An array that a kernel writes."""

    shape: tuple[int, ...]
    dtype: Any = np.float64


def positive(rng, shape, precision, spread=1.0):
    """Positive numbers over several powers of e."""
    return np.exp(spread * rng.normal(size=shape)).astype(precision)


def expected(name, *arguments):
    """What the reference writes, in the order of the arguments."""
    return _launch(getattr(reference, name), np.array, np.empty, lambda array: array, arguments)


def launcher(kernels, xp, to_device, to_host):
    """Return a function that runs a kernel, and returns what it wrote, on the host.

    Tuples and numbers are passed as they are; a ``Changed`` that comes twice is one array.
    """

    def launch(name, *arguments):
        return _launch(getattr(kernels.sinkhorn, name), to_device, xp.empty, to_host, arguments)

    return launch


def _launch(kernel, to_device, empty, to_host, arguments):
    places, written = [], {}
    for argument in arguments:
        if isinstance(argument, Output):
            written[id(argument)] = empty(argument.shape, argument.dtype)
        elif isinstance(argument, Changed) and id(argument) not in written:
            written[id(argument)] = to_device(argument.array.copy())
        elif isinstance(argument, np.ndarray):
            argument = to_device(argument)
        places.append(written.get(id(argument), argument))
    assert kernel(*places) is None
    return [to_host(output) for output in written.values()]


def check(launch, name, *arguments):
    """Compare all that a kernel writes with what the reference does; return it."""
    results, plain = launch(name, *arguments), expected(name, *arguments)
    for result, target in zip(results, plain, strict=True):
        assert_close(result, target)
    return results


def assert_close(result, target, rtol=None):
    """Compare relatively, but for numbers near the end of the format."""
    assert result.dtype == target.dtype
    precision = target.dtype.name
    np.testing.assert_allclose(result, target, rtol=rtol or RTOL[precision], atol=TINY[precision])


def run_as_large(device, monkeypatch):
    """Let small arrays take the parallel versions of large ones."""
    if device != "numpy":
        pytest.skip("the parallel versions are the CPU's")
    if fastimg.get_num_threads() < 2:
        pytest.skip("one thread only")
    from fastimg.kernels.cpu import sinkhorn

    monkeypatch.setattr(sinkhorn, "PARALLEL_NUMBERS", 0)
