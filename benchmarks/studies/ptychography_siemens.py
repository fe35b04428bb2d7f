"""A measured scan, a Siemens star in soft X-rays: misfit of the amplitudes after 60 iterations.

Setting: ``ptychography/siemens-star-small.npz.bz2`` of the tike project (516 far-field frames of 128², median
step 9 px; tests/data of https://github.com/AdvancedPhotonSource/tike), found in the folder ``$FASTIMG_DATA``,
else in ``shared/data`` beside the repository. The start is the probe of the file, scaled to the mean counts
of a frame; rPIE with its default parameters, 1 and 3 modes, with and without refinement of the positions.
The misfit is that of the last iteration: the root of Σ(√I - |Ψ|)² / ΣI, each batch as it was met.
"""

from __future__ import annotations

import bz2
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare._rows import Figure
from benchmarks.studies._experiment import power_of
from benchmarks.studies._tables import Options, Study, Table
from fastimg.ptychography import PositionRefinement, Reconstruction, Scan, reconstruct

FILE = "ptychography/siemens-star-small.npz.bz2"
ITERATIONS = 60
TARGETS = {1: 0.14, 3: 0.115}
# A misfit creeps up where it ends above its minimum by more than this part, its scatter between iterations
CREEP = 1e-3
WAYS: dict[str, PositionRefinement | None] = {
    "given positions": None,
    "refined, default": PositionRefinement(),
    "refined, fixed, object": PositionRefinement("fixed", "object"),
    "refined, adam, object": PositionRefinement("adam", "object"),
}
NAME = "ptychography-siemens"


def study(options: Options) -> Study:
    """Reconstruct with 1 and 3 modes and every way to treat the positions."""
    path = _data_folder() / FILE
    setting = (__doc__ or "").strip()
    if not path.is_file():
        return Study(
            NAME, setting, skipped=f"{path} does not exist; set FASTIMG_DATA to the folder of the data"
        )
    scan = read(path)
    iterations = 2 if options.quick else ITERATIONS
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    data: dict[str, Any] = {}
    for modes, target in TARGETS.items():
        kept = np.inf
        for way, refinement in WAYS.items():
            result = reconstruct(scan, modes=modes, iterations=iterations, position_refinement=refinement)
            error = result.history["error"]
            moved = float(np.sqrt(((result.positions - scan.positions) ** 2).sum(axis=1).mean()))
            data[f"{modes} modes, {way}"] = {"error": error.tolist(), "moved_px": moved}
            rows.append((f"{modes}", way, f"{error[-1]:.4f}", f"{error.argmin() + 1}", f"{moved:.2f} px"))
            figures += _figures(modes, way, target, error, kept)
            kept = error[-1] if refinement is None else kept
            if options.figures is not None:
                _draw(
                    result,
                    options.figures / f"siemens-{modes}-{way.replace(', ', '-').replace(' ', '-')}.png",
                )
    head = ("modes", "positions", "misfit", "least at iteration", "moved, RMS")
    return Study(NAME, setting, [Table(f"after {iterations} iterations", head, rows)], figures, data)


def read(path: Path) -> Scan:
    """Read the scan, positions from 0, the probe scaled to the mean counts of a frame."""
    with bz2.open(path) as packed, np.load(io.BytesIO(packed.read())) as arrays:
        frames, positions, probe = arrays["data"][0], arrays["scan"][0], arrays["probe"]
    size = frames.shape[-1]
    wave = probe.reshape(size, size)
    wave = wave * np.float32(np.sqrt(frames.sum(dtype=np.float64) / len(frames) / power_of(wave)))
    return Scan(frames, positions - positions.min(axis=0), probe=wave)


def _data_folder() -> Path:
    given = os.environ.get("FASTIMG_DATA")
    return Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "data"


def _figures(modes: int, way: str, target: float, error: Any, kept: float) -> list[Figure]:
    on, last = f"{modes} modes, {way}", float(error[-1])
    creep = last / float(error.min()) - 1
    figures = [
        Figure("misfit", on, f"{last:.4f}", f"{target}", bool(last <= target)),
        Figure(
            "misfit above its minimum", on, f"{100 * creep:.3f} %", f"{100 * CREEP:g} %", bool(creep <= CREEP)
        ),
    ]
    if np.isfinite(kept):
        figures.append(
            Figure("misfit, refined to given positions", on, f"{last / kept:.3f}", "< 1", bool(last < kept))
        )
    return figures


def _draw(result: Reconstruction, path: Path) -> None:
    result.plot().savefig(path, dpi=110)
