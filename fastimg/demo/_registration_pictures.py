"""The pictures of the chapter on registration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.demo._chapter import Picture
from fastimg.demo._photographs import Experiment
from fastimg.demo._pictures import COLOURS, png, style
from fastimg.registration import apply_shift

__all__ = ["error_against_noise", "pairs", "scatter"]

# Rows of the picture of pairs, and the level of noise that it shows
_SHOWN_PAIRS = 3
_SHOWN_LEVEL = 1


def pairs(experiment: Experiment, shift: NDArray[np.float32]) -> Picture:
    """Reference, moving image, and their difference before and after the measured shift is applied."""
    from matplotlib.figure import Figure

    level = min(_SHOWN_LEVEL, len(experiment.noise) - 1)
    count = min(_SHOWN_PAIRS, len(experiment.names))
    chosen = np.linspace(0, len(experiment.names) - 1, count).astype(int)
    with style():
        figure = Figure(figsize=(7.2, 1.9 * count), layout="constrained")
        axes = figure.subplots(count, 4, squeeze=False)
        for row, number in zip(axes, chosen, strict=True):
            _draw_pair(row, experiment, shift, level, number)
        for axis, title in zip(
            axes[0], ("reference", "moving", "difference before", "difference after"), strict=True
        ):
            axis.set_title(title)
        picture = png(figure)
    noise = f"{100 * experiment.noise[level]:g} %"
    return Picture(
        "registration-pairs.png",
        picture,
        f"Pairs with {noise} noise. The differences of one row share one scale of grey; at its border the "
        "shifted image wraps around.",
        "Rows of four images: two photographs, edges in their difference before registration, noise after.",
    )


def _draw_pair(row: Any, experiment: Experiment, shift: NDArray[np.float32], level: int, number: int) -> None:
    reference, moving = experiment.reference[level, number, 0], experiment.moving[level, number, 0]
    before = moving - reference
    after = apply_shift(moving, shift[level, number, 0]) - reference
    spread = 3 * before.std()
    bounds = np.quantile(reference, (0.005, 0.995))
    for axis, image in zip(row[:2], (reference, moving), strict=True):
        axis.imshow(image, cmap="gray", vmin=bounds[0], vmax=bounds[1])
    for axis, image in zip(row[2:], (before, after), strict=True):
        axis.imshow(image, cmap="gray", vmin=-spread, vmax=spread)
    for axis in row:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    row[0].set_ylabel(experiment.names[number].replace("_", " "))


def scatter(noise: Sequence[float], difference: NDArray[np.float64]) -> Picture:
    """Measured minus true shift of every pair, and how the distances are spread."""
    from matplotlib.figure import Figure

    shown = sorted({0, len(noise) // 2, len(noise) - 1}, reverse=True)
    with style():
        figure = Figure(figsize=(7.2, 3.3), layout="constrained")
        plane, histogram = figure.subplots(1, 2)
        bins = np.geomspace(1e-3, 10, 41)
        for level in shown:
            label = f"{100 * noise[level]:g} % noise"
            points = difference[level].reshape(-1, 2)
            colour = COLOURS[shown.index(level)]
            plane.scatter(points[:, 1], points[:, 0], s=7, color=colour, alpha=0.7, label=label, linewidths=0)
            distances = np.linalg.norm(points, axis=1).clip(bins[0], bins[-1])
            histogram.hist(distances, bins, color=colour, histtype="stepfilled", alpha=0.45, label=label)
        plane.set(
            xlabel="error in columns / px", ylabel="error in rows / px", xlim=(-0.3, 0.3), ylim=(-0.3, 0.3)
        )
        plane.set_aspect("equal")
        plane.grid()
        histogram.set(xscale="log", xlabel="distance from the true shift / px", ylabel="pairs")
        histogram.legend()
        picture = png(figure)
    outside = int((np.abs(difference[shown]).max(axis=-1) > 0.3).sum())
    return Picture(
        "registration-scatter.png",
        picture,
        f"Each point is a pair (normalization 'phase'); {outside} lie outside the left picture.",
        "Left: errors in rows and columns cluster at zero. Right: histogram of the distances by noise; the "
        f"last bin holds everything beyond {bins[-2]:.0f} px, the first everything below {bins[1]:.1g} px.",
    )


def error_against_noise(noise: Sequence[float], error: Mapping[str, NDArray[np.float64]]) -> Picture:
    """Median and ninth decile of the error at each level of noise, for each normalization."""
    from matplotlib.figure import Figure

    percent = 100 * np.asarray(noise)
    with style():
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        axis = figure.subplots()
        for colour, (name, values) in zip(COLOURS, error.items(), strict=False):
            flat = values.reshape(len(noise), -1)
            axis.plot(percent, np.median(flat, axis=1), "o-", color=colour, label=f"{name}, median")
            ninth = np.quantile(flat, 0.9, axis=1)
            axis.plot(percent, ninth, "o--", color=colour, markerfacecolor="none", label=f"{name}, 90 %")
        axis.set(xlabel="noise / % of the crop's standard deviation", ylabel="error / px", yscale="log")
        axis.grid()
        axis.legend(ncols=2)
        picture = png(figure)
    return Picture(
        "registration-noise.png",
        picture,
        "Error against noise, with the cross-power spectrum normalised ('phase') and not ('none').",
        "Line plot: the error grows with the noise; 'phase' is better at little noise.",
    )
