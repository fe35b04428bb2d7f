"""Files of reconstructions: HDF5 in the NeXus manner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

import fastimg
from fastimg.io._atomic import replaced_when_whole

if TYPE_CHECKING:
    from fastimg.ptychography._reconstruction import Reconstruction

__all__ = ["read", "write"]

_PROGRAM = "fastimg.ptychography"


def write(result: Reconstruction, path: Path) -> Path:
    """Write a reconstruction of NumPy arrays."""
    with replaced_when_whole(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="object")
        entry["program_name"] = _PROGRAM
        entry["program_name"].attrs["version"] = fastimg.__version__
        entry["parameters"] = json.dumps(dict(result.parameters))
        entry["origin"] = np.asarray(result.origin, np.int64)
        if result.object_pixel is not None:
            entry["object_pixel"] = result.object_pixel
            entry["object_pixel"].attrs["units"] = "m"
        _write_waves(entry, "object", result.object, result)
        _write_waves(entry, "probe", result.probe, result)
        _data(entry, "dose", "counts", result.dose)
        _data(entry, "positions", "pixel", result.positions)
        _data(entry, "error", "", result.history["error"])
        history = entry.create_group("history")
        for name, values in result.history.items():
            history[name] = values
        state = entry.create_group("state")
        for name, values in result.state.items():
            state[name] = values
    return path


def _data(entry: h5py.Group, name: str, units: str, values: np.ndarray) -> h5py.Group:
    group = entry.create_group(name)
    group.attrs.update(NX_class="NXdata", signal="data")
    group["data"] = values
    group["data"].attrs["units"] = units
    return group


def _write_waves(entry: h5py.Group, name: str, values: np.ndarray, result: Reconstruction) -> None:
    """Write amplitude and phase as images with axes, and the complex numbers beside them."""
    group = entry.create_group(name)
    group.attrs.update(NX_class="NXdata", signal="amplitude", auxiliary_signals=["phase"])
    group["amplitude"], group["phase"] = np.abs(values), np.angle(values)
    group["complex"] = values
    pixel, units = (1.0, "pixel") if result.object_pixel is None else (result.object_pixel, "m")
    origin = result.origin if name == "object" else (0, 0)
    for axis, length, first in zip("yx", values.shape[-2:], origin, strict=True):
        group[axis] = (np.arange(length) + first) * pixel
        group[axis].attrs["units"] = units
    group.attrs["axes"] = ["mode", "y", "x"][3 - values.ndim :]
    if values.ndim == 3:
        group["mode"] = np.arange(len(values))


def read(path: Path) -> dict[str, Any]:
    """Read the arguments of ``Reconstruction``."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist" if not path.exists() else f"{path} is a folder")
    try:
        with h5py.File(path) as file:
            return _contents(file["entry"])
    except OSError as error:
        raise ValueError(f"{path} is not a whole HDF5 file: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not a reconstruction that fastimg saved: {error.args[0]}") from error


def _contents(entry: h5py.Group) -> dict[str, Any]:
    program = entry["program_name"].asstr()[()]
    if program != _PROGRAM:
        raise KeyError(f"its program_name is {program!r}")
    return {
        "object": entry["object/complex"][()],
        "probe": entry["probe/complex"][()],
        "positions": entry["positions/data"][()],
        "origin": tuple(int(n) for n in entry["origin"][()]),
        "history": {name: values[()] for name, values in entry["history"].items()},
        "dose": entry["dose/data"][()],
        "object_pixel": float(entry["object_pixel"][()]) if "object_pixel" in entry else None,
        "parameters": json.loads(entry["parameters"].asstr()[()]),
        "state": {name: np.asarray(values[()]) for name, values in entry["state"].items()},
    }
