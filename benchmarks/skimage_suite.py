"""Run scikit-image's own tests of registration against ``fastimg.registration``.

The tests are in scikit-image's source distribution, not in its wheels::

    pip download --no-deps --no-binary :all: --no-build-isolation scikit-image==0.26.0
    python -m benchmarks.skimage_suite scikit_image-0.26.0.tar.gz

(`pip download` prepares the metadata of the package, which needs its build requirements, meson-python and
pythran; the file can as well be fetched from https://pypi.org/project/scikit-image/0.26.0/#files.) The
argument may also be a folder: that of the unpacked distribution, or its ``tests/skimage``.

scikit-image must be installed, because the tests use its pictures and helpers. Before they are collected, its
functions are replaced by ours. Tests of pictures that scikit-image downloads are skipped, unless
``--download`` is given and pooch is installed.
"""

from __future__ import annotations

import importlib
import os
import tarfile
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
import pytest

from fastimg.registration import cross_correlate_masked, phase_cross_correlation, upsampled_dft

FILES = ("test_phase_cross_correlation.py", "test_masked_phase_cross_correlation.py")
DOWNLOADS = ("brain", "eagle")


def _masked_phase_cross_correlation(
    reference_image: Any,
    moving_image: Any,
    reference_mask: Any,
    moving_mask: Any = None,
    overlap_ratio: float = 0.3,
) -> Any:
    """Have the private function that scikit-image's tests call."""
    return phase_cross_correlation(
        reference_image,
        moving_image,
        reference_mask=reference_mask,
        moving_mask=moving_mask,
        overlap_ratio=overlap_ratio,
    )[0]


REPLACED = {
    ("skimage.registration", "phase_cross_correlation"): phase_cross_correlation,
    ("skimage.registration._phase_cross_correlation", "phase_cross_correlation"): phase_cross_correlation,
    ("skimage.registration._phase_cross_correlation", "_upsampled_dft"): upsampled_dft,
    (
        "skimage.registration._masked_phase_cross_correlation",
        "_masked_phase_cross_correlation",
    ): _masked_phase_cross_correlation,
    (
        "skimage.registration._masked_phase_cross_correlation",
        "cross_correlate_masked",
    ): cross_correlate_masked,
}


class Replacement:
    """A pytest plugin: our functions under scikit-image's names, the fixture of its tests, and a count."""

    def __init__(self, root: Path, *, download: bool) -> None:
        self.root = root
        self.download = download
        self.outcomes: Counter[str] = Counter()

    def pytest_configure(self) -> None:
        for (module, name), function in REPLACED.items():
            setattr(importlib.import_module(module), name, function)
        if not self.download:
            pictures = importlib.import_module("skimage.data")
            for name in DOWNLOADS:
                setattr(pictures, name, lambda name=name: pytest.skip(f"skimage.data.{name} is a download"))

    @pytest.fixture
    def test_root_dir(self) -> Path:
        return self.root

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1


def run(source: Path, *, download: bool = False) -> Counter[str]:
    """Run both test files of a distribution, packed or not; return how many passed, failed, skipped."""
    with tempfile.TemporaryDirectory() as folder:
        root = _unpack(source, Path(folder)) if source.is_file() else source
        root = next((path for path in (root, *root.glob("**/tests/skimage")) if _has_tests(path)), root)
        if not _has_tests(root):
            raise click.UsageError(f"{source} holds no registration/{FILES[0]}")
        plugin = Replacement(root, download=download)
        settings = [
            "-q",
            "-rs",
            "--noconftest",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            f"--rootdir={root}",
        ]
        pytest.main([*settings, *(str(root / "registration" / name) for name in FILES)], plugins=[plugin])
    return plugin.outcomes


def _has_tests(root: Path) -> bool:
    return all((root / "registration" / name).is_file() for name in FILES)


def _unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as source:
        wanted = [member for member in source.getmembers() if "/tests/skimage/registration/" in member.name]
        source.extractall(folder, members=wanted, filter="data")
    return folder


@click.command(help=__doc__)
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--download", is_flag=True, help="Let scikit-image download its pictures.")
def main(source: Path, download: bool) -> None:
    """Print the count; the exit status is 1 if a test failed."""
    outcomes = run(source, download=download)
    click.echo(", ".join(f"{outcomes[name]} {name}" for name in ("passed", "failed", "skipped")))
    raise SystemExit(1 if outcomes["failed"] or not outcomes["passed"] else 0)


if __name__ == "__main__":
    main()
