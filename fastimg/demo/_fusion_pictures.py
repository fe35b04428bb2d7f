"""The pictures of the chapter on transport and fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.demo._chapter import Picture
from fastimg.demo._fusion_scene import RATIO, Scene
from fastimg.demo._pictures import COLOURS, png, style

__all__ = ["angles", "colours", "iterations", "spectra", "strip"]

Cube = NDArray[np.float32]

# Nanometres that are shown as red, green and blue
_SHOWN = (830, 670, 560)

_GRAY = "#7b7f86"


def colours(scene: Scene, cubes: Mapping[str, Cube]) -> Picture:
    """The truth, both images and what was made of them, in false colours."""
    from matplotlib.figure import Figure

    bands = [int(np.abs(scene.wavelengths - at).argmin()) for at in _SHOWN]
    white = np.percentile(scene.cube[..., bands], 99)
    shown: dict[str, NDArray[Any]] = {
        "the truth": scene.cube[..., bands],
        "hyperspectral image": np.kron(scene.hyperspectral[..., bands], np.ones((RATIO, RATIO, 1))),
        # near infrared, red and green are the last channels
        "multispectral image": scene.multispectral[..., [3, 2, 1]],
        **{name: cube[..., bands] for name, cube in cubes.items()},
    }
    with style():
        figure = Figure(figsize=(7.2, 1.95 * -(-len(shown) // 3)), layout="constrained")
        axes = figure.subplots(-(-len(shown) // 3), 3, squeeze=False).ravel()
        for axis, (name, image) in zip(axes, shown.items(), strict=False):
            axis.imshow(np.clip(image / white, 0, 1), interpolation="nearest")
            axis.set_title(name)
        for axis in axes:
            axis.set_axis_off()
        picture = png(figure)
    return Picture(
        "fusion-colours.png",
        picture,
        f"False colours: {', '.join(map(str, _SHOWN))} nm as red, green and blue.",
        "Images of a coffee cup: the truth, coarse and sharp images, and fused ones, which are sharp.",
    )


def angles(scene: Scene, cubes: Mapping[str, Cube]) -> Picture:
    """Where the spectra are wrong: the angle between them and the true ones, on one scale."""
    from matplotlib.figure import Figure

    maps = {name: angle(cube, scene.cube) for name, cube in cubes.items()}
    largest = max(np.percentile(each, 98) for each in maps.values())
    with style():
        figure = Figure(figsize=(7.2, 1.9), layout="constrained")
        axes = figure.subplots(1, len(maps), squeeze=False)[0]
        for axis, (name, image) in zip(axes, maps.items(), strict=True):
            shown = axis.imshow(image, vmin=0, vmax=largest, cmap="magma", interpolation="nearest")
            axis.set_title(name)
            axis.set_axis_off()
        figure.colorbar(shown, ax=list(axes), label="angle / °", shrink=0.8)
        picture = png(figure)
    return Picture(
        "fusion-angles.png",
        picture,
        "The angle between each pixel's spectrum and the true one.",
        "Maps: errors of the interpolated image are at edges, those of the fused ones are smaller.",
    )


def angle(estimate: Cube, truth: Cube) -> NDArray[np.float64]:
    """The spectral angle of each pixel, in degrees."""
    found, known = estimate.astype(np.float64), truth.astype(np.float64)
    lengths = np.linalg.norm(found, axis=2) * np.linalg.norm(known, axis=2)
    cosine = (found * known).sum(axis=2) / np.maximum(lengths, np.finfo(np.float64).tiny)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def spectra(scene: Scene, cubes: Mapping[str, Cube], pixels: Sequence[tuple[int, int]]) -> Picture:
    """The spectra of some pixels."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        axes = figure.subplots(1, len(pixels), squeeze=False)[0]
        for axis, (row, col) in zip(axes, pixels, strict=True):
            axis.plot(scene.wavelengths, scene.cube[row, col], color=_GRAY, linewidth=2.5, label="the truth")
            for colour, (name, cube) in zip(COLOURS, cubes.items(), strict=False):
                axis.plot(scene.wavelengths, cube[row, col], color=colour, linewidth=1.2, label=name)
            axis.set(title=f"row {row}, column {col}", xlabel="wavelength / nm", ylim=(0, None))
        axes[0].set_ylabel("radiance")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        picture = png(figure)
    return Picture(
        "fusion-spectra.png",
        picture,
        "Spectra of the pixels at which the interpolated hyperspectral image and the arithmetic mean are "
        "furthest from the truth.",
        "Line plots of spectra over wavelength: the fused ones follow the true one, the mean does not.",
    )


def iterations(
    traces: Mapping[str, tuple[Sequence[int], Sequence[float]]], others: Mapping[str, float]
) -> Picture:
    """The error against the iterations of the barycenter, beside that of the other ways."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axis = figure.subplots()
        for colour, (name, (steps, errors)) in zip(COLOURS, traces.items(), strict=False):
            axis.plot(steps, errors, "o-", color=colour, markersize=3, label=name)
        for line, (name, error) in zip(("-", "--", "-.", ":"), others.items(), strict=False):
            axis.axhline(error, color=_GRAY, linestyle=line, linewidth=1, label=name)
        axis.set(xlabel="iterations", ylabel="RMSE / mean", xscale="log", ylim=(0, None))
        axis.grid()
        figure.legend(loc="outside right upper")
        picture = png(figure)
    return Picture(
        "fusion-iterations.png",
        picture,
        "The error depends on the number of iterations, which is a parameter.",
        "Line plot: the barycenter's errors fall with the iterations, and less and less.",
    )


def strip(rows: Mapping[str, Sequence[NDArray[np.float64]]], weights: Sequence[float]) -> Picture:
    """Interpolations between two shapes, one row for each way."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(7.2, 1.5 * len(rows)), layout="constrained")
        axes = figure.subplots(len(rows), len(weights), squeeze=False)
        for line, (name, images) in zip(axes, rows.items(), strict=True):
            for axis, image in zip(line, images, strict=True):
                axis.imshow(image, cmap="gray_r", vmin=0, interpolation="nearest")
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
            line[0].set_ylabel(name)
        for axis, weight in zip(axes[0], weights, strict=True):
            axis.set_title(f"{1 - weight:g} : {weight:g}")
        picture = png(figure)
    return Picture(
        "fusion-shapes.png",
        picture,
        "From a horse to a ring. The mean of the pixels fades one out and the other in; the barycenter moves "
        "mass; debiased, it does so without the blur of the regularisation.",
        "Rows of shapes: the mean shows both shapes at once, barycenters turn one into the other.",
    )
