"""The regularised distance and its gradient beside POT's dense plan and PyTorch's automatic derivative."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare._rows import Figure, Time
from benchmarks.compare.fusion_barycenter import images_of, is_installed
from fastimg._timing import interleaved, median_ratio
from fastimg.transport import transport_distance

__all__ = ["distances"]

SIDE, SIGMA, MOST_ITERATIONS = 24, 3.0, 10_000
# What times are taken with; the cost of a plan whose marginals are not exact is wrong by as much
TOLERANCE, TIGHT = 1e-9, 1e-13
# Largest relative error of the distance, and error of the gradient relative to its largest value
VALUE, GRADIENT = 1e-9, 1e-7
OURS, PLAN, AUTOGRAD = "fastimg, with gradient", "ot.sinkhorn, dense plan", "PyTorch, through its iterations"


def distances(*, quick: bool) -> tuple[list[Time], list[Figure]]:
    """Compare the distance with POT's and the gradient with PyTorch's, and time all three."""
    side = 12 if quick else SIDE
    first, second = images_of((side, side), "float64")
    work = f"distance of 2 images, {side}², σ {SIGMA:g}"
    ways: dict[str, Any] = {OURS: partial(_ours, first, second)}
    if is_installed("ot"):
        ways[PLAN] = partial(_by_plan, first, second)
    if is_installed("torch"):
        import torch

        torch.set_num_threads(1)
        ways[AUTOGRAD] = partial(_by_autograd, first, second)
    found = {name: way() for name, way in ways.items() if name != PLAN}
    value, gradient = found[OURS]
    figures = [_missing("distance to POT's", "POT", work), _missing("gradient to PyTorch's", "torch", work)]
    said = {OURS: f"W = {value:.6f}"}
    if PLAN in ways:
        apart = abs(value / _by_plan(first, second, TIGHT) - 1)
        said[PLAN] = f"{apart:.1e}"
        figures[0] = Figure(figures[0].name, work, f"{apart:.1e}", f"{VALUE:g}", apart <= VALUE)
    if AUTOGRAD in found:
        theirs = found[AUTOGRAD][1]
        apart = float(np.abs(gradient - theirs).max() / np.abs(theirs).max())
        said[AUTOGRAD] = f"gradient {apart:.1e}"
        figures[1] = Figure(figures[1].name, work, f"{apart:.1e}", f"{GRADIENT:g}", apart <= GRADIENT)
    timings = interleaved(ways, rounds=1 if quick else 3, clock=time.process_time)
    slow = timings.get(PLAN, timings[OURS])
    times = [
        Time(work, name, timing.median, median_ratio(slow, timing), said[name])
        for name, timing in timings.items()
    ]
    return times, figures


def _missing(name: str, package: str, work: str) -> Figure:
    return Figure(name, work, f"needs: pip install {package}", f"{VALUE:g}", None)


def _ours(first: NDArray[Any], second: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    value, gradient = transport_distance(first, second, sigma=(SIGMA, SIGMA), tol=TOLERANCE, gradient=True)
    return float(value), gradient


def _costs(side: int) -> NDArray[np.float64]:
    """Return d² / 2σ² of all pairs of pixels."""
    place = np.stack(np.meshgrid(*[np.arange(side)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    return ((place[:, None] - place) ** 2).sum(axis=2) / (2 * SIGMA**2)


def _by_plan(first: NDArray[Any], second: NDArray[Any], tol: float = TOLERANCE) -> float:
    import ot

    costs = _costs(len(first))
    plan = ot.sinkhorn(
        first.ravel(), second.ravel(), costs, 1.0, stopThr=tol, numItermax=MOST_ITERATIONS, warn=False
    )
    return float((plan * (costs + np.log(plan) - 1)).sum())


def _by_autograd(first: NDArray[Any], second: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """Iterate on logarithms, and differentiate the cost through the iterations."""
    import torch

    costs = torch.from_numpy(_costs(len(first)))
    a = torch.from_numpy(first.ravel().copy()).requires_grad_()
    b = torch.from_numpy(second.ravel().copy())
    g = torch.zeros_like(b)
    for _ in range(_iterations(first, second)):
        f = torch.log(a) - torch.logsumexp(g - costs, dim=1)
        g = torch.log(b) - torch.logsumexp(f[:, None] - costs, dim=0)
    # the dual objective, whose derivative does not depend on what is left to converge
    value = (a * f).sum() + (b * g).sum() - torch.exp(f[:, None] + g - costs).sum()
    found = torch.autograd.grad(value, a)[0].numpy().reshape(first.shape)
    return value.item(), found - found.mean()


def _iterations(first: NDArray[Any], second: NDArray[Any]) -> int:
    """Return how many we take."""
    info = transport_distance(first, second, sigma=(SIGMA, SIGMA), tol=TOLERANCE, return_info=True)[1]
    return int(info.iterations)
