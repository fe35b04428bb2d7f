"""How the pictures of the report look: legible on a light page and on a dark one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "png", "style"]

#: Series colours with a contrast above 3 against both white and near-black
COLOURS = ("#3f83d4", "#d9782d", "#3a9a6a", "#b55fa8")

# The grey with the same contrast against a white page and a near-black one
_INK = "#7b7f86"


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib settings for figures made within the block."""
    import matplotlib

    settings: dict[Any, Any] = {
        "axes.edgecolor": _INK,
        "axes.facecolor": "none",
        "axes.grid": False,
        "axes.labelcolor": _INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 10,
        "figure.facecolor": "none",
        "font.size": 9,
        "grid.alpha": 0.3,
        "grid.color": _INK,
        "legend.frameon": False,
        "text.color": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    with matplotlib.rc_context(settings):
        yield


def png(figure: Figure) -> bytes:
    """Draw a figure as a PNG with a transparent background."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    stream = BytesIO()
    FigureCanvasAgg(figure).print_figure(stream, format="png", dpi=150, bbox_inches="tight", facecolor="none")
    return stream.getvalue()
