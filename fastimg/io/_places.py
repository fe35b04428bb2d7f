"""Where the pixels of a cube lie on the Earth: ENVI's map info, and well-known text with a transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["map_info_of", "place_of_map_info"]


def place_of_map_info(
    info: Sequence[Any] | None, system: Any = None
) -> tuple[str | None, tuple[float, ...] | None]:
    """Return coordinate reference system and transform of an ENVI header, as `fastimg.io.Cube` has them.

    Parameters
    ----------
    info : sequence of str, or None
        The entry ``map info``: projection, column and row (from 1) of the tie point, its x and y, width and
        height of a pixel; then zone, hemisphere and datum, and ``rotation=degrees``.
    system : str or list of str, or None
        The entry ``coordinate system string``.
    """
    if info is None or isinstance(info, str) or len(info) < 7:
        return _text(system), None
    try:
        column, row, x, y, width, height = (float(value) for value in info[1:7])
    except ValueError:
        return _text(system), None
    angle = 0.0
    for entry in info[7:]:
        key, _, value = str(entry).partition("=")
        if key.strip().lower() == "rotation":
            angle = math.radians(float(value))
    # GDAL turns the other way round than ENVI's documents say, and so do files in use
    a, b = width * math.cos(angle), width * math.sin(angle)
    d, e = height * math.sin(angle), -height * math.cos(angle)
    transform = (a, b, x - a * (column - 1) - b * (row - 1), d, e, y - d * (column - 1) - e * (row - 1))
    return _text(system) or _known_system([str(entry).strip() for entry in info]), transform


def _text(system: Any) -> str | None:
    """One text; the parser of the header splits it at its commas."""
    if not system:
        return None
    text = ", ".join(map(str, system)) if isinstance(system, list | tuple) else str(system)
    return text.strip().strip("{}").strip() or None


def _known_system(info: Sequence[str]) -> str | None:
    """The systems that a map info names without a text of their own: degrees, and zones of UTM, on WGS-84."""
    datums = {"wgs-84", "wgs84"}
    if not datums & {entry.lower() for entry in info[7:]}:
        return None
    if info[0].lower().startswith("geographic"):
        return "EPSG:4326"
    if info[0].lower() == "utm" and len(info) > 8 and info[7].isdigit():
        return f"EPSG:{(32600 if info[8].lower().startswith('n') else 32700) + int(info[7])}"
    return None


def map_info_of(crs: str | None, transform: Sequence[float] | None) -> dict[str, Any]:
    """Return the entries of an ENVI header for a place; none where there is no transform, or a sheared one.

    Examples
    --------
    >>> map_info_of(None, (2.0, 0.0, 500.0, 0.0, -2.0, 900.0))
    {'map info': ['Arbitrary', '1', '1', '500.0', '900.0', '2.0', '2.0']}
    """
    if transform is None:
        return {}
    a, b, x, d, e, y = transform
    if b or d or a <= 0 or e >= 0:
        return {}
    is_geographic = crs is not None and crs.lstrip().upper().startswith(("GEOGCS", "GEOGCRS", "EPSG:4326"))
    kind = "Geographic Lat/Lon" if is_geographic else "Arbitrary"
    entries: dict[str, Any] = {"map info": [kind, "1", "1", *(repr(float(v)) for v in (x, y, a, -e))]}
    if crs is not None:
        entries["coordinate system string"] = "{" + crs + "}"
    return entries
