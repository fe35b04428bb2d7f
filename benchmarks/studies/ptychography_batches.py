"""What mini-batches cost in convergence, and what spreading their positions over the scan gains.

Setting: 64² frames, 12 × 12 positions, step 7 ± 1.75 px, an object of photographs at 176², a soft aperture
defocused to 2.0 rad in 2 modes with parts 1 : 0.35 of the power, 1e6 counts a frame on average, 3 seeds. The
start is one mode defocused to 1.7 rad, of the right power; rPIE with its default parameters, 60 iterations.
The error is that of the object where it is well lit (``object_error``).

``reconstruct`` spreads its batches. The compact ones are made here: groups of neighbours, each used by a call
of ``reconstruct`` on its part of the scan, which goes on from the object and the probe of the call before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare._rows import Figure
from benchmarks.studies._experiment import Experiment, scaled_start, virtual_experiment
from benchmarks.studies._tables import Options, Study, Table
from fastimg.ptychography import object_error, reconstruct

ROWS, ITERATIONS, MODES, SEEDS = 12, 60, 2, (0, 1, 2)
# Neighbours of a compact batch: 2 rows by 4 columns of the raster
COMPACT = (2, 4)


def study(options: Options) -> Study:
    """Measure the error after 60 iterations with each kind of batch."""
    seeds, iterations = (SEEDS[:1], 2) if options.quick else (SEEDS, ITERATIONS)
    experiments = [_experiment(seed) for seed in seeds]
    ways = {"1 (sequential)": 1, "8, spread": 8, "24, spread": 24, "all 144": ROWS * ROWS}
    errors = {name: [_spread(e, size, iterations) for e in experiments] for name, size in ways.items()}
    errors["8, compact"] = [_compact(e, iterations) for e in experiments]
    order = ("1 (sequential)", "8, spread", "8, compact", "24, spread", "all 144")
    rows: list[tuple[str, ...]] = [
        (name, ", ".join(f"{error:.4f}" for error in errors[name])) for name in order
    ]
    table = Table("relative error of the well-lit object, one number a seed", ("batch", "error"), rows)
    ratio = max(s / c for s, c in zip(errors["8, spread"], errors["8, compact"], strict=True))
    figure = Figure(
        "core error, 8 spread to 8 compact",
        f"{len(seeds)} seeds",
        f"largest ratio {ratio:.2f}",
        "< 1",
        bool(ratio < 1),
    )
    return Study("ptychography-batches", (__doc__ or "").strip(), [table], [figure], {"errors": errors})


def _experiment(seed: int) -> Experiment:
    return virtual_experiment(
        seed=seed, object_size=176, frame=64, rows=ROWS, step=7, jitter=1.75, photons=1e6, modes=MODES
    )


def _spread(experiment: Experiment, batch_size: int, iterations: int) -> float:
    scan = experiment.scan
    result = reconstruct(
        scan,
        modes=MODES,
        iterations=iterations,
        batch_size=batch_size,
        probe=scaled_start(scan.probe, 1.7),
    )
    return object_error(result, experiment.truth)


def _compact(experiment: Experiment, iterations: int) -> float:
    """Use every batch of neighbours once an iteration, in random order."""
    scan, rng = experiment.scan, np.random.default_rng(0)
    parts = [scan[batch] for batch in _neighbours()]
    # the modes to start from are those of reconstruct, and the frame is that of the truth
    start = reconstruct(scan, modes=MODES, iterations=0, probe=scaled_start(scan.probe, 1.7))
    probe: Any = start.probe
    found: Any = np.ones_like(experiment.truth)
    for iteration in range(iterations):
        for number in rng.permutation(len(parts)):
            part = parts[number]
            result = reconstruct(
                part,
                modes=MODES,
                iterations=1,
                batch_size=len(part),
                probe=probe,
                object=found,
                probe_start=0 if iteration else 1,
                orthogonalize=False,
            )
            found, probe = result.object, result.probe
    return object_error(found, experiment.truth, positions=scan.positions, probe=probe)


def _neighbours() -> list[NDArray[np.int64]]:
    """Return the frame numbers of each batch of neighbours."""
    down, across = COMPACT
    blocks = np.arange(ROWS * ROWS).reshape(ROWS // down, down, ROWS // across, across)
    return list(blocks.swapaxes(1, 2).reshape(-1, down * across))
