"""Compile the CUDA sources with NVRTC, without a GPU, and read what each kernel uses from the binary.

``python -m tests.nvrtc [FAMILY …]`` prints a table, and exits with 1 where a kernel spills, uses more than
its budget or does not compile. It needs the packages ``cuda-bindings``,
``nvidia-cuda-nvrtc`` and ``nvidia-cuda-cuobjdump`` from PyPI; no driver and no CUDA toolkit.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastimg.kernels.cuda import _module

__all__ = ["ARCHITECTURES", "Usage", "compile_family", "families", "faults", "missing_packages"]

# Turing, Ampere, Hopper and both kinds of Blackwell.
ARCHITECTURES = (75, 80, 90, 100, 120)
# Of static shared memory per block; all that any architecture gives without asking for more.
SHARED_LIMIT = 48 * 1024
PACKAGES = ("cuda-bindings", "nvidia-cuda-nvrtc", "nvidia-cuda-cuobjdump")


@dataclass(frozen=True)
class Usage:
    """What one kernel uses on one architecture, per thread but for ``shared_bytes``, which is per block."""

    expression: str
    architecture: int
    registers: int
    stack_bytes: int
    local_bytes: int
    shared_bytes: int


def missing_packages() -> list[str]:
    """Return the PyPI packages that this module needs and does not find."""
    missing = []
    for package in PACKAGES:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    return missing


def families() -> list[str]:
    """Return the names of all ``.cu`` files."""
    return sorted(path.stem for path in _module.SOURCES.glob("*.cu"))


def compile_family(family: str, architecture: int) -> list[Usage]:
    """Compile a family for one architecture, as CuPy would, and return what each of its kernels uses.

    Raises
    ------
    RuntimeError
        NVRTC rejects the source; the message is its log.
    """
    expressions = list(_module.instantiations(family))
    binary, symbols = _compile(_module.source(family), f"{family}.cu", expressions, architecture)
    usages = _resource_usage(binary)
    return [
        Usage(
            expression,
            architecture,
            registers=usages[symbol]["REG"],
            stack_bytes=usages[symbol]["STACK"],
            local_bytes=usages[symbol]["LOCAL"],
            shared_bytes=usages[symbol]["SHARED"],
        )
        for expression, symbol in symbols.items()
    ]


def faults(usage: Usage, budget: int) -> list[str]:
    """Return what a kernel uses beyond what it may: registers, a stack, shared memory."""
    # The stack holds spilt registers and arrays whose indices the compiler could not resolve.
    stack = usage.stack_bytes + usage.local_bytes
    found = {
        f"{usage.registers} registers, its source states {budget}": usage.registers > budget,
        f"a stack of {stack} bytes a thread": stack > 0,
        f"{usage.shared_bytes} bytes of shared memory, the limit is {SHARED_LIMIT}": (
            usage.shared_bytes > SHARED_LIMIT
        ),
    }
    where = f"{usage.expression}, sm_{usage.architecture}"
    return [f"{where}: {fault}" for fault, is_so in found.items() if is_so]


def _compile(
    source: str, name: str, expressions: list[str], architecture: int
) -> tuple[bytes, dict[str, str]]:
    """Return the cubin, and the symbol of each name expression."""
    from cuda.bindings import nvrtc

    program = _checked(nvrtc.nvrtcCreateProgram(source.encode(), name.encode(), 0, [], []))
    for expression in expressions:
        _checked(nvrtc.nvrtcAddNameExpression(program, expression.encode()))
    options = [f"--gpu-architecture=sm_{architecture}".encode(), *(o.encode() for o in _module.OPTIONS)]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if status.value:
        log = b" " * _checked(nvrtc.nvrtcGetProgramLogSize(program))
        _checked(nvrtc.nvrtcGetProgramLog(program, log))
        raise RuntimeError(f"NVRTC, sm_{architecture}: {status.name}\n{log.decode().strip(chr(0))}")
    symbols = {e: _checked(nvrtc.nvrtcGetLoweredName(program, e.encode())).decode() for e in expressions}
    binary = b" " * _checked(nvrtc.nvrtcGetCUBINSize(program))
    _checked(nvrtc.nvrtcGetCUBIN(program, binary))
    nvrtc.nvrtcDestroyProgram(program)
    return binary, symbols


def _checked(result: tuple[Any, ...]) -> Any:
    status, *values = result
    if status.value:
        raise RuntimeError(f"NVRTC: {status.name}")
    return values[0] if values else None


@cache
def _cuobjdump() -> str:
    for file in importlib.metadata.files("nvidia-cuda-cuobjdump") or ():
        if file.name == "cuobjdump":
            return str(file.locate())
    raise RuntimeError("the package nvidia-cuda-cuobjdump has no program cuobjdump")


def _resource_usage(binary: bytes) -> dict[str, dict[str, int]]:
    """Return REG, STACK, SHARED, LOCAL, … of each function of a cubin, by symbol."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "module.cubin"
        path.write_bytes(binary)
        command = [_cuobjdump(), "--dump-resource-usage", str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {
        symbol: {key: int(value) for key, value in re.findall(r"(\w+):(\d+)", values)}
        for symbol, values in re.findall(r"Function (\S+):\s*\n\s*(.*)", text)
    }


def main(arguments: list[str]) -> int:
    """Print a table of all kernels of the families named, or of all; return how many faults they have."""
    if missing_packages():
        raise SystemExit(f"tests.nvrtc needs pip install {' '.join(missing_packages())}")
    found: list[str] = []
    print(
        f"{'kernel':<40} {'budget':>6} "
        + " ".join(f"{f'sm_{a}':>7}" for a in ARCHITECTURES)
        + "  stack shared"
    )
    for family in arguments or families():
        by_architecture = [compile_family(family, architecture) for architecture in ARCHITECTURES]
        for usages in zip(*by_architecture, strict=True):
            budget = _module.instantiations(family)[usages[0].expression]
            registers = " ".join(f"{usage.registers:>7}" for usage in usages)
            stack = max(usage.stack_bytes + usage.local_bytes for usage in usages)
            shared = max(usage.shared_bytes for usage in usages)
            print(f"{usages[0].expression:<40} {budget:>6} {registers} {stack:>6} {shared:>6}")
            found += [fault for usage in usages for fault in faults(usage, budget)]
    for fault in found:
        print(fault, file=sys.stderr)
    return len(found)


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
