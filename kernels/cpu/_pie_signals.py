"""What position refinement compares: compiled loops for ``pie.py``, one pass or two over each position."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba import prange, types

from ._jit import array_type, jit
from ._pie_waves import INDICES, TINY, number_types

__all__ = ["compiled_detector_boxes", "compiled_gradient_shift", "compiled_signal_boxes"]

_CORNERS = array_type(np.int64, 2)


@lru_cache(None)
def compiled_signal_boxes(precision: int, parallel: bool) -> Callable[..., None]:
    real, complex_ = number_types(precision)
    tiny = TINY
    boxes = array_type(complex_, 3, readonly=False)
    inputs = array_type(complex_, 2), _CORNERS, array_type(complex_, 3), array_type(real, 3)

    @jit(
        types.void(*inputs, array_type(real, 1), types.float64, types.float64, boxes, boxes, types.int64),
        parallel=parallel,
        fastmath={"arcp", "contract", "nsz"},
    )
    def run(object, corner, numerator, power, power_peak, alpha, gamma, current, updated, threads):
        batch, n, _ = numerator.shape
        step, share = real(alpha), real(1 - gamma)
        for thread in prange(threads):
            # a sum for each column: vectors of sums, and less rounding than in one sum
            real_sum, imaginary_sum, window_sum = np.empty(n), np.empty(n), np.empty(n)
            window = np.empty((n, n), real)
            for b in range(thread, batch, threads):
                own, row, column = min(b, len(power) - 1), corner[b, 0], corner[b, 1]
                constant, dim = real(gamma * power_peak[own]), real(0.01 * power_peak[own])
                real_sum[:] = 0
                imaginary_sum[:] = 0
                window_sum[:] = 0
                for y in range(n):
                    box, light, view = object[row + y, column : column + n], power[own, y], window[y]
                    for x in range(n):
                        view[x] = light[x] / (light[x] + dim) if light[x] > real(0) else real(0)
                        real_sum[x] += box[x].real * view[x]
                        imaginary_sum[x] += box[x].imag * view[x]
                        window_sum[x] += view[x]
                total = max(window_sum.sum(), tiny)
                mean_re, mean_im = real(real_sum.sum() / total), real(imaginary_sum.sum() / total)
                for y in range(n):
                    box, light, view = object[row + y, column : column + n], power[own, y], window[y]
                    change, before, after = numerator[b, y], current[b, y], updated[b, y]
                    for x in range(n):
                        weight = constant + share * light[x]
                        factor = step / (weight if weight > real(0) else real(1))
                        re, im = box[x].real - mean_re, box[x].imag - mean_im
                        new_re = re + factor * (change[x].real - box[x].real * light[x])
                        new_im = im + factor * (change[x].imag - box[x].imag * light[x])
                        before[x] = complex(re * view[x], im * view[x])
                        after[x] = complex(new_re * view[x], new_im * view[x])

    return run


@lru_cache(None)
def compiled_detector_boxes(precision: int, parallel: bool) -> Callable[..., None]:
    real, _ = number_types(precision)
    frames, masks = array_type(real, 3), array_type(np.uint8, 3)
    outputs = array_type(real, 3, readonly=False), array_type(real, 3, readonly=False)

    @jit(types.void(frames, frames, INDICES, masks, *outputs, types.int64), parallel=parallel)
    def run(model, intensity, selection, mask, modelled, measured, threads):
        batch, n, _ = model.shape
        for thread in prange(threads):
            known, sums = np.ones(n, np.uint8), np.empty((3, n))
            first, second, counted = sums[0], sums[1], sums[2]
            for b in range(thread, batch, threads):
                frame = selection[b]
                sums[:] = 0
                for y in range(n):
                    if len(mask):
                        known[:] = mask[min(frame, len(mask) - 1), y]
                    values, counts, one, two = (
                        model[b, y],
                        intensity[frame, y],
                        modelled[b, y],
                        measured[b, y],
                    )
                    for x in range(n):
                        one[x] = np.sqrt(values[x] if known[x] else real(0))
                        two[x] = np.sqrt(counts[x] if known[x] else real(0))
                        first[x] += one[x]
                        second[x] += two[x]
                        counted[x] += real(1) if known[x] else real(0)
                count = max(counted.sum(), 1.0)
                mean_one, mean_two = real(first.sum() / count), real(second.sum() / count)
                for y in range(n):
                    if len(mask):
                        known[:] = mask[min(frame, len(mask) - 1), y]
                    one, two = modelled[b, y], measured[b, y]
                    for x in range(n):
                        one[x] = one[x] - mean_one if known[x] else real(0)
                        two[x] = two[x] - mean_two if known[x] else real(0)

    return run


@lru_cache(None)
def compiled_gradient_shift(precision: int, parallel: bool) -> Callable[..., None]:
    real, complex_ = number_types(precision)
    inputs = array_type(complex_, 2), _CORNERS, array_type(complex_, 3), array_type(real, 3)

    @jit(
        types.void(*inputs, array_type(real, 2, readonly=False), types.int64),
        parallel=parallel,
        fastmath={"contract", "nsz"},
    )
    def run(object, corner, numerator, power, shift, threads):
        batch, n, _ = numerator.shape
        half = real(0.5)
        for thread in prange(threads):
            slope_y, slope_x = np.empty(n), np.empty(n)
            curve_y, curve_x = np.empty(n), np.empty(n)
            across_re, across_im = np.empty(n, real), np.empty(n, real)
            for b in range(thread, batch, threads):
                own, row, column = min(b, len(power) - 1), corner[b, 0], corner[b, 1]
                # one by one: in a parallel loop, Numba loses the writes of a loop over a tuple of arrays
                slope_y[:] = 0
                slope_x[:] = 0
                curve_y[:] = 0
                curve_x[:] = 0
                for y in range(n):
                    above, below = max(y - 1, 0), min(y + 1, n - 1)
                    scale = real(1) / real(below - above)
                    box = object[row + y, column : column + n]
                    upper = object[row + above, column : column + n]
                    lower = object[row + below, column : column + n]
                    for x in range(1, n - 1):
                        across_re[x] = half * (box[x + 1].real - box[x - 1].real)
                        across_im[x] = half * (box[x + 1].imag - box[x - 1].imag)
                    across_re[0], across_im[0] = box[1].real - box[0].real, box[1].imag - box[0].imag
                    across_re[n - 1] = box[n - 1].real - box[n - 2].real
                    across_im[n - 1] = box[n - 1].imag - box[n - 2].imag
                    light, line = power[own, y], numerator[b, y]
                    for x in range(n):
                        change_re = line[x].real - box[x].real * light[x]
                        change_im = line[x].imag - box[x].imag * light[x]
                        down_re = scale * (lower[x].real - upper[x].real)
                        down_im = scale * (lower[x].imag - upper[x].imag)
                        slope_y[x] += down_re * change_re + down_im * change_im
                        slope_x[x] += across_re[x] * change_re + across_im[x] * change_im
                        curve_y[x] += (down_re * down_re + down_im * down_im) * light[x]
                        curve_x[x] += (across_re[x] * across_re[x] + across_im[x] * across_im[x]) * light[x]
                curvature = curve_y.sum()
                shift[b, 0] = -slope_y.sum() / (curvature if curvature > 0 else 1.0)
                curvature = curve_x.sum()
                shift[b, 1] = -slope_x.sum() / (curvature if curvature > 0 else 1.0)

    return run
