"""Scenes for the tests of the plate's kernels, and what the reference makes of them."""

from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType, SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest

import fastimg
from fastimg.kernels.cpu import _plate_cycle, _plate_sweeps
from tests.kernels.conftest import Changed
from tests.reference import plate as reference

# Several tiles of a GPU's blocks and chunks of a thread's rows, on the image and on the first coarse grid
WIDE = (90, 150)

# One grid: a line, flat, upright; two, three and four grids, of odd and even sides
SHAPES = ((1, 7), (3, 20), (8, 3), (5, 5), (12, 9), (55, 18))

# Weights of second and first differences; the blend's are not exact in single precision
MODELS = {"plate": (1.0, 0.0), "membrane": (0.0, 1.0), "blend": (0.25, 0.1)}

SPRING = 0.7

parametrize_shape = pytest.mark.parametrize("shape", SHAPES)
parametrize_model = pytest.mark.parametrize("model", MODELS)
parametrize_even = pytest.mark.parametrize("is_even", [False, True], ids=["free", "even"])
parametrize_cut = pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "cut"])


def parametrize_scene(test):
    for parametrize in (parametrize_cut, parametrize_even, parametrize_model, parametrize_shape):
        test = parametrize(test)
    return test


@dataclass
class Both:
    """The grids of the kernels, and those of the reference."""

    own: Any
    plain: Any


def run_as_large(device, monkeypatch):
    """Let small images take what large ones take: threads on the CPU, a launch for each grid on a GPU."""
    if device != "numpy":
        from fastimg.kernels.cuda import _plate_grids

        monkeypatch.setattr(_plate_grids, "SMALL", 0)
        return
    if fastimg.get_num_threads() < 2:
        pytest.skip("one thread only")
    monkeypatch.setattr(_plate_sweeps, "PARALLEL_PIXELS", 0)
    monkeypatch.setattr(_plate_cycle, "PARALLEL_PIXELS", 0)
    monkeypatch.setattr(_plate_cycle, "_cycle", _cycle_of_large_grids())


@lru_cache(None)
def _cycle_of_large_grids():
    """Compile the cycle again: the limit is a constant in it."""
    plain = _plate_cycle._cycle.py_func
    names = {**vars(_plate_cycle), "PARALLEL_PIXELS": 0}
    return numba.njit(FunctionType(plain.__code__, names, plain.__name__), nogil=True, error_model="numpy")


def scene(rng, shape, model="plate", is_even=False, is_cut=False):
    """An image, bounds around another of which some are equal or infinite, pixels in all states."""
    cut = rng.random(shape) < 0.06 if is_cut else None
    state = rng.choice(3, size=shape, p=[0.7, 0.15, 0.15]).astype(np.uint8)
    if is_cut:
        state[cut] = reference.ABSENT
    u, middle = rng.normal(size=(2, *shape))
    below, above = rng.uniform(0.1, 1, (2, *shape))
    kind = rng.random(shape)
    below[kind < 0.2] = above[kind < 0.1] = 0
    below[kind > 0.8] = above[kind > 0.9] = np.inf
    s = SimpleNamespace(shape=shape, model=model, is_even=is_even, cut=cut, state=state, u=u, middle=middle)
    s.lower, s.upper = middle - below, middle + above
    s.gradient, s.direction = rng.normal(size=(2, *shape))
    s.residual = np.where(state < reference.FROZEN, rng.normal(size=shape), 0)
    return s


def grids_of(kernels, s, pull=0.01):
    arguments = (s.shape, *MODELS[s.model], s.is_even, s.cut, pull)
    return Both(kernels.plate.grids(*arguments), reference.grids(*arguments))


def image(s, dtype=np.float64):
    """An output of the size of the scene."""
    return (s.shape, dtype)


def sums(count):
    return ((count,), np.float64)


def run(call, name, *arguments):
    """What the kernel gives."""
    return call(name, *(a.own if isinstance(a, Both) else a for a in arguments))


def expected(name, *arguments):
    """What the reference gives."""
    places, outputs = [], []
    for argument in arguments:
        if isinstance(argument, tuple):
            argument = np.zeros(*argument)
            outputs.append(argument)
        elif isinstance(argument, Changed):
            argument = argument.array.copy()
            outputs.append(argument)
        elif isinstance(argument, Both):
            argument = argument.plain
        places.append(argument)
    assert getattr(reference, name)(*places) is None
    return outputs


def check(call, name, *arguments):
    """Compare with the reference, to the roundings of some 25 terms of at most 60; return the kernel's."""
    results = run(call, name, *arguments)
    for actual, desired in zip(results, expected(name, *arguments), strict=True):
        assert actual.dtype == desired.dtype
        np.testing.assert_allclose(actual, desired, rtol=1e-12, atol=1e-12)
    return results


def energy(call, grids, u):
    """½ uᵀ A u, and the gradient."""
    grids = grids.own if isinstance(grids, Both) else grids
    gradient, values = call("gradient", grids, u, np.zeros_like(u), (u.shape, np.float64), sums(2))
    return values[0], gradient
