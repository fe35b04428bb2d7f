"""How well the weakly lit border of the object is found: M-rPIE beside M-ePIE.

Setting: 64² frames, 12 × 12 positions, step 5 ± 1.25 px, an object of photographs at 160², a soft aperture
defocused to 2.0 rad, 5e6 counts a frame on average, 1 mode, and 3 modes with parts 1 : 0.35 : 0.2 of the
power; 2 seeds. Both start from one mode defocused to 1.7 rad, of the right power, and run 100 iterations in
batches of 8. The sparse scan is the chequerboard of the dense one, half of its positions. The ring is where
the dose is 0.1 to 10 % of its maximum, the core where it is above 30 % of the typical one (``object_error``);
both from the true probe.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.compare._rows import Figure
from benchmarks.studies._experiment import Experiment, scaled_start, virtual_experiment
from benchmarks.studies._tables import Options, Study, Table
from fastimg.ptychography import Scan, object_error, reconstruct

ROWS, ITERATIONS, SEEDS = 12, 100, (0, 1)
RING = (1e-3, 0.1)
TARGET = 0.5
# The gamma that the figure is of, and the default
GAMMA, DEFAULT_GAMMA = 0.15, 0.3
WAYS: dict[str, dict[str, Any]] = {
    "ePIE": {"algorithm": "epie"},
    f"rPIE, γ = {DEFAULT_GAMMA}": {"gamma": DEFAULT_GAMMA},
    f"rPIE, γ = {GAMMA}": {"gamma": GAMMA},
}


def study(options: Options) -> Study:
    """Measure ring and core of every way, scan and number of modes."""
    seeds, iterations = (SEEDS[:1], 2) if options.quick else (SEEDS, ITERATIONS)
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    data: dict[str, Any] = {}
    for modes in (1, 3):
        experiments = [_experiment(seed, modes) for seed in seeds]
        for scanned in ("dense", "sparse"):
            errors = {
                way: np.array(
                    [_errors(e, _scan(e, scanned), modes, iterations, settings) for e in experiments]
                )
                for way, settings in WAYS.items()
            }
            on = f"{scanned}, {modes} modes" if modes > 1 else f"{scanned}, 1 mode"
            ratios = {way: float(np.max(e[:, 0] / errors["ePIE"][:, 0])) for way, e in errors.items()}
            rows += [
                (on, way, _listed(e[:, 0]), f"{ratios[way]:.2f}", _listed(e[:, 1]))
                for way, e in errors.items()
            ]
            data[on] = {way: e.tolist() for way, e in errors.items()}
            if scanned == "dense":
                figures += [_figure(on, way, ratio) for way, ratio in ratios.items() if way != "ePIE"]
    head = ("scan", "algorithm", "error in the ring", "largest ratio to ePIE", "error in the core")
    table = Table("relative error of the object, one number a seed", head, rows)
    return Study("ptychography-ring", (__doc__ or "").strip(), [table], figures, data)


def _experiment(seed: int, modes: int) -> Experiment:
    return virtual_experiment(
        seed=seed, object_size=160, frame=64, rows=ROWS, step=5, jitter=1.25, photons=5e6, modes=modes
    )


def _scan(experiment: Experiment, scanned: str) -> Scan:
    if scanned == "dense":
        return experiment.scan
    row, column = np.divmod(np.arange(ROWS * ROWS), ROWS)
    return experiment.scan[(row + column) % 2 == 0]


def _errors(
    experiment: Experiment, scan: Scan, modes: int, iterations: int, settings: dict[str, Any]
) -> tuple[float, float]:
    """Return the errors in ring and core."""
    # no iteration leaves the true probe and positions, whose dose that is
    dose = reconstruct(scan, modes=modes, iterations=0).dose
    result = reconstruct(
        scan, modes=modes, iterations=iterations, probe=scaled_start(scan.probe, 1.7), **settings
    )
    largest = dose.max()
    typical = np.median(dose[dose > 0.3 * largest])
    ring = RING[0] * largest / typical, RING[1] * largest / typical
    return (
        object_error(result, experiment.truth, dose=dose, dose_range=ring),
        object_error(result, experiment.truth, dose=dose),
    )


def _figure(on: str, way: str, ratio: float) -> Figure:
    return Figure(
        f"ring error, {way} to ePIE",
        on,
        f"largest ratio {ratio:.2f}",
        f"≤ {TARGET}",
        ratio <= TARGET,
        is_binding=way.endswith(f"{GAMMA}"),
    )


def _listed(errors: Any) -> str:
    return ", ".join(f"{error:.4f}" for error in errors)
