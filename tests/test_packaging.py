"""What is in the distributions, and what importing the package brings in."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.host_only

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("fastimg", "kernels", "tests", "benchmarks", "docs")
FILES = (
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    ".ci/run",
)
HEAVY = ("numba", "scipy", "h5py", "cupy")
# what each folder gives to the source distribution
SOURCES = {
    "fastimg": {".py", ".typed", ".j2"},
    "kernels": {".py", ".cu", ".cuh", ".h"},
    "tests": {".py", ".cu", ".cuh", ".hpp", ".cpp", ".md"},
    "benchmarks": {".py", ".json"},
    "docs": {".py", ".md", ".rst", ".css", ".html"},
}
# not sources: caches, and what other tools build inside these folders
BUILT = ("__pycache__", "_build", "gallery", "generated", ".asv")


def setuptools_is_old():
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0]) < 77
    except importlib.metadata.PackageNotFoundError:
        return True


def unavailable(reason):
    """Skip; where ``CI`` is set everything has to be there, and the test fails."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Build both distributions from a copy of the sources, so that nothing is left in the checkout."""
    if setuptools_is_old():
        unavailable("needs setuptools 77 or later: pip install 'setuptools>=77'")
    missing = [name for name in FILES if not (ROOT / name).is_file()]
    if missing:
        unavailable(f"not a checkout: {', '.join(missing)} missing")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in FILES:
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns(*BUILT))
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", target, source],
        check=True,
        capture_output=True,
    )
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return wheel, sdist


def sources(folder):
    """The files that belong to a distribution, by what is in the checkout."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SOURCES[folder] and not set(path.relative_to(ROOT).parts) & set(BUILT)
    }


def test_the_wheel_holds_the_package_the_kernels_and_nothing_else(distributions):
    with zipfile.ZipFile(distributions[0]) as archive:
        names = set(archive.namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    expected = sources("fastimg") | {f"fastimg/{name}" for name in sources("kernels")}
    assert names - metadata == expected
    assert {Path(name).name for name in metadata} == {
        "LICENSE",
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "top_level.txt",
    }
    assert {"fastimg/py.typed", "fastimg/kernels/cuda/registration.cu"} <= names


def test_the_source_distribution_holds_what_builds_tests_and_documents_it(distributions):
    with tarfile.open(distributions[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    generated = {name for name in names if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    expected = set(FILES).union(*(sources(folder) for folder in FOLDERS))
    assert names - generated == expected


def test_the_wheel_can_be_imported_from_anywhere(distributions, tmp_path):
    with zipfile.ZipFile(distributions[0]) as archive:
        archive.extractall(tmp_path / "site")
    code = """
import fastimg, fastimg.kernels, fastimg.registration, numpy
print(list(fastimg.__path__))
print(fastimg.kernels.__file__)
print(fastimg.kernels.backend(numpy).__name__)
"""
    path, kernels, backend = run(code, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site")).splitlines()
    package = tmp_path / "site" / "fastimg"
    # once installed, the kernels are inside, and nothing is added to the path
    assert path == str([str(package)])
    assert kernels == str(package / "kernels" / "__init__.py")
    assert backend == "fastimg.kernels.cpu"


def test_in_a_checkout_the_kernels_are_found_beside_the_package():
    code = "import fastimg, fastimg.kernels; print(list(fastimg.__path__)); print(fastimg.kernels.__file__)"
    path, kernels = run(code, cwd=ROOT).splitlines()
    assert path == str([str(ROOT / "fastimg"), str(ROOT)])
    assert kernels == str(ROOT / "kernels" / "__init__.py")


@pytest.mark.parametrize("module", ["fastimg", "fastimg.registration", "fastimg.kernels.cuda"])
def test_importing_leaves_the_heavy_modules_alone(module):
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert run(code, cwd=ROOT).split() == ["[]"]


def run(code, cwd, **variables):
    environment = {**os.environ, "PYTHONPATH": "", **variables}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=True
    ).stdout
