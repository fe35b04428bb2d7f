"""GeoTIFF by rasterio: bands, the pixels that have no value, and the georeferencing."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMPRESSIONS", "TAGS", "described", "quiet_rasterio", "quiet_tifffile", "read", "write"]

#: Tags of a TIFF that tifffile would drop: scale, tie points, transformation, geographic keys, GDAL's own
TAGS = frozenset({33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113})

# Settings of a GeoTIFF that do not depend on the dtype of its pixels
_KEPT = ("crs", "transform", "tiled", "blockxsize", "blockysize", "interleave", "width", "height")

#: Compressions without loss, for any dtype; others become the first
COMPRESSIONS = ("deflate", "lzw", "zstd", "packbits", "lzma")


@contextmanager
def quiet_tifffile() -> Iterator[None]:
    """Keep tifffile from logging that it cannot use a nodata value; rasterio reads it where it matters."""

    def about_others(record: logging.LogRecord) -> bool:
        return "parsing GDAL_NODATA tag raised" not in record.getMessage()

    logger = logging.getLogger("tifffile")
    logger.addFilter(about_others)
    try:
        yield
    finally:
        logger.removeFilter(about_others)


@contextmanager
def quiet_rasterio() -> Iterator[None]:
    """Keep rasterio from warning that a file has no place, or the identity for its transformation."""
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def read(path: Path) -> dict[str, Any]:
    """Read a GeoTIFF; return the attributes of a `fastimg.io.raster.Raster`."""
    if importlib.util.find_spec("rasterio") is None:
        raise ImportError(
            f"{path} is a GeoTIFF; keeping its georeferencing needs rasterio: pip install 'fastimg[io]'"
        )
    import rasterio
    from rasterio.enums import ColorInterp, MaskFlags

    try:
        with quiet_rasterio(), rasterio.open(path) as file:
            bands, masks = file.read(), file.read_masks() == 0
            kinds = file.colorinterp
            is_alpha = np.array([kind == ColorInterp.alpha for kind in kinds])
            if is_alpha.all() or is_alpha.sum() > 1:
                raise ValueError(f"{path} has {is_alpha.sum()} alpha bands of {len(kinds)}; accepted is 1")
            flags = file.mask_flag_enums[int(np.argmin(is_alpha))]
            nbits = file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
            extras = described(file, is_alpha)
            if MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
                extras["mask"] = file.dataset_mask()
            nodata = file.nodata
    except rasterio.errors.RasterioError as error:
        raise ValueError(f"{path} cannot be read as a GeoTIFF: {error}") from error
    planes, missing = bands[~is_alpha], masks[~is_alpha]
    if planes.dtype.kind == "f":
        missing |= np.isnan(planes)
    if nodata is None and planes.dtype.kind == "f" and np.isnan(planes).any():
        nodata = float("nan")
    unsigned = planes.dtype in (np.uint8, np.uint16)
    return {
        "planes": planes,
        "depth": int(nbits or 8 * planes.itemsize) if unsigned else None,
        "stacked": len(planes) > 1,
        "alpha": bands[is_alpha][0] if is_alpha.any() else None,
        "missing": missing if missing.any() else None,
        "nodata": nodata,
        "extras": {"geotiff": extras},
    }


def described(file: Any, is_alpha: NDArray[np.bool_]) -> dict[str, Any]:
    """What a file says besides its pixels; lists go band by band, alpha last."""
    order = [*np.flatnonzero(~is_alpha), *np.flatnonzero(is_alpha)]
    compression = file.profile.get("compress")
    if compression is not None and compression not in COMPRESSIONS:
        compression = COMPRESSIONS[0]
    gcps, gcps_crs = file.gcps
    return {
        "profile": {name: file.profile[name] for name in _KEPT if name in file.profile}
        | ({} if compression is None else {"compress": compression}),
        "tags": file.tags(),
        "band_tags": [file.tags(band + 1) for band in order],
        "descriptions": [file.descriptions[band] for band in order],
        "colorinterp": [file.colorinterp[band] for band in order],
        "units": [file.units[band] for band in order],
        "scales": [file.scales[band] for band in order],
        "offsets": [file.offsets[band] for band in order],
        "gcps": (gcps, gcps_crs) if gcps else None,
        "rpcs": file.rpcs,
    }


def write(
    path: Path,
    planes: NDArray[Any],
    alpha: NDArray[Any] | None,
    nodata: float | None,
    about: Mapping[str, Any],
) -> None:
    """Write bands with what `read` found in the file that they come from."""
    import rasterio

    bands = planes if alpha is None else np.concatenate([planes, alpha[None]])
    statistics = "STATISTICS_"  # of the old pixels
    with (
        quiet_rasterio(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=len(bands),
            dtype=bands.dtype,
            nodata=nodata,
            BIGTIFF="IF_SAFER",
            **about["profile"],
        ) as file,
    ):
        file.colorinterp = about["colorinterp"]
        file.update_tags(**about["tags"])
        for number, tags in enumerate(about["band_tags"], start=1):
            file.update_tags(number, **{k: v for k, v in tags.items() if not k.startswith(statistics)})
        for name in ("units", "scales", "offsets"):
            setattr(file, name, about[name])
        for number, description in enumerate(about["descriptions"], start=1):
            if description is not None:
                file.set_band_description(number, description)
        if about["gcps"] is not None:
            file.gcps = about["gcps"]
        if about["rpcs"] is not None:
            file.rpcs = about["rpcs"]
        file.write(bands)
        if "mask" in about:
            file.write_mask(about["mask"])
