"""Times of ptychography per position beside plain NumPy, PtyLab and pty-chi; and on two threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import plain_ptychography
from benchmarks.compare import _ptychi, _ptylab
from benchmarks.compare._rows import Figure, Time
from fastimg._timing import Timing, interleaved, median_ratio
from fastimg.ptychography import (
    PositionRefinement,
    Scan,
    gaussian_probe,
    probe_modes,
    raster_positions,
    reconstruct,
    simulate,
)

__all__ = ["PTYLAB", "mode_count", "scan_of", "speed", "threads"]

PLAIN, PTYLAB, PTYCHI = "plain NumPy + scipy.fft", "PtyLab ePIE", "pty-chi rPIE"
OURS = "fastimg"
# Ways to use it that the peers have not: what they cost
EXTRAS: dict[str, dict[str, Any]] = {
    "fastimg, sub-pixel": {"subpixel": True},
    **{
        f"fastimg, sub-pixel, refined ({signal})": {
            "subpixel": True,
            "position_refinement": PositionRefinement("fixed", signal, start=0),
        }
        for signal in ("gradient", "object")
    },
}
# Times as fast as plain NumPy and as PtyLab, by the number of modes, at 128²
TARGETS = {1: {PLAIN: 8.0, PTYLAB: 11.0}, 4: {PLAIN: 7.0, PTYLAB: 10.0}}
# Sizes, and of how many iterations a call is, so that what it does once is a small part of it
SIZES, MODES, BATCH = {64: 20, 128: 20, 256: 5}, (1, 4), 8
POSITIONS = 64
THREADS_TARGET = 1.7


def scan_of(size: int, count: int = POSITIONS, modes: int = 1) -> Scan:
    """Return a scan of a smooth random object, at whole pixels, float32."""
    rng = np.random.default_rng(0)
    across = int(np.ceil(np.sqrt(count)))
    positions = raster_positions((across, across), size / 8)[:count].round()
    height = int(positions.max()) + size
    spectrum = np.fft.fft2(rng.standard_normal((height, height)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(height))
    field = np.fft.ifft2(spectrum * np.exp(-((12 * frequency) ** 2))).real
    truth = np.exp(1j * field / field.std()).astype(np.complex64)
    probe = probe_modes(gaussian_probe(size, size / 4, curvature=3.0), modes)
    return simulate(truth, probe, positions, photons=1e6, rng=rng)


def speed(*, quick: bool) -> tuple[list[Time], list[Figure]]:
    """Time every size and number of modes on one thread, in turns."""
    times: list[Time] = []
    figures: list[Figure] = []
    for size in (64,) if quick else SIZES:
        for modes in MODES:
            timings = _timed(size, modes, rounds=2 if quick else 11)
            plain = timings[PLAIN]
            times += [
                Time(
                    f"{size}², {mode_count(modes)}",
                    way,
                    timing.median,
                    median_ratio(plain, timing),
                    _beside(timings, way),
                )
                for way, timing in timings.items()
            ]
            if size == 128:
                figures += _speed_figures(timings, modes)
    return times, figures


def _timed(size: int, modes: int, rounds: int) -> dict[str, Timing]:
    """Return processor time per position of every way."""
    scan = scan_of(size, modes=modes)
    iterations = SIZES[size]
    ways: dict[str, tuple[Callable[[], Any], int]] = {
        PLAIN: (_plain(scan), 1),
        OURS: (partial(_ours, scan, modes, iterations, subpixel=False), iterations),
    }
    for name, arguments in EXTRAS.items():
        ways[name] = (partial(_ours, scan, modes, iterations, **arguments), iterations)
    if _ptylab.is_installed():
        ways[PTYLAB] = (_ptylab.passes(scan, modes, 2), 2)
    if _ptychi.is_usable():
        ways[PTYCHI] = (_ptychi.passes(scan, modes, 2, BATCH), 2)
    calls = {name: call for name, (call, _) in ways.items()}
    timings = interleaved(calls, rounds=rounds, clock=time.process_time)
    return {name: _per_position(timings[name], times * len(scan)) for name, (_, times) in ways.items()}


def _ours(scan: Scan, modes: int, iterations: int, **arguments: Any) -> Any:
    # the probe is updated from the first iteration on, as the others do
    return reconstruct(scan, modes=modes, iterations=iterations, batch_size=BATCH, probe_start=0, **arguments)


def _plain(scan: Scan) -> Callable[[], None]:
    found = np.ones(scan.object_shape, np.complex64)
    probe, amplitude = scan.probe.copy(), np.sqrt(scan.intensities)
    corners = scan.positions.astype(int)
    return partial(plain_ptychography.rpie_pass, found, probe, amplitude, corners, range(len(scan)))


def _per_position(timing: Timing, positions: int) -> Timing:
    return Timing(tuple(seconds / positions for seconds in timing.samples), timing.calls)


def _beside(timings: dict[str, Timing], way: str) -> str:
    """Return how many times as fast as PtyLab a way is."""
    if PTYLAB not in timings or way == PTYLAB:
        return ""
    return f"{median_ratio(timings[PTYLAB], timings[way]):.2f}"


def _speed_figures(timings: dict[str, Timing], modes: int) -> list[Figure]:
    figures = []
    for peer, target in TARGETS[modes].items():
        on = f"128², {mode_count(modes)}, one thread"
        if peer not in timings:
            figures.append(
                Figure(f"speed beside {peer}", on, "needs: pip install ptylab", f"{target:g}×", None)
            )
            continue
        ratio = median_ratio(timings[peer], timings[OURS])
        figures.append(
            Figure(
                f"speed beside {peer}", on, f"{ratio:.1f}×", f"{target:g}×", ratio >= target, is_binding=False
            )
        )
    return figures


def mode_count(count: int) -> str:
    """Say how many modes."""
    return "1 mode" if count == 1 else f"{count} modes"


def threads(*, quick: bool) -> list[Figure]:
    """Measure two threads beside one, in a process of its own: this one has one thread."""
    figures = []
    for modes in MODES:
        name, on = "two threads beside one", f"128², {mode_count(modes)}, batches of {BATCH}, wall time"
        target = f"{THREADS_TARGET}×"
        if (os.cpu_count() or 1) < 2:
            figures.append(Figure(name, on, "needs two processors", target, None, is_binding=False))
            continue
        ratio = _threads_in_process(modes, rounds=2 if quick else 21)
        figures.append(Figure(name, on, f"{ratio:.2f}×", target, ratio >= THREADS_TARGET, is_binding=False))
    return figures


def _threads_in_process(modes: int, rounds: int) -> float:
    environment = os.environ | {
        "NUMBA_NUM_THREADS": "2",
        "FASTIMG_NUM_THREADS": "2",
        "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH", "")])),
    }
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.compare.ptychography_speed", str(modes), str(rounds)],
        env=environment,
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(json.loads(finished.stdout)["ratio"])


def main() -> None:
    """Print how many times as fast two threads are, for a number of modes and of rounds."""
    import fastimg

    modes, rounds = int(sys.argv[1]), int(sys.argv[2])
    scan = scan_of(128, POSITIONS, modes)

    def run(count: int) -> None:
        fastimg.set_num_threads(count)
        _ours(scan, modes, 10, subpixel=False)

    timings = interleaved({"one": partial(run, 1), "two": partial(run, 2)}, rounds=rounds)
    print(json.dumps({"ratio": median_ratio(timings["one"], timings["two"])}))


if __name__ == "__main__":
    main()
