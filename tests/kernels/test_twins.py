"""A kernel has the same name and parameters on the CPU, on the GPU and in the plain reference."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from fastimg import kernels
from tests import reference

pytestmark = pytest.mark.host_only

KERNELS = Path(kernels.__file__).parent
REFERENCE = Path(reference.__file__).parent
PACKAGES = ("fastimg.kernels.cpu", "fastimg.kernels.cuda", "tests.reference")


def modules(folder):
    """Return the names of the public modules of a package, from its files."""
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def functions(module):
    """Return the public functions that a module defines."""
    defined = {
        name: value
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
    }
    assert sorted(getattr(module, "__all__", defined)) == sorted(defined), f"__all__ of {module.__name__}"
    return defined


def parameters(function):
    """Return names, kinds and defaults of the parameters, in their order; annotations may differ."""
    function = inspect.unwrap(function)
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


FAMILIES = modules(KERNELS / "cpu")


def test_each_family_exists_three_times():
    assert FAMILIES
    assert modules(KERNELS / "cuda") == FAMILIES
    assert modules(REFERENCE) == FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_the_twins_have_the_same_functions(family):
    cpu, cuda, plain = (functions(importlib.import_module(f"{package}.{family}")) for package in PACKAGES)
    assert sorted(cpu) == sorted(cuda) == sorted(plain)
    for name in cpu:
        assert parameters(cuda[name]) == parameters(cpu[name]), f"{family}.{name}: cuda and cpu"
        assert parameters(plain[name]) == parameters(cpu[name]), f"{family}.{name}: reference and cpu"


@pytest.mark.parametrize("package", PACKAGES[:2])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_a_lazy_attribute_of_its_package(package, family):
    assert getattr(importlib.import_module(package), family).__name__ == f"{package}.{family}"


def test_each_gpu_family_but_the_fft_has_a_source_of_its_name():
    sources = {path.stem for path in (KERNELS / "cuda").glob("*.cu")}
    assert {family for family in FAMILIES if family != "fft"} <= sources


def test_each_source_is_launched_by_some_module():
    launchers = "".join(path.read_text() for path in (KERNELS / "cuda").glob("*.py"))
    for path in (KERNELS / "cuda").glob("*.cu"):
        assert f'"{path.stem}"' in launchers, f"nothing launches {path.name}"


def test_the_gpu_modules_import_without_cupy():
    code = "import sys; sys.modules['cupy'] = None\n" + "".join(
        f"import fastimg.kernels.cuda.{family}\n" for family in FAMILIES
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=KERNELS.parent, check=False
    )
    assert done.returncode == 0, done.stderr
