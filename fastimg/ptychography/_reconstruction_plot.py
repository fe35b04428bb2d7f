"""Figure of a reconstruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastimg.ptychography._reconstruction import Reconstruction

__all__ = ["draw"]

# Outside this part of the largest dose the object is hardly known, and would spoil the grey scale
_LIT = 0.05

_MOST_MODES = 4


def draw(result: Reconstruction) -> Figure:
    """Draw a reconstruction of NumPy arrays."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plot needs matplotlib: pip install 'fastimg[plot]'") from error
    modes = result.probe[:_MOST_MODES]
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[3, 2], squeeze=True)  # type: ignore[misc]
    _draw_object(upper, result)
    axes: Any = lower.subplots(1, len(modes) + 1, width_ratios=[*[1] * len(modes), 1.6])
    powers = np.sum(np.abs(result.probe) ** 2, axis=(1, 2))
    for number, (axis, mode, power) in enumerate(zip(axes, modes, powers, strict=False), 1):
        axis.imshow(_coloured(mode))
        axis.set(xticks=[], yticks=[], title=f"mode {number}: {power / powers.sum():.1%}")
    _draw_error(axes[-1], result)
    return figure


def _draw_object(figure: Any, result: Reconstruction) -> None:
    lit = result.dose > _LIT * result.dose.max()
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    # a common phase is arbitrary: the brightest direction of the lit object becomes zero
    wave = result.object * np.exp(-1j * np.angle(np.sum(result.object[lit])))
    pixel, unit = _unit(result)
    first = np.add(result.origin, (rows[0], columns[0]))
    last = np.add(first, (rows.size, columns.size))
    extent = np.array([first[1], last[1], last[0], first[0]]) * pixel
    known = np.where(lit, 1.0, np.nan)[part]
    size = result.probe.shape[-1]
    centres = (result.positions + size / 2) * pixel
    images = (np.abs(wave), "gray", "amplitude"), (np.angle(wave), "viridis", "phase (rad)")
    for number, (axis, (image, colours, title)) in enumerate(zip(figure.subplots(1, 2), images, strict=True)):
        low, high = np.percentile(image[lit], [0.5, 99.5])
        shown = axis.imshow(image[part] * known, cmap=colours, vmin=low, vmax=high, extent=extent)
        figure.colorbar(shown, ax=axis, shrink=0.8)
        axis.set(title=title, xlabel=unit, ylabel=unit)
        if number:
            axis.plot(centres[:, 1], centres[:, 0], ".", color="lime", markersize=2, label="positions")
            axis.legend(loc="upper right", fontsize="small")


def _draw_error(axis: Axes, result: Reconstruction) -> None:
    axis.semilogy(np.arange(1, result.iterations + 1), result.history["error"])
    axis.set(xlabel="iteration", ylabel="relative misfit of the amplitudes")
    axis.grid(True, which="both", alpha=0.3)


def _unit(result: Reconstruction) -> tuple[float, str]:
    """Return the length of a pixel and the unit it is drawn in."""
    if result.object_pixel is None:
        return 1.0, "pixel"
    return result.object_pixel * 1e6, "µm"


def _coloured(wave: np.ndarray) -> np.ndarray:
    """Show a wave with its phase as hue and its amplitude as brightness."""
    from matplotlib.colors import hsv_to_rgb

    amplitude = np.abs(wave)
    hue = (np.angle(wave) / (2 * np.pi)) % 1.0
    return hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.85), amplitude / max(amplitude.max(), 1e-30)], -1))
