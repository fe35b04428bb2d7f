"""Reconstruction by the ptychographic iterative engine, in mini-batches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastimg._arrays import namespace
from fastimg._warnings import ConvergenceWarning
from fastimg.ptychography._iterations import Settings
from fastimg.ptychography._reconstruction import Reconstruction
from fastimg.ptychography._refinement import PositionRefinement
from fastimg.ptychography._run import Run, fresh, resumed

if TYPE_CHECKING:
    from fastimg.ptychography._scan import Scan

__all__ = ["IterationState", "reconstruct"]

# Errors below this are rounding
_SAME = 1e-4

_REFINING_MOMENTUM = 0.8


@dataclass(frozen=True)
class IterationState:
    """What a callback is given after each iteration.

    Attributes
    ----------
    iteration : int
        Iterations done, those before a ``resume`` included.
    iterations : int
        Iterations asked for.
    """

    iteration: int
    iterations: int
    _history: dict[str, Any] = field(repr=False)
    _snapshot: Callable[[], Reconstruction] = field(repr=False)

    @property
    def error(self) -> float:
        """Relative misfit of the amplitudes; asking waits for the device."""
        return float(self._history["error"][self.iteration - 1])

    @property
    def position_change(self) -> float:
        """RMS distance that the positions moved in this iteration, in pixels; asking waits for the device."""
        return float(self._history["position_change"][self.iteration - 1])

    def reconstruction(self) -> Reconstruction:
        """Return the state so far as a result of its own: to save, to look at, or to resume from."""
        return self._snapshot()


def reconstruct(
    scan: Scan,
    *,
    algorithm: Literal["rpie", "epie"] = "rpie",
    modes: int = 1,
    iterations: int = 100,
    batch_size: int = 8,
    alpha_object: float = 0.75,
    alpha_probe: float = 0.75,
    gamma: float = 0.3,
    beta: float = 0.5,
    position_refinement: PositionRefinement | None = None,
    subpixel: bool = True,
    probe: Any = None,
    object: Any = None,
    momentum: float | None = None,
    probe_start: int = 1,
    orthogonalize: bool = True,
    deterministic: bool = True,
    rng: int | np.random.Generator | None = 0,
    callback: Callable[[IterationState], Any] | None = None,
    progress: bool = False,
    resume: Reconstruction | None = None,
) -> Reconstruction:
    """Reconstruct object, probe and, if asked for, positions from a scan.

    Parameters
    ----------
    scan : Scan
        At least two positions. The result is of its precision, and on its device.
    algorithm : {"rpie", "epie"}, optional
        rPIE [1]_ [2]_; or ePIE, which is rPIE with ``gamma = beta = 1``. With several modes these are M-rPIE
        and M-ePIE.
    modes : int, optional
        Mutually incoherent modes of the illumination.
    iterations : int, optional
        How often every position is used, those of ``resume`` included.
    batch_size : int, optional
        Positions that are used at the same time, spread over the scan. 1 is the sequential algorithm of the
        papers; 8 needs about the same number of iterations and keeps several cores busy; the more, the slower
        the convergence.
    alpha_object, alpha_probe : float, optional
        Step lengths α_O and α_P of equations 5 and 6 of [1]_, above 0 up to 2.
    gamma, beta : float, optional
        Regularisation γ of the object's and β of the probe's update, in (0, 1]. Small ones make weakly lit
        parts of the object converge sooner; a gamma below about 0.1 may diverge.
    momentum : float, optional
        Add this part of an iteration's change to object, probe and refined positions again, but for the
        first five iterations and the last 15 % of them, in the manner of mPIE [2]_; in [0, 1). 0 is the
        algorithm of [1]_; by default 0.8 where positions are refined, since wrong positions and a wrong probe
        hold each other, else 0. Adam's positions have a momentum of their own.
    position_refinement : PositionRefinement, optional
        Refine the positions; by default they are kept.
    subpixel : bool, optional
        Shift the probe by the fraction of each position; else positions are rounded.
    probe : (N, N) or (modes, N, N) array_like, optional
        Where to start; by default ``scan.probe``, else a guess from the counts, for which ePIE needs luck.
        Missing modes are added by ``probe_modes``. Its scale counts: see ``Reconstruction.probe``.
    object : (H, W) array_like, optional
        Where to start; positions are then in its pixels. By default ones, in a frame that holds all boxes
        (with a margin of 16 pixels where positions are refined).
    probe_start : int, optional
        Iterations before the probe is updated; ``iterations`` keeps it.
    orthogonalize : bool, optional
        Make the modes orthogonal after each iteration, ordered by power. This does not change the misfit.
    deterministic : bool, optional
        False: on a GPU, update the object by atomic additions, whose order and so rounding vary between runs.
    rng : int, numpy.random.Generator or None, optional
        Draws the order of the positions.
    callback : callable, optional
        Called with an ``IterationState`` after each iteration; a true result ends the reconstruction.
    progress : bool, optional
        Show a progress bar with the error.
    resume : Reconstruction, optional
        Go on from this result of the same scan, with its object, probe, positions, draws and history, up to
        ``iterations`` in all; then ``modes``, ``probe``, ``object`` and ``rng`` are not used.

    Returns
    -------
    Reconstruction

    Raises
    ------
    TypeError
        If ``scan`` is no ``Scan``, or a start is not on its device.
    ValueError
        If a number is outside its range, a start does not fit the scan, a position lies outside ``object``,
        or the scan has fewer than two positions. Nothing has been computed then.

    Warns
    -----
    ConvergenceWarning
        If the error is not finite at the end, or larger than at the start.

    Notes
    -----
    Within a batch, numerators and denominators of equations 5 and 6 are summed over the positions. At
    sub-pixel positions the object is cropped at whole pixels, the probe is shifted by the rest in Fourier
    space, and its change is shifted back. Beyond the scan about an object and three batches of exit waves are
    held.

    References
    ----------
    .. [1] F. Guzzi et al., PeerJ Computer Science 8, e1036 (2022). :doi:`10.7717/peerj-cs.1036`
    .. [2] A. Maiden, D. Johnson, P. Li, Optica 4, 736-745 (2017). :doi:`10.1364/OPTICA.4.000736`

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.ptychography import (
    ...     gaussian_probe, object_error, raster_positions, reconstruct, simulate
    ... )
    >>> rng = np.random.default_rng(0)
    >>> truth = np.exp(1j * rng.random((40, 40)))
    >>> positions = raster_positions((7, 7), 3, jitter=1, rng=rng)
    >>> scan = simulate(truth, gaussian_probe(16, 6.0, curvature=2), positions, photons=1e6, rng=rng)
    >>> result = reconstruct(scan, iterations=50)
    >>> object_error(result, truth) < 0.1
    True
    """
    _check_scan(scan)
    if algorithm not in ("rpie", "epie"):
        raise ValueError(f"algorithm is {algorithm!r}; accepted are 'rpie' and 'epie'")
    if position_refinement is not None and not isinstance(position_refinement, PositionRefinement):
        raise TypeError(
            f"position_refinement is a {type(position_refinement).__name__}; accepted are PositionRefinement "
            "and None"
        )
    if algorithm == "epie":
        gamma = beta = 1.0
    if momentum is None:
        momentum = 0.0 if position_refinement is None else _REFINING_MOMENTUM
    _check_numbers(
        modes, iterations, batch_size, probe_start, alpha_object, alpha_probe, gamma, beta, momentum
    )
    xp = namespace(intensities=scan.intensities, probe=probe, object=object)
    settings = Settings(
        algorithm=algorithm, modes=int(modes), iterations=int(iterations), batch_size=int(batch_size),
        alpha_object=float(alpha_object), alpha_probe=float(alpha_probe), gamma=float(gamma),
        beta=float(beta), momentum=float(momentum), position_refinement=position_refinement,
        subpixel=bool(subpixel), probe_start=int(probe_start), orthogonalize=bool(orthogonalize),
        deterministic=bool(deterministic),
        seed=_seed(rng if resume is None else 0),
    )  # fmt: skip
    if resume is None:
        return _iterated(fresh(xp, scan, settings, modes, probe, object), callback, progress)
    return _iterated(resumed(xp, scan, settings, resume), callback, progress)


def _iterated(run: Run, callback: Callable[[IterationState], Any] | None, progress: bool) -> Reconstruction:
    iterations = run.solver.settings.iterations
    with _progress_bar(run.done, iterations, progress) as bar:
        while run.done < iterations:
            error, change = run.solver.iterate(run.done)
            run.history["error"][run.done], run.history["position_change"][run.done] = error, change
            run.done += 1
            bar.update()
            if progress:
                bar.set_postfix(error=f"{float(error):.4f}")
            state = IterationState(run.done, iterations, run.history, run.snapshot)
            if callback is not None and callback(state):
                break
    result = run.finish()
    _warn_of_divergence(result.history["error"])
    return result


def _progress_bar(done: int, iterations: int, shown: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=iterations, initial=done, unit="iteration", disable=not shown)


def _warn_of_divergence(error: np.ndarray) -> None:
    advice = "lower alpha_object and alpha_probe, raise gamma and beta, or start from a better probe"
    if len(error) and not np.isfinite(error[-1]):
        first = int(np.argmin(np.isfinite(error)))
        warnings.warn(
            f"the error is not finite from iteration {first + 1} on: {advice}", ConvergenceWarning, 4
        )
    elif len(error) > 1 and error[-1] > 1.01 * error[0] + _SAME:
        message = f"the error rose from {error[0]:.4g} to {error[-1]:.4g}: {advice}"
        warnings.warn(message, ConvergenceWarning, 4)


def _seed(rng: int | np.random.Generator | None) -> int:
    return int(np.random.default_rng(rng).integers(1 << 62))


def _check_scan(scan: Any) -> None:
    from fastimg.ptychography._scan import Scan

    if not isinstance(scan, Scan):
        raise TypeError(f"scan is a {type(scan).__name__}; accepted is a fastimg.ptychography.Scan")
    if len(scan.positions) < 2:
        raise ValueError(
            f"scan has {len(scan.positions)} position; accepted are at least 2, whose boxes should overlap"
        )
    if scan.intensities.shape[-1] < 2:
        raise ValueError("scan has frames of 1 × 1 pixel; accepted are frames of at least 2 × 2")


def _check_numbers(
    modes: int,
    iterations: int,
    batch_size: int,
    probe_start: int,
    alpha_object: float,
    alpha_probe: float,
    gamma: float,
    beta: float,
    momentum: float,
) -> None:
    whole = {"modes": (modes, 1), "iterations": (iterations, 0), "batch_size": (batch_size, 1)}
    for name, (count, least) in (whole | {"probe_start": (probe_start, 0)}).items():
        if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < least:
            raise ValueError(f"{name} is {count!r}; accepted are whole numbers from {least}")
    steps = {"alpha_object": (alpha_object, 2), "alpha_probe": (alpha_probe, 2), "gamma": (gamma, 1)}
    for name, (value, most) in (steps | {"beta": (beta, 1)}).items():
        is_number = isinstance(value, int | float | np.number) and math.isfinite(value)
        if not is_number or not 0 < value <= most:
            raise ValueError(f"{name} is {value!r}; accepted are numbers above 0 up to {most}")
    if not isinstance(momentum, int | float | np.number) or not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum!r}; accepted are numbers from 0 to below 1")
