"""The pictures of the chapter on ptychography."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg._virtual_experiment import VirtualExperiment
from fastimg.demo._chapter import Picture
from fastimg.demo._pictures import COLOURS, png, style
from fastimg.ptychography import Reconstruction
from fastimg.ptychography._reconstruction_plot import _coloured

__all__ = ["errors", "experiment", "objects", "positions", "probes"]

# Outside this part of the largest dose an object is hardly known
_LIT = 0.05


def experiment(made: VirtualExperiment) -> Picture:
    """The object, the illumination and one of the frames."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    frame = np.fft.fftshift(made.scan.intensities[len(made.scan) // 2])
    with style():
        figure = Figure(figsize=(7.2, 2.2), layout="constrained")
        axes = figure.subplots(1, 4)
        axes[0].imshow(np.abs(made.object), cmap="gray")
        axes[1].imshow(np.angle(made.object), cmap="gray")
        axes[2].imshow(_coloured(made.probe[0]))
        axes[3].imshow(np.maximum(frame, 0.5), cmap="magma", norm=LogNorm(0.5, frame.max()))
        titles = ("amplitude", "phase", "strongest mode", "one frame")
        _bare(axes, titles)
        picture = png(figure)
    return Picture(
        "ptychography-experiment.png",
        picture,
        "The object, the strongest mode of the illumination (hue: phase, brightness: amplitude), and a frame "
        "of the detector on a logarithmic scale.",
        "Four images: two photographs, a disc of rings, and a diffraction pattern.",
    )


def objects(made: VirtualExperiment, results: Mapping[str, Reconstruction]) -> Picture:
    """Amplitude and phase of the truth and of each reconstruction, where it is lit."""
    from matplotlib.figure import Figure

    lit = made.truth({}).dose
    lit = lit > _LIT * lit.max()
    waves = {"truth": made.object} | {name: _placed(made, result) for name, result in results.items()}
    rows, columns = (np.flatnonzero(lit.any(axis=axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    known = np.where(lit, 1.0, np.nan)
    with style():
        figure = Figure(figsize=(7.2, 3.9), layout="constrained")
        axes = figure.subplots(2, len(waves))
        kinds: tuple[Callable[..., Any], ...] = (np.abs, np.angle)
        for row, part_of in zip(axes, kinds, strict=True):
            bounds = np.quantile(part_of(made.object)[lit], (0.005, 0.995))
            for axis, wave in zip(row, waves.values(), strict=True):
                image = (part_of(wave) * known)[part]
                axis.imshow(image, cmap="gray", vmin=bounds[0], vmax=bounds[1])
            _bare(row)
        for axis, title in zip(axes[0], waves, strict=True):
            axis.set_title(title)
        axes[0, 0].set_ylabel("amplitude")
        axes[1, 0].set_ylabel("phase")
        picture = png(figure)
    return Picture(
        "ptychography-object.png",
        picture,
        "The object, where it is lit. The images of a row share one scale of grey.",
        "Rows of images: with refined positions the object looks like the truth; at the wrong ones it is "
        "blurred and grainy.",
    )


def positions(made: VirtualExperiment, result: Reconstruction) -> Picture:
    """Where the frames were taken, where the scan said so, and where the reconstruction found them."""
    from matplotlib.figure import Figure

    true = made.positions
    given, found = (
        places - (places - true).mean(axis=0) for places in (made.scan.positions, result.positions)
    )
    with style():
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        plane, distances = figure.subplots(1, 2, width_ratios=[1.25, 1])
        for a, b in zip(given, true, strict=True):
            plane.plot([a[1], b[1]], [a[0], b[0]], color=COLOURS[1], linewidth=0.6, alpha=0.6)
        plane.plot(
            true[:, 1], true[:, 0], "o", color=COLOURS[0], markersize=6, fillstyle="none", label="true"
        )
        plane.plot(given[:, 1], given[:, 0], ".", color=COLOURS[1], markersize=4, label="given")
        plane.plot(found[:, 1], found[:, 0], ".", color=COLOURS[2], markersize=4, label="found")
        plane.set(xlabel="column / px", ylabel="row / px", aspect="equal")
        plane.invert_yaxis()
        plane.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        bins = np.geomspace(1e-3, 10, 33)
        for places, name, colour in ((given, "given", COLOURS[1]), (found, "found", COLOURS[2])):
            away = np.linalg.norm(places - true, axis=1).clip(bins[0], bins[-1])
            distances.hist(away, bins, color=colour, histtype="stepfilled", alpha=0.45, label=name)
        distances.set(xscale="log", xlabel="distance from the truth / px", ylabel="positions")
        distances.legend()
        picture = png(figure)
    return Picture(
        "ptychography-positions.png",
        picture,
        "Left: true positions, those that the scan gives, and those found, each without its mean "
        "displacement. Right: their distances from the truth.",
        "The positions found lie within the circles of the true ones; those given lie beside them.",
    )


def errors(results: Mapping[str, Reconstruction]) -> Picture:
    """The misfit of the amplitudes against the iteration."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        axis = figure.subplots()
        for colour, (name, result) in zip(COLOURS, results.items(), strict=False):
            misfit = result.history["error"]
            axis.plot(np.arange(1, len(misfit) + 1), misfit, color=colour, label=name)
        axis.set(xlabel="iteration", ylabel="relative misfit", yscale="log")
        axis.grid(which="both")
        axis.legend()
        picture = png(figure)
    return Picture(
        "ptychography-misfit.png",
        picture,
        "Relative misfit of the amplitudes on the detector.",
        "Line plot: the misfit stays high at the wrong positions, and with refinement falls towards that "
        "of the true ones.",
    )


def probes(made: VirtualExperiment, result: Reconstruction) -> Picture:
    """The modes of the true illumination, the one to start from, and those found."""
    from matplotlib.figure import Figure

    shown = {
        **{f"true, mode {number}": mode for number, mode in enumerate(made.probe, 1)},
        "given": made.scan.probe[0],
        **{f"found, mode {number}": mode for number, mode in enumerate(result.probe, 1)},
    }
    with style():
        figure = Figure(figsize=(7.2, 7.6 / len(shown) + 0.2), layout="constrained")
        axes = figure.subplots(1, len(shown))
        for axis, wave in zip(axes, shown.values(), strict=True):
            axis.imshow(_coloured(wave))
        _bare(axes, shown)
        picture = png(figure)
    return Picture(
        "ptychography-probe.png",
        picture,
        "The illumination; hue is phase, brightness amplitude. A common phase of a mode is arbitrary.",
        "Discs of rings: the given one is smaller than the true one, the found ones look like the true ones.",
    )


def _placed(made: VirtualExperiment, result: Reconstruction) -> NDArray[Any]:
    """Put a reconstruction into the frame of the truth, with the factor that brings it nearest."""
    wave = np.zeros(made.object.shape, np.complex128)
    dose = np.zeros(made.object.shape)
    inside = []
    for axis, first in enumerate(result.origin):
        start, stop = max(first, 0), min(first + result.object.shape[axis], wave.shape[axis])
        inside.append((slice(start, stop), slice(start - first, stop - first)))
    (to_rows, from_rows), (to_columns, from_columns) = inside
    wave[to_rows, to_columns] = result.object[from_rows, from_columns]
    dose[to_rows, to_columns] = result.dose[from_rows, from_columns]
    lit = dose > 0.3 * dose.max()
    return wave * (np.vdot(wave[lit], made.object[lit]) / np.vdot(wave[lit], wave[lit]))


def _bare(axes: Any, titles: Any = ()) -> None:
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for axis, title in zip(axes, titles, strict=False):
        axis.set_title(title)
