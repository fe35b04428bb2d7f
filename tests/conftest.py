"""Options and fixtures that let one suite run on NumPy, on the emulated device and on a CUDA device."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

DEVICES = ("numpy", "emulated", "cuda")
_module = pytest.StashKey[ModuleType]()
_missing = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--device``."""
    parser.addoption("--device", choices=DEVICES, default="numpy", help="where the tests' arrays live")


def pytest_configure(config: pytest.Config) -> None:
    """Import the array module before any test does, so that the stand-in comes before a real cupy."""
    config.addinivalue_line("markers", "host_only: independent of --device, so run only without it")
    device = config.getoption("--device")
    config.stash[_module] = np
    if device == "emulated":
        config.stash[_module] = _stand_in()
    elif device == "cuda":
        try:
            config.stash[_module] = _real_cupy()
        except LookupError as error:
            config.stash[_missing] = f"--device=cuda: {error}"


def _stand_in() -> ModuleType:
    from tests.emulator import CompilerMissing, compile, cupy_standin

    try:
        compile.find_compiler()
    except CompilerMissing as error:
        raise pytest.UsageError(f"--device=emulated: {error}") from error
    return cupy_standin.install()


def _real_cupy() -> ModuleType:
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise LookupError(f"cupy cannot be imported ({error})") from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise LookupError(f"CUDA finds no device ({error})") from error
    if not count:
        raise LookupError("CUDA finds no device")
    return cupy


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip everything where the asked-for device is missing, and what has run on the CPU already."""
    missing = config.stash.get(_missing, None)
    plain = config.getoption("--device") == "numpy"
    for item in items:
        if missing:
            item.add_marker(pytest.mark.skip(reason=missing))
        elif not plain and item.get_closest_marker("host_only"):
            item.add_marker(pytest.mark.skip(reason="does not depend on the device; runs under plain pytest"))


def pytest_report_header(config: pytest.Config) -> str:
    """Name the device in the header."""
    return f"device: {config.getoption('--device')}"


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> str:
    """``numpy``, ``emulated`` or ``cuda``."""
    return pytestconfig.getoption("--device")


@pytest.fixture(scope="session")
def xp(pytestconfig: pytest.Config) -> ModuleType:
    """The array module: numpy, the stand-in for cupy, or cupy."""
    return pytestconfig.stash[_module]


@pytest.fixture(scope="session")
def to_device(xp: ModuleType) -> Callable[..., Any]:
    """Return a function from host arrays, lists and scalars to arrays of ``xp``."""
    return xp.asarray


@pytest.fixture(scope="session")
def to_host(xp: ModuleType) -> Callable[[Any], Any]:
    """Return a function from arrays of ``xp`` to NumPy's; tuples and lists go element by element."""

    def convert(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(map(convert, value))
        return np.asarray(value) if xp is np else xp.asnumpy(value)

    return convert


@pytest.fixture(scope="session")
def kernels(xp: ModuleType) -> ModuleType:
    """The package of kernels that serves ``xp``."""
    from fastimg import kernels as package

    return package.backend(xp)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of test data: ``$FASTIMG_DATA``, or ``shared/data`` beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FASTIMG_DATA") or default)
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set FASTIMG_DATA")
    return folder
