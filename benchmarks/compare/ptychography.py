"""Ptychography beside plain NumPy and scipy.fft and, where it is installed, PtyLab."""

from __future__ import annotations

import sys
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import plain_ptychography
from benchmarks.compare._rows import Comparison, Figure, Options
from benchmarks.compare.ptychography_inputs import bad_input
from benchmarks.compare.ptychography_speed import PTYLAB, mode_count, scan_of, speed, threads
from benchmarks.suites import ptychography_memory
from fastimg.ptychography import Reconstruction, Scan, reconstruct
from fastimg.ptychography._batches import ordered_batches, spread_groups

NOTES = [
    "figures of equality and precision: a smooth random object, whole pixels, position by position.",
    "time: one position of one iteration, one thread, median processor time; a whole call of 20 (256²: 5).",
    "ratio: plain NumPy's time to it, median of rounds; in the last column PtyLab's.",
    "fastimg: rPIE, batches of 8, float32; whole pixels, or sub-pixel; refined: fixed gain, by signal.",
    "plain NumPy + scipy.fft: float32, position by position. PtyLab: ePIE, complex64, faster FFT setting.",
]
EQUALITY, ROUNDING = 1e-12, 2.0


def compare(options: Options) -> Comparison:
    """Measure every figure, and time us beside the peers."""
    figures = [*_equalities(), *_single_precision(quick=options.quick), *bad_input()]
    figures += _memory(positions=200 if options.quick else 2000)
    times, speeds = speed(quick=options.quick)
    figures += [*speeds, *threads(quick=options.quick)]
    return Comparison("ptychography", figures, times, NOTES, accuracy=f"{PTYLAB} to it")


def _equalities() -> list[Figure]:
    """Compare rPIE with β = γ = 1 to M-ePIE and, with one mode, to ePIE, in double precision."""
    figures = []
    for modes, name in ((1, "ePIE"), (3, "M-ePIE")):
        scan = _double(scan_of(64, 36, modes))
        ours = _ours(scan, modes, 3, gamma=1.0, beta=1.0)
        as_epie = _ours(scan, modes, 3, algorithm="epie")
        same = all(
            np.array_equal(getattr(ours, part), getattr(as_epie, part)) for part in ("object", "probe")
        )
        on = f"64², {mode_count(modes)}, 36 positions, 3 iterations, float64"
        plain = plain_ptychography.epie_pass if modes == 1 else plain_ptychography.mepie_pass
        error = max(_differences(_arrays(ours), _plain(scan, ours, 3, plain)).values())
        figures += [
            Figure(
                f"rPIE with β = γ = 1 to {name} in NumPy",
                on,
                f"{error:.1e}",
                f"{EQUALITY:g}",
                error <= EQUALITY,
            ),
            Figure(
                "rPIE with β = γ = 1 to algorithm='epie'", on, "equal" if same else "not equal", "equal", same
            ),
        ]
    return figures


def _single_precision(*, quick: bool) -> list[Figure]:
    """Compare an iteration in float32 with plain NumPy in complex128, beside plain NumPy in float32.

    With one mode the far field has zeros, next to which a phase is little more than rounding: how exact any
    iteration in single precision can be depends on the scan.
    """
    figures = []
    for size in (64,) if quick else (64, 128, 192, 256):
        for modes in (1, 4):
            scan = scan_of(size, 36, modes)
            ours = _ours(scan, modes, 1)
            exact, theirs = (
                _plain(scan, ours, 1, plain_ptychography.rpie_pass, dtype)
                for dtype in (np.complex128, np.complex64)
            )
            errors, allowed = _differences(_arrays(ours), exact), _differences(theirs, exact)
            figures.append(
                Figure(
                    "float32 to complex128, one iteration",
                    f"{size}², {mode_count(modes)}, 36 positions",
                    f"{_listed(errors)} (plain NumPy in float32: {_listed(allowed)})",
                    f"{ROUNDING:g} × plain NumPy in float32",
                    all(errors[name] <= ROUNDING * allowed[name] for name in errors),
                )
            )
    return figures


def _arrays(result: Reconstruction) -> dict[str, NDArray[Any]]:
    return {"object": result.object, "probe": result.probe}


def _listed(errors: dict[str, float]) -> str:
    return ", ".join(f"{name} {error:.1e}" for name, error in errors.items())


def _double(scan: Scan) -> Scan:
    return Scan(scan.intensities.astype(np.float64), scan.positions, probe=scan.probe.astype(np.complex128))


def _start(scan: Scan) -> dict[str, Any]:
    """Return object and probe to start from: wrong, and with light on the whole detector.

    Where the model of a measured amplitude is no more than rounding, so is its phase, whatever the precision.
    """
    size = scan.intensities.shape[-1]
    row = np.arange(size) - size // 2
    probe = scan.probe * np.exp(0.5j * (row / (size / 8)) ** 2)
    phase = np.random.default_rng(1).random(scan.object_shape)
    dtype = scan.probe.dtype
    return {"object": np.exp(1j * phase).astype(dtype), "probe": probe.astype(dtype)}


def _ours(scan: Scan, modes: int, iterations: int, **arguments: Any) -> Reconstruction:
    return reconstruct(
        scan,
        modes=modes,
        iterations=iterations,
        batch_size=1,
        subpixel=False,
        probe_start=0,
        orthogonalize=False,
        **_start(scan),
        **arguments,
    )


def _plain(
    scan: Scan, ours: Reconstruction, iterations: int, plain: Any, dtype: Any = np.complex128
) -> dict[str, NDArray[Any]]:
    """Do the same in plain NumPy, in the same order."""
    found, probe = (start.astype(dtype) for start in _start(scan).values())
    amplitude = np.sqrt(scan.intensities.astype(found.real.dtype))
    corners = scan.positions.astype(int) - np.asarray(ours.origin)
    groups = spread_groups(scan.positions, 1)
    for iteration in range(iterations):
        order, _ = ordered_batches(groups, np.random.default_rng((ours.parameters["seed"], iteration)))
        plain(found, probe, amplitude, corners, order)
    return {"object": found, "probe": probe}


def _differences(found: dict[str, NDArray[Any]], exact: dict[str, NDArray[Any]]) -> dict[str, float]:
    """Return the relative error of each array."""
    return {
        name: float(np.linalg.norm(found[name] - array) / np.linalg.norm(array))
        for name, array in exact.items()
    }


def _memory(positions: int) -> list[Figure]:
    """Memory beyond the scan; in a process of its own."""
    figures = []
    # Refined, momentum holds copies of object and probe, and the signal "object" two more batches; with
    # fractions of a pixel, one mode's power takes half a batch: those rows say what there is.
    ways = {"whole pixels": (False, False), "sub-pixel": (False, True), "refined": (True, True)}
    for modes, (way, (refine, subpixel)) in product((1, 4), ways.items()):
        on = f"{positions} frames of 128², {mode_count(modes)}, {way}, batches of 8"
        if sys.platform != "linux":
            figures.append(Figure("memory beyond the scan", on, "needs Linux", "", None))
            continue
        taken = ptychography_memory.measure(positions, modes, refine=refine, subpixel=subpixel)
        limit = taken["object_bytes"] + 3 * taken["batch_bytes"]
        mebi = {name: value / 2**20 for name, value in taken.items()}
        figures.append(
            Figure(
                "memory beyond the scan",
                on,
                f"{mebi['arrays_bytes']:.1f} MiB of arrays ({mebi['beyond_scan_bytes']:.1f} resident)",
                f"object + 3 batches of exit waves = {limit / 2**20:.1f} MiB",
                taken["arrays_bytes"] <= limit,
                is_binding=not subpixel,
            )
        )
    return figures
