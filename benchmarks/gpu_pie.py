"""What ``benchmarks.gpu`` runs of ptychography: every kernel once, and the speed of a mini-batch's step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["FAMILIES", "call_kernels", "measure_steps"]

FAMILIES = ("pie", "pie_probe", "pie_object", "pie_positions")
SIZES, MODES = (64, 128, 256), (1, 4)
# The waves of the larger of two batches stay in an L2 cache of this many bytes.
SMALL_BATCH, L2_BYTES = 8, 30e6
REPEATS, WARM_UP = 20, 5
ALPHA, GAMMA, BETA = 0.75, 0.3, 0.5


@dataclass
class Batch:
    """Inputs and outputs of the kernels for one batch, on the device."""

    object: Any
    probe: Any
    position: Any
    selection: Any
    intensity: Any
    mask: Any
    transfer: Any
    corner: Any
    fraction: Any
    numerator: Any
    power: Any
    power_peak: Any
    probe_numerator: Any
    probe_weight: Any
    model: Any
    error: Any
    work: Any


def make_batch(
    cupy: Any, batch: int, size: int, modes: int, precision: str, *, subpixel: bool, near_field: bool = False
) -> Batch:
    """Return random data: boxes that overlap, a quarter of their size apart."""
    from fastimg.kernels.cuda import pie

    rng = np.random.default_rng(0)
    kind, across = np.result_type(precision, np.complex64), int(np.ceil(np.sqrt(batch)))
    rows, columns = np.divmod(np.arange(batch), across)
    position = np.stack([rows, columns], axis=1) * (size / 4) + rng.uniform(0, 2, (batch, 2))
    width = int(position.max()) + size + 2

    def complex_(*shape: int) -> Any:
        values = rng.random(shape, np.float32) + 1j * rng.random(shape, np.float32)
        return cupy.asarray(values.astype(kind))

    own = batch if subpixel else 1
    frames = batch, size, size
    probe = complex_(modes, size, size)
    return Batch(
        object=complex_(width, width),
        probe=probe,
        position=cupy.asarray(position),
        selection=cupy.arange(batch),
        intensity=cupy.asarray(rng.random(frames, np.float32).astype(precision)),
        mask=cupy.ones((1 if near_field else 0, size, size), np.uint8),
        transfer=complex_(1 if near_field else 0, size, size),
        corner=cupy.empty((batch, 2), np.int64),
        fraction=cupy.empty((batch if subpixel else 0, 2), np.float64),
        numerator=cupy.empty(frames, kind),
        power=cupy.empty((own, size, size), precision),
        power_peak=cupy.empty(own, precision),
        probe_numerator=cupy.empty(probe.shape, kind),
        probe_weight=cupy.empty((size, size), precision),
        model=cupy.empty(frames if near_field else (0, size, size), precision),
        error=cupy.empty(batch, np.float64),
        work=pie.workspace(probe, batch, subpixel, near_field),
    )


def run_step(b: Batch, atomic: bool) -> None:
    """Do what a reconstruction does with a batch."""
    from fastimg.kernels.cuda import pie

    last = b.object.shape[0] - b.probe.shape[-1]
    pie.place_boxes(b.position, b.selection, last, last, len(b.fraction) > 0, b.corner, b.fraction)
    pie.project(
        b.object, b.probe, b.corner, b.fraction, b.intensity, b.selection, b.mask, b.transfer, BETA, b.work,
        b.numerator, b.power, b.power_peak, b.probe_numerator, b.probe_weight, b.model, b.error,
    )  # fmt: skip
    pie.object_update(b.object, b.corner, b.numerator, b.power, b.power_peak, ALPHA, GAMMA, atomic)
    pie.probe_update(b.probe, b.probe_numerator, b.probe_weight, ALPHA)


def call_kernels(cupy: Any, size: int, precision: str) -> None:
    """Call every twin of the ptychography kernels on a small batch."""
    from fastimg.kernels.cuda import pie

    batch, modes, real = 3, 5, np.dtype(precision)
    for atomic in (False, True):
        run_step(make_batch(cupy, batch, size, modes, precision, subpixel=False), atomic)
    b = make_batch(cupy, batch, size, modes, precision, subpixel=True, near_field=True)
    run_step(b, False)
    frames, kind = b.numerator.shape, b.probe.dtype
    pie.mode_intensity(b.work.waves, cupy.empty(frames, real))
    boxes = [cupy.empty(frames, kind) for _ in range(2)]
    pie.signal_boxes(b.object, b.corner, b.numerator, b.power, b.power_peak, ALPHA, GAMMA, boxes[0], boxes[1])
    amplitudes = [cupy.empty(frames, real) for _ in range(2)]
    pie.detector_boxes(b.model, b.intensity, b.selection, b.mask, *amplitudes)
    shift, state = cupy.empty((batch, 2), real), [cupy.zeros((batch, 2)) for _ in range(3)]
    pie.gradient_shift(b.object, b.corner, b.numerator, b.power, shift)
    count, gain = cupy.zeros(batch, np.int64), cupy.ones(2)
    pie.move_positions(b.position, b.selection, shift, gain, True, 2.0, state[0], state[1], count, state[2])
    matrix = cupy.empty((modes, modes), np.complex128)
    pie.gram(b.probe, matrix)
    pie.mix_modes(b.probe, matrix, cupy.empty(b.probe.shape, kind))
    pie.dose(b.corner, b.power, cupy.zeros(b.object.shape))


def step_bytes(b: Batch) -> float:
    """Return the bytes that the kernels and transforms of a step must move, a position.

    Each reads its inputs and writes its outputs once, be it from memory or the L2 cache; a transform counts
    as one read and one write.
    """
    batch, modes, size, _ = b.work.waves.shape
    corner, covered = b.corner.get(), np.zeros(b.object.shape, bool)
    for row, column in corner:
        covered[row : row + size, column : column + size] = True
    # numbers of T a pixel: of a mode, and of a position whatever the modes
    exit_waves, transforms, modulus, numerator, weights = (4, 2), (8, 0), (4, 1), (4, 2), (0, 2)
    changes, update = (4, 2), (0, 3 + 4 * covered.sum() / (batch * size**2))
    stages = [exit_waves, transforms, modulus, numerator, weights, changes, update]
    if len(b.fraction):
        shift, power, differences, unshift = (8, 0), (2, 1), (6, 2), (6, 0)
        stages = [*stages[:-2], shift, power, differences, unshift, update]
    numbers = sum(modes * of_mode + of_position for of_mode, of_position in stages)
    return float(numbers * b.power.dtype.itemsize * size**2)


def measure_steps(cupy: Any, elapsed: Callable[[Any, Callable[[], Any]], float]) -> list[dict[str, Any]]:
    """Return the time of a step by size, modes, batch, sub-pixel shifts and kind of the object update.

    ``elapsed`` returns the seconds that the device takes for a call. Where the host takes as long to launch
    it, the device waits, and the rate is that of the launches.
    """
    rows = []
    for size in SIZES:
        for modes in MODES:
            largest = int(L2_BYTES / (8 * modes * size**2))
            for batch in sorted({SMALL_BATCH, 2 ** (largest.bit_length() - 1)}):
                for subpixel in (False, True):
                    b = make_batch(cupy, batch, size, modes, "float32", subpixel=subpixel)
                    rows += [measure_step(cupy, elapsed, b, atomic) for atomic in (False, True)]
    return rows


def measure_step(
    cupy: Any, elapsed: Callable[[Any, Callable[[], Any]], float], b: Batch, atomic: bool
) -> dict[str, Any]:
    """Return the medians of the device's and the host's time for a step, a position."""
    batch, modes, size, _ = b.work.waves.shape
    device, host = [], []
    for _ in range(WARM_UP + REPEATS):
        device.append(elapsed(cupy, lambda: run_step(b, atomic)))
        start = time.perf_counter()
        run_step(b, atomic)
        host.append(time.perf_counter() - start)
        cupy.cuda.Device().synchronize()
    seconds, launching = (float(np.median(times[WARM_UP:])) / batch for times in (device, host))
    return {
        "size": size,
        "modes": modes,
        "batch": batch,
        "subpixel": len(b.fraction) > 0,
        "update": "atomic" if atomic else "deterministic",
        "us_per_position": 1e6 * seconds,
        "host_us_per_position": 1e6 * launching,
        "bytes_per_s": step_bytes(b) / seconds,
    }
