"""Run POT's own tests of convolutional barycenters against ``fastimg.transport``.

The tests are in POT's source distribution, not in its wheels::

    pip download --no-deps --no-binary :all: --no-build-isolation POT==0.9.7.post1
    python -m benchmarks.pot_suite pot-0.9.7.post1.tar.gz

(`pip download` prepares the metadata of the package, which needs its build requirements, numpy and cython;
the file can as well be fetched from https://pypi.org/project/POT/0.9.7.post1/#files.) Without an argument
the command asks pip for the distribution of the installed version. The argument may also be a folder: that
of the unpacked distribution, or its ``test``.

POT must be installed. Before the tests are collected, its two functions are replaced by ours; of its
backends the tests run on NumPy's.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from fastimg.transport import convolutional_barycenter2d, convolutional_barycenter2d_debiased

FILE = "test_bregman.py"
REPLACED = (convolutional_barycenter2d, convolutional_barycenter2d_debiased)


class Replacement:
    """A pytest plugin: our functions under POT's names, the fixtures of its tests, and a count."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def pytest_configure(self) -> None:
        import ot

        for function in REPLACED:
            setattr(ot.bregman, function.__name__, function)
        for marker in ("skip_arg", "skip_backend"):  # of POT's conftest.py, which is not distributed
            setattr(pytest, marker, _keep_all)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests that call one of the two functions."""
        items[:] = [item for item in items if REPLACED[0].__name__ in inspect.getsource(item.function)]  # type: ignore[attr-defined]

    @pytest.fixture
    def nx(self) -> Any:
        from ot.backend import NumpyBackend

        return NumpyBackend()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1


def _keep_all(*_: Any, **__: Any) -> Callable[[Any], Any]:
    return lambda test: test


def run(source: Path | None = None) -> Counter[str]:
    """Run the tests of a distribution, packed or not; return how many passed, failed, skipped."""
    with tempfile.TemporaryDirectory() as folder:
        source = source or _download(Path(folder))
        root = _unpack(source, Path(folder)) if source.is_file() else source
        test = next((path for path in (root / FILE, *root.glob(f"**/test/{FILE}")) if path.is_file()), None)
        if test is None:
            raise click.UsageError(f"{source} holds no test/{FILE}")
        plugin = Replacement()
        settings = ["-q", "-rs", "--noconftest", "-p", "no:cacheprovider", "-c", os.devnull]
        pytest.main([*settings, f"--rootdir={test.parent}", str(test)], plugins=[plugin])
    return plugin.outcomes


def _download(folder: Path) -> Path:
    version = importlib.metadata.version("POT")
    options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--quiet", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, f"POT=={version}"], check=True)
    return next(folder.glob("*.tar.gz"))


def _unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as source:
        wanted = [member for member in source.getmembers() if member.name.endswith(f"/test/{FILE}")]
        source.extractall(folder, members=wanted, filter="data")
    return folder


@click.command(help=__doc__)
@click.argument("source", required=False, type=click.Path(exists=True, path_type=Path))
def main(source: Path | None) -> None:
    """Print the count; the exit status is 1 if a test failed."""
    outcomes = run(source)
    click.echo(", ".join(f"{outcomes[name]} {name}" for name in ("passed", "failed", "skipped")))
    raise SystemExit(1 if outcomes["failed"] or not outcomes["passed"] else 0)


if __name__ == "__main__":
    main()
