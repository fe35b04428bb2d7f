"""The tests of the emulator need a C++ compiler."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.emulator import CompilerMissing, compile


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder where there is no compiler, and say which to install; an error if ``CI`` is set."""
    try:
        compile.find_compiler()
    except CompilerMissing as error:
        if os.environ.get("CI"):
            raise pytest.UsageError(str(error)) from error
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=str(error)))
