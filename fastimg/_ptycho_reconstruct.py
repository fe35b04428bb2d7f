"""Reconstruction from file to file, with checkpoints: what ``fastimg ptycho reconstruct`` does."""

from __future__ import annotations

import math
import os
import signal
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np

from fastimg._ptycho_files import READING, check_folder, is_reconstruction, named, read_probe, read_scan
from fastimg.ptychography import PositionRefinement, Reconstruction, Scan, reconstruct
from fastimg.ptychography._reconstruct import IterationState

__all__ = ["Diverged", "Job", "Stopped", "run"]

# Options that only mean something at the start
_ONLY_AT_START = ("algorithm", "modes", "probe", "seed")

_REFINEMENT = {"gain": "gain", "signal": "signal", "step": "refine_step", "start": "refine_start"}


class Diverged(RuntimeError):
    """The error is no longer finite."""


class Stopped(Exception):
    """The user asked for the end; the message says what is kept."""


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes
    ----------
    source, target : pathlib.Path
        CXI file of the scan, HDF5 file of the result.
    options : mapping
        All options by their names on the command line.
    given : frozenset of str
        Names of those that the user gave; with ``resume``, only these count.
    resume, overwrite : bool
        Whether to go on from ``target``, or to replace it.
    checkpoint_every : int
        Iterations; 0 for none.
    device : {"cpu", "cuda"}
    """

    source: Path
    target: Path
    options: Mapping[str, Any]
    given: frozenset[str]
    resume: bool = False
    overwrite: bool = False
    checkpoint_every: int = 0
    device: str = "cpu"

    def chosen(self, *names: str) -> dict[str, Any]:
        """Return those of these options that the user gave."""
        return {name: self.options[name] for name in names if name in self.given}


def run(job: Job, *, progress: bool = False) -> Reconstruction:
    """Reconstruct, and write the result.

    Raises
    ------
    ValueError, TypeError, OSError, ImportError
        If something about the job is wrong; nothing has been computed then.
    Diverged
        If the error is not finite. What diverged is not written.
    Stopped
        After the user's interrupts. The first ends the reconstruction after the running iteration, and the
        result is written; the second ends it at once, and the last checkpoint stays.
    """
    before = _check_target(job)
    xp = _device(job.device)
    record = {} if before is None else dict(before.parameters.get("scan", {}))
    reading = {name: record[name] for name in READING if name in record} | job.chosen(*READING)
    scan = read_scan(job.source, **reading)
    fingerprint = _fingerprint(scan)
    if record.get("fingerprint", fingerprint) != fingerprint:
        raise ValueError(
            f"{job.source} is not the scan that {job.target} was made from, or is read in another way"
        )
    record = {"file": job.source.name, "fingerprint": fingerprint, **reading}
    arguments = _arguments(job, scan) if before is None else _resumed_arguments(job, before)
    keeper = _Keeper(job, record)
    if before is not None:
        keeper.kept = before.iterations
        if before.iterations >= arguments["iterations"]:
            return before
    with _first_interrupt_waits() as interrupted:
        try:
            result = _reconstruct(job, scan.to(xp), arguments, before, keeper, interrupted, progress)
        except KeyboardInterrupt:
            raise Stopped(f"stopped at once; {keeper.how_to_go_on()}") from None
    if result.iterations < arguments["iterations"]:
        raise Stopped(f"stopped; {keeper.how_to_go_on()}")
    return result


def _reconstruct(
    job: Job,
    scan: Scan,
    arguments: dict[str, Any],
    before: Reconstruction | None,
    keeper: _Keeper,
    interrupted: Callable[[], bool],
    progress: bool,
) -> Reconstruction:
    def after_iteration(state: IterationState) -> bool:
        return keeper(state) or interrupted()

    with named(job.source):
        result = reconstruct(scan, **arguments, resume=before, callback=after_iteration, progress=progress)
    if not math.isfinite(result.history["error"][-1]):
        raise Diverged(f"the reconstruction diverged; {keeper.left()}")
    keeper.keep(result)
    return result


@dataclass
class _Keeper:
    """Writes checkpoints, and knows which is the last."""

    job: Job
    record: Mapping[str, Any]
    kept: int | None = field(default=None)

    def __call__(self, state: IterationState) -> bool:
        """Write the checkpoints that are due; true if the reconstruction has diverged."""
        every = self.job.checkpoint_every
        if not every or state.iteration % every or state.iteration == state.iterations:
            return False
        if not math.isfinite(state.error):
            return True
        self.keep(state.reconstruction())
        return False

    def keep(self, result: Reconstruction) -> None:
        replace(result, parameters={**result.parameters, "scan": dict(self.record)}).save(self.job.target)
        self.kept = result.iterations

    def left(self) -> str:
        """Say what is in the file."""
        if self.kept is None:
            return f"there was no checkpoint yet, {self.job.target} was not written"
        return f"{self.job.target} holds {self.kept} iterations"

    def how_to_go_on(self) -> str:
        """Say what is in the file, and which command goes on from it."""
        if self.kept is None:
            return self.left()
        command = f"fastimg ptycho reconstruct {self.job.source} -o {self.job.target} --resume"
        return f"{self.left()}; to go on: {command}"


@contextmanager
def _first_interrupt_waits() -> Iterator[Callable[[], bool]]:
    """Within the block the first SIGINT is only noted, and the second is a KeyboardInterrupt as usual."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)
        # a handler may run in the middle of a print: only the bare system call is safe
        with suppress(OSError):
            os.write(2, b"\nstopping after this iteration; press Ctrl-C again to stop at once\n")

    usual = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, usual)


def _arguments(job: Job, scan: Scan) -> dict[str, Any]:
    """Return the arguments of ``reconstruct`` for a new reconstruction."""
    options = job.options
    names = (
        "algorithm", "modes", "iterations", "batch_size", "alpha_object", "alpha_probe", "gamma", "beta",
        "momentum", "subpixel",
    )  # fmt: skip
    probe = None if options["probe"] is None else read_probe(options["probe"], scan.intensities.shape[-1])
    if probe is not None and job.device == "cuda":
        probe = _device(job.device).asarray(probe)
    return {
        **{name: options[name] for name in names},
        "probe_start": options["probe_start"],
        "position_refinement": _refinement(job, None),
        "probe": probe,
        "rng": options["seed"],
    }


def _resumed_arguments(job: Job, before: Reconstruction) -> dict[str, Any]:
    """Return the arguments that the file was made with, but for what the user gave."""
    fixed = [name for name in _ONLY_AT_START if name in job.given]
    if fixed:
        raise ValueError(f"--{fixed[0]} is given with --resume; it belongs to the start of a reconstruction")
    names = (
        "algorithm", "iterations", "batch_size", "alpha_object", "alpha_probe", "gamma", "beta", "momentum",
        "subpixel", "probe_start", "orthogonalize", "deterministic",
    )  # fmt: skip
    stored = {name: before.parameters[name] for name in names if name in before.parameters}
    refinement = _refinement(job, before.parameters.get("position_refinement"))
    return stored | job.chosen(*names) | {"position_refinement": refinement}


def _refinement(job: Job, stored: Mapping[str, Any] | None) -> PositionRefinement | None:
    given = {
        name: job.options[option] for name, option in _REFINEMENT.items() if job.options[option] is not None
    }
    refines = job.options["refine_positions"]
    if refines is None:
        refines = stored is not None
    if not refines and given:
        option = next(option for name, option in _REFINEMENT.items() if name in given)
        raise ValueError(f"--{option.replace('_', '-')} is given without --refine-positions")
    settings = dict(stored or {})
    if {"gain", "signal"} & given.keys():
        settings.pop("step", None)  # its size and its unit belong to them
    settings |= given
    return PositionRefinement(**settings) if refines else None


def _check_target(job: Job) -> Reconstruction | None:
    """See whether the result can be written, and return what to go on from."""
    target = job.target
    check_folder(target)
    if target.exists() and target.samefile(job.source):
        raise ValueError(f"{target} is the scan itself; the result needs a file of its own")
    if job.resume:
        if job.overwrite:
            raise ValueError("--resume and --overwrite are given; accepted is one of them")
        before = Reconstruction.load(target)
        if "seed" not in before.parameters or not before.state:
            raise ValueError(f"{target} is no result of a reconstruction; there is nothing to go on from")
        return before
    if target.exists() and not job.overwrite:
        if is_reconstruction(target):
            raise ValueError(
                f"{target} holds a reconstruction; --resume goes on from it, --overwrite replaces it"
            )
        raise ValueError(f"{target} is there already, and no reconstruction; --overwrite replaces it")
    return None


def _device(name: str) -> ModuleType:
    if name == "cpu":
        return np
    from fastimg import _environment

    found = _environment.cuda_devices()
    if not found["devices"]:
        raise ValueError(f"--device cuda: {found['reason']}")
    import cupy

    return cupy


def _fingerprint(scan: Scan) -> str:
    """Tell scans apart by their positions, and the first and the last frame."""
    digest = 0
    for array in (scan.positions, scan.intensities[0], scan.intensities[-1]):
        digest = zlib.crc32(np.ascontiguousarray(array).tobytes(), digest)
    return f"{len(scan)}x{scan.intensities.shape[-1]}-{digest:08x}"
