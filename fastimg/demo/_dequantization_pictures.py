"""The pictures of the chapter on de-quantization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.demo._chapter import Picture
from fastimg.demo._dequantization_images import Example
from fastimg.demo._pictures import COLOURS, png, style

__all__ = ["functions", "gaps", "profile", "quality", "sky"]

# The sky is dark: its values are shown as their root
_BRIGHTENED = 0.5

_GRAY = "#7b7f86"


def sky(example: Example, values: Mapping[str, NDArray[np.float64]]) -> Picture:
    """The photograph with few bits, and what was made of it, beside the original."""
    from matplotlib.figure import Figure

    shown: dict[str, NDArray[Any]] = {**values, "the photograph, 8 bits": example.truth}
    with style():
        figure = Figure(figsize=(7.2, 2.75 * -(-len(shown) // 2)), layout="constrained")
        axes = figure.subplots(-(-len(shown) // 2), 2, squeeze=False).ravel()
        for axis, (name, planes) in zip(axes, shown.items(), strict=False):
            bright = (np.clip(planes, 0, 255) / 255) ** _BRIGHTENED
            axis.imshow(np.moveaxis(bright, 0, -1), interpolation="nearest")
            axis.set_title(name)
        for axis in axes:
            axis.set_axis_off()
        picture = png(figure)
    return Picture(
        "dequantization-sky.png",
        picture,
        f"The sky from {example.bits} bits a colour, brightened. Rocket and masts are left as they are; the "
        "sky passes behind them.",
        "Photographs of a rocket at dusk: with few bits, the sky has broad bands; they are gone afterwards.",
    )


def profile(example: Example, values: Mapping[str, NDArray[np.float64]], column: int) -> Picture:
    """One column of the blue plane: its steps, and the curves through them."""
    from matplotlib.figure import Figure

    rows, left = np.arange(example.truth.shape[1]), example.left[:, column]
    lowest = example.step * example.codes[-1, :, column].astype(float)

    def seen(line: NDArray[Any]) -> NDArray[np.float64]:
        return np.where(left, np.nan, line)

    with style():
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axis = figure.subplots()
        axis.fill_between(
            rows, seen(lowest - 0.5), seen(lowest + example.step - 0.5), step="mid", color=_GRAY, alpha=0.3,
            linewidth=0, label=f"bins of {example.bits} bits",
        )  # fmt: skip
        axis.plot(
            rows, seen(example.truth[-1, :, column]), color=_GRAY, linewidth=0.8, label="the photograph"
        )
        for colour, (name, planes) in zip(COLOURS, values.items(), strict=False):
            axis.plot(rows, seen(planes[-1, :, column]), color=colour, label=name)
        axis.set(xlabel="row / px", ylabel="blue / levels of 8 bits")
        axis.legend(ncols=2)
        picture = png(figure)
    return Picture(
        "dequantization-profile.png",
        picture,
        f"Column {column} of the blue plane, from top to bottom. Noise puts pixels of the photograph in the "
        "wrong bin beside each contour.",
        "Curves through the bins, beside the photograph's own.",
    )


def functions(examples: Sequence[Example], values: Sequence[Mapping[str, NDArray[np.float64]]]) -> Picture:
    """The functions, their first bits, and what was made of these."""
    from matplotlib.figure import Figure

    titles = ("8 bits", f"{examples[0].bits} bits", *values[0])
    with style():
        figure = Figure(figsize=(7.2, 1.9 * len(examples)), layout="constrained")
        axes = figure.subplots(len(examples), len(titles), squeeze=False)
        for line, example, made in zip(axes, examples, values, strict=True):
            planes: tuple[NDArray[Any], ...] = (example.truth, example.step * example.codes, *made.values())
            for axis, title, plane in zip(line, titles, planes, strict=True):
                axis.imshow(plane[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                axis.set(xticks=[], yticks=[])
                if example is examples[0]:
                    axis.set_title(title)
            line[0].set_ylabel(example.name)
        picture = png(figure)
    return Picture(
        "dequantization-functions.png",
        picture,
        "The functions of the paper, and what is made of their first bits.",
        "Gray images: few bits show contour rings, a membrane has flat tops and creases, the plate neither.",
    )


def quality(table: Mapping[str, Mapping[int, Mapping[str, tuple[float, float]]]]) -> Picture:
    """PSNR against bits, for each image and way."""
    from matplotlib.figure import Figure

    names = list(
        dict.fromkeys(way for by_bits in table.values() for ways in by_bits.values() for way in ways)
    )
    # the last ones, which are the best, have solid lines
    looks = dict(zip(reversed(names), product(("-", "--"), COLOURS), strict=False))
    with style():
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots(1, len(table), sharey=True, squeeze=False)[0]
        for axis, (title, by_bits) in zip(axes, table.items(), strict=True):
            for name, (line, colour) in looks.items():
                bits = [b for b, ways in by_bits.items() if name in ways]
                psnr = [by_bits[b][name][0] for b in bits]
                axis.plot(bits, psnr, "o", linestyle=line, color=colour, markersize=4)
            axis.set(title=title, xlabel="bits", xticks=list(by_bits))
            axis.grid()
        axes[0].set_ylabel("PSNR / dB")
        handles = [
            axes[0].plot([], [], "o", linestyle=line, color=colour, markersize=4)[0]
            for line, colour in looks.values()
        ]
        figure.legend(handles, list(looks), loc="outside lower center", ncols=4)
        picture = png(figure)
    return Picture(
        "dequantization-quality.png",
        picture,
        "Peak signal-to-noise ratio; the foreground of the photograph does not count.",
        "Line plots: on the functions the plate is far above all others; on the photograph it needs relaxed "
        "bins.",
    )


def gaps(curve: tuple[Sequence[float], Sequence[float]], ours: Mapping[str, float], name: str) -> Picture:
    """Plain NumPy's way to the minimum, and the seconds in which calls of ``dequantize`` have got there."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        axis = figure.subplots()
        axis.plot(*curve, color=COLOURS[0], label="plain NumPy")
        for colour, (label, seconds) in zip(COLOURS[1:], ours.items(), strict=False):
            axis.axvline(seconds, color=colour, label=label)
        axis.set(xlabel="time / s", ylabel="energy above the minimum", xscale="log", yscale="log")
        axis.grid()
        axis.legend()
        picture = png(figure)
    return Picture(
        "dequantization-time.png",
        picture,
        f"{name}: the energy's relative distance from its minimum against time. The vertical lines are whole "
        f"calls of dequantize, which end nearer to the minimum than the curve does.",
        "Line plot: when dequantize has ended, plain NumPy is still on its coarser grids.",
    )
