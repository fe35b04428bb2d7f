"""Mini-batches whose positions are spread over the scan.

Boxes of one batch that overlap would each correct the same pixels of the object for the same misfit; spread
over the scan they converge almost like a pass position by position.
"""

from __future__ import annotations

import numpy as np

__all__ = ["ordered_batches", "spread_groups"]


def spread_groups(positions: np.ndarray, groups: int) -> list[np.ndarray]:
    """Part positions into compact groups of equal size, by bisection along the longer extent.

    Parameters
    ----------
    positions : (J, 2) float64
    groups : int
        From 1 to J.

    Returns
    -------
    list of (≈ J / groups,) int64
        Indices; sizes differ by at most one.
    """
    sizes = np.full(groups, len(positions) // groups)
    sizes[: len(positions) % groups] += 1
    return _bisected(np.arange(len(positions)), positions, sizes)


def _bisected(members: np.ndarray, positions: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    if len(sizes) == 1:
        return [members]
    axis = int(np.argmax(np.ptp(positions[members], axis=0)))
    members = members[np.argsort(positions[members, axis], kind="stable")]
    half = len(sizes) // 2
    cut = sizes[:half].sum()
    return [
        *_bisected(members[:cut], positions, sizes[:half]),
        *_bisected(members[cut:], positions, sizes[half:]),
    ]


def ordered_batches(
    groups: list[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Draw the batches of one iteration: each takes one random position of every group.

    Returns
    -------
    order : (J,) int64
        Every position once.
    bounds : list of (start, stop)
        Batch i is ``order[start:stop]``.
    """
    longest = max(len(group) for group in groups)
    table = np.full((longest, len(groups)), -1)
    for column, group in enumerate(groups):
        table[: len(group), column] = rng.permutation(group)
    table = table[rng.permutation(longest)]
    stops = np.cumsum(np.sum(table >= 0, axis=1))
    bounds = list(zip([0, *stops[:-1].tolist()], stops.tolist(), strict=True))
    return table[table >= 0], bounds
