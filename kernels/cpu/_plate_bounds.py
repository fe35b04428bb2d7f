"""What a plate's solver does at every pixel of the image: gradient, contacts, steps, sums.

Each function takes a range of chunks of rows, so that several threads can share an image, and puts the sums
of each chunk into its row of ``parts``: added in their order, they do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np

from ._jit import jit
from ._plate_sweeps import ABSENT, CHUNK, FREE, FROZEN, REORDER, SPRING, product_row

__all__ = [
    "active_contacts",
    "advance",
    "clipped_step",
    "conjugate",
    "contact_forces",
    "dot",
    "gradient",
    "pool",
    "product",
    "slope",
    "soft_contacts",
    "step",
    "thin_contacts",
    "upsample",
]

# A contact competes with those in a square of this many pixels to each side.
RIVALS = 3


@jit(fastmath=REORDER, internal=True)
def _gradient_rows(u, middle, pull, regular, odds, first, last, out, sums):
    energy, pulled = 0.0, 0.0
    for i in range(first, last):
        product_row(u, i, regular, odds, out)
        values, aim, row = u[i], middle[i], out[i]
        for j in range(len(values)):
            away = values[j] - aim[j]
            energy += values[j] * row[j]
            pulled += away * away
            row[j] += pull * away
    sums[0], sums[1] = energy / 2, pull * pulled / 2


@jit()
def gradient(begin, end, u, middle, pull, regular, odds, out, parts):
    for chunk in range(begin, end):
        first, last = CHUNK * chunk, min(len(u), CHUNK * (chunk + 1))
        _gradient_rows(u, middle, pull, regular, odds, first, last, out, parts[chunk])


@jit(fastmath=REORDER, internal=True)
def _soft_rows(u, lower, upper, slopes, rho, first, last, state, downhill, sums):
    outside, squares = 0, 0.0
    for i in range(first, last):
        values, low, high, rise, held, down = u[i], lower[i], upper[i], slopes[i], state[i], downhill[i]
        for j in range(len(values)):
            value = values[j]
            below, above = value - low[j], value - high[j]
            away = (below if below < 0 else 0.0) + (above if above > 0 else 0.0)
            is_loose = held[j] != ABSENT and low[j] != high[j]
            away = away if is_loose else 0.0
            down[j] = -rise[j] - rho * away if is_loose else 0.0
            squares += away * away
            outside += away != 0
            held[j] = (
                (SPRING if away != 0 else FREE) if is_loose else (held[j] if held[j] == ABSENT else FROZEN)
            )
    sums[0], sums[1] = squares, outside


@jit()
def soft_contacts(begin, end, u, lower, upper, slopes, rho, state, downhill, parts):
    for chunk in range(begin, end):
        first, last = CHUNK * chunk, min(len(u), CHUNK * (chunk + 1))
        _soft_rows(u, lower, upper, slopes, rho, first, last, state, downhill, parts[chunk])


@jit(fastmath=REORDER, internal=True)
def _active_rows(u, lower, upper, slopes, first, last, state, downhill, sums):
    squares, pressed, changed = 0.0, 0, 0
    for i in range(first, last):
        values, low, high, rise, held, down = u[i], lower[i], upper[i], slopes[i], state[i], downhill[i]
        for j in range(len(values)):
            before = held[j]
            at_lower, at_upper = values[j] <= low[j], values[j] >= high[j]
            is_fixed = at_lower & at_upper
            is_held = (at_lower & (rise[j] >= 0)) | (at_upper & (rise[j] <= 0)) | is_fixed
            slope = 0.0 if is_held | (before == ABSENT) else rise[j]
            after = before if before == ABSENT else (FROZEN if is_held else FREE)
            held[j] = after
            down[j] = -slope
            squares += slope * slope
            pressed += is_held & (not is_fixed) & (before != ABSENT)
            changed += before != after
    sums[0], sums[1], sums[2] = squares, pressed, changed


@jit()
def active_contacts(begin, end, u, lower, upper, slopes, state, downhill, parts):
    for chunk in range(begin, end):
        first, last = CHUNK * chunk, min(len(u), CHUNK * (chunk + 1))
        _active_rows(u, lower, upper, slopes, first, last, state, downhill, parts[chunk])


@jit()
def contact_forces(begin, end, slopes, lower, upper, state, force):
    for i in range(CHUNK * begin, min(len(slopes), CHUNK * end)):
        rise, low, high, held, row = slopes[i], lower[i], upper[i], state[i], force[i]
        for j in range(len(rise)):
            is_contact = (held[j] == FROZEN) & (low[j] != high[j])
            row[j] = abs(rise[j]) if is_contact else 0.0


@jit()
def thin_contacts(begin, end, slopes, force, share, state, downhill):
    n, m = slopes.shape
    for i in range(CHUNK * begin, min(n, CHUNK * end)):
        for j in range(m):
            own = force[i, j]
            if own == 0:
                continue
            largest = own
            for p in range(max(0, i - RIVALS), min(n, i + RIVALS + 1)):
                for q in range(max(0, j - RIVALS), min(m, j + RIVALS + 1)):
                    largest = force[p, q] if force[p, q] > largest else largest
            if own < share * largest:
                state[i, j] = FREE
                downhill[i, j] = -slopes[i, j]


@jit(fastmath=REORDER, internal=True)
def _product_rows(p, state, spring, pull, regular, odds, first, last, out, sums):
    total = 0.0
    for i in range(first, last):
        product_row(p, i, regular, odds, out)
        values, row, held = p[i], out[i], state[i]
        for j in range(len(values)):
            weight = pull + (spring if held[j] == SPRING else 0.0)
            row[j] = row[j] + weight * values[j] if held[j] < FROZEN else 0.0
            total += values[j] * row[j]
    sums[0] = total


@jit()
def product(begin, end, p, state, spring, pull, regular, odds, out, parts):
    for chunk in range(begin, end):
        first, last = CHUNK * chunk, min(len(p), CHUNK * (chunk + 1))
        _product_rows(p, state, spring, pull, regular, odds, first, last, out, parts[chunk])


@jit(fastmath=REORDER, internal=True)
def _dot_rows(a, b, first, last):
    total = 0.0
    for i in range(first, last):
        x, y = a[i], b[i]
        for j in range(len(x)):
            total += np.float64(x[j]) * y[j]
    return total


@jit()
def dot(begin, end, a, b, parts):
    for chunk in range(begin, end):
        parts[chunk, 0] = _dot_rows(a, b, CHUNK * chunk, min(len(a), CHUNK * (chunk + 1)))


@jit(fastmath=REORDER, internal=True)
def _slope_rows(u, d, t, lower, upper, first, last):
    total = 0.0
    for i in range(first, last):
        values, along, low, high = u[i], d[i], lower[i], upper[i]
        for j in range(len(values)):
            value = values[j] + t * along[j]
            below, above = value - low[j], value - high[j]
            total += ((below if below < 0 else 0.0) + (above if above > 0 else 0.0)) * along[j]
    return total


@jit()
def slope(begin, end, u, d, t, lower, upper, parts):
    for chunk in range(begin, end):
        last = min(len(u), CHUNK * (chunk + 1))
        parts[chunk, 0] = _slope_rows(u, d, t, lower, upper, CHUNK * chunk, last)


@jit()
def advance(begin, end, alpha, p, q, d, r):
    for i in range(CHUNK * begin, min(len(p), CHUNK * end)):
        along, change, place, rest = p[i], q[i], d[i], r[i]
        for j in range(len(along)):
            place[j] += alpha * along[j]
            rest[j] -= alpha * change[j]


@jit()
def conjugate(begin, end, z, beta, p):
    for i in range(CHUNK * begin, min(len(p), CHUNK * end)):
        new, row = z[i], p[i]
        for j in range(len(row)):
            row[j] = new[j] + beta * row[j]


@jit()
def step(begin, end, u, d, t):
    for i in range(CHUNK * begin, min(len(u), CHUNK * end)):
        row, along = u[i], d[i]
        for j in range(len(row)):
            row[j] += t * along[j]


@jit()
def clipped_step(begin, end, u, d, t, lower, upper, out):
    for i in range(CHUNK * begin, min(len(u), CHUNK * end)):
        values, along, low, high, row = u[i], d[i], lower[i], upper[i], out[i]
        for j in range(len(values)):
            value = values[j] + t * along[j]
            value = low[j] if value < low[j] else value
            row[j] = high[j] if value > high[j] else value


@jit()
def pool(fine, out):
    n, m = fine.shape
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            total, count = 0.0, 0
            for i in range(2 * row, min(n, 2 * row + 2)):
                for j in range(2 * column, min(m, 2 * column + 2)):
                    if np.isfinite(fine[i, j]):
                        total += fine[i, j]
                        count += 1
            out[row, column] = total / count if count else fine[2 * row, 2 * column]


@jit(internal=True)
def _reflected(values, k):
    """Value at place k of a line that goes on by odd reflection about its ends."""
    n = len(values)
    if n == 1:
        return values[0]
    if k < 0:
        return 2 * values[0] - values[-k] if -k < n else values[0] + k * (values[1] - values[0])
    if k >= n:
        back = 2 * n - 2 - k
        slope = values[n - 1] - values[n - 2]
        return 2 * values[n - 1] - values[back] if back >= 0 else values[n - 1] + (k - n + 1) * slope
    return values[k]


@jit(internal=True)
def _double(values, out):
    """Cubic interpolation at the quarters of cells."""
    for k in range(len(out)):
        # The nearest cell's neighbour on the other side of the place
        base, side = k // 2, (1 if k % 2 else -1)
        out[k] = (
            -7 * _reflected(values, base - side)
            + 105 * values[base]
            + 35 * _reflected(values, base + side)
            - 5 * _reflected(values, base + 2 * side)
        ) / 128


@jit()
def upsample(coarse, out):
    tall = np.empty((out.shape[0], coarse.shape[1]))
    for j in range(coarse.shape[1]):
        _double(coarse[:, j].copy(), tall[:, j])
    for i in range(out.shape[0]):
        _double(tall[i], out[i])
