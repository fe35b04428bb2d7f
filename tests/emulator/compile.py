"""Compile CUDA C++ sources for the CPU, with the runtime that executes and checks them.

The result is a shared object, kept in a cache folder under a name that hashes everything it was made
from: ``FASTIMG_EMULATOR_CACHE``, or ``fastimg-emulator-<user>`` in the system's temporary folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["CompilerMissing", "build", "kernel_names", "shared_variables", "source_line"]

RUNTIME = Path(__file__).resolve().parent / "runtime"
_COMMON_FLAGS = ("-std=c++20", "-fPIC", "-fvisibility=hidden", "-w")
# -O1 keeps one access in the source one access in the program; contraction would change the results
# with the processor.
_KERNEL_FLAGS = (
    "-O1",
    "-g1",
    "-gdwarf-4",  # addr2line misreads the file table of version 5
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-fstack-clash-protection",  # a large frame does not step over the page below the stack
    "-fsanitize=thread",
    "-fsanitize=bounds,signed-integer-overflow,shift,integer-divide-by-zero,float-cast-overflow,alignment",
)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_DYNAMIC_SHARED = re.compile(
    r"extern\s+__shared__\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?([\w:<> ]+?)\s+(\w+)\s*\[\s*\]\s*;"
)
_PLAIN_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+(?:void\s+)?(?:__launch_bounds__\s*\([^)]*\)\s*)?(?:void\s+)?(\w+)\s*\('
)


class CompilerMissing(RuntimeError):
    """There is no C++ compiler to run the CUDA sources with."""


def find_compiler() -> str:
    """Return the path of g++, or of what ``FASTIMG_EMULATOR_CXX`` names."""
    compiler = shutil.which(os.environ.get("FASTIMG_EMULATOR_CXX", "g++"))
    if not compiler:
        raise CompilerMissing(
            "executing CUDA sources on the CPU needs g++ 11 or later on PATH (apt install g++, or "
            "dnf install gcc-c++) or its path in FASTIMG_EMULATOR_CXX"
        )
    return compiler


def cache_folder() -> Path:
    """Return the folder of compiled objects, which may not exist yet."""
    default = Path(tempfile.gettempdir()) / f"fastimg-emulator-{os.getuid()}"
    return Path(os.environ.get("FASTIMG_EMULATOR_CACHE") or default)


def kernel_names(source: str, name_expressions: tuple[str, ...] = ()) -> list[str]:
    """Return the kernels of a source: its ``extern "C"`` ones and the asked-for template instances."""
    return list(dict.fromkeys([*_PLAIN_KERNEL.findall(_COMMENT.sub(" ", source)), *name_expressions]))


def _launch_bound(source: str, expression: str) -> str:
    """Return C++ that gives the kernel's ``__launch_bounds__``, with its template arguments filled in."""
    name, _, values = expression.partition("<")
    declaration = re.search(
        r"(?:template\s*<(?P<parameters>[^>]*)>\s*)?(?:extern\s+\"C\"\s+)?__global__\s+(?:void\s+)?"
        r"__launch_bounds__\s*\((?P<bounds>[^;{]*?)\)\s*(?:void\s+)?"
        rf"{re.escape(name.split('::')[-1].strip())}\s*\(",
        source,
    )
    if not declaration:
        return "0"
    filled = []
    parameters = re.findall(r"(\w+)\s+(\w+)\s*(?:=[^,]*)?(?:,|$)", declaration["parameters"] or "")
    for (kind, parameter), value in zip(parameters, values.rstrip("> ").split(","), strict=False):
        is_type = kind in ("typename", "class")
        filled.append(f"{'using' if is_type else 'constexpr auto'} {parameter} = {value};")
    most_threads = declaration["bounds"].split(",")[0]
    return f"[]{{ {' '.join(filled)} return int({most_threads}); }}()"


def translation_unit(source: str, names: list[str]) -> str:
    """Return the C++ file that is compiled: the source as it stands, and the table of its kernels."""
    bare = _COMMENT.sub(" ", source)
    table = "\n".join(
        f'    emulator::Entry<&{name}>::kernel("{name}", {_launch_bound(bare, name)}),' for name in names
    )
    # An array of unknown size cannot be thread-local; it becomes a pointer, on the same line.
    body = _DYNAMIC_SHARED.sub(r"\1* const \2 = static_cast<\1*>(emulator::dynamic_shared());", source)
    return (
        f'#include "kernel_table.hpp"\n#line 1 "<source>"\n{body}\n#line 1 "<kernel table>"\n'
        'extern "C" {\n'
        '__attribute__((visibility("default"))) extern const emulator::Kernel emulator_kernels[];\n'
        f"const emulator::Kernel emulator_kernels[] = {{\n{table}\n    {{}}}};\n}}\n"
    )


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-6000:]}")
    return done.stdout


@cache
def _toolchain(compiler: str) -> str:
    """Return what compiled objects depend on beside their own text: the compiler and the runtime."""
    files = sorted(RUNTIME.glob("*.?pp"))
    text = _run([compiler, "--version"]) + "".join(path.read_text() for path in files)
    return hashlib.sha256(text.encode()).hexdigest()


def _cached(stem: str, suffix: str, command: list[str], text: str | None = None) -> Path:
    """Return the file that ``command`` makes (of ``text``, where given), from the cache if it is there."""
    ingredients = (_toolchain(command[0]), *command, text or "")
    key = hashlib.sha256("\0".join(ingredients).encode()).hexdigest()[:20]
    target = cache_folder() / f"{stem}-{key}{suffix}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        product = Path(folder) / "product"
        if text is not None:
            unit = Path(folder) / f"{stem}.cpp"
            unit.write_text(text)
            command = [*command, str(unit)]
        _run([*command, "-o", str(product)])
        product.replace(target)  # two processes that build the same file both succeed
    return target


def build(source: str, names: list[str], definitions: tuple[str, ...] = (), stem: str = "kernel") -> Path:
    """Compile a CUDA source and return the shared object with the kernels ``names``.

    Parameters
    ----------
    source : str
        CUDA C++ without includes of other files; ``#line`` directives are respected.
    names : list of str
        Kernels to export: ``extern "C"`` names or template instances such as ``"scale<float>"``.
    definitions : tuple of str, optional
        Compiler options ``-Dname=value`` and ``-Uname``.
    stem : str, optional
        Start of the file name in the cache.
    """
    compiler = find_compiler()
    base = [compiler, *_COMMON_FLAGS, f"-I{RUNTIME}", "-c"]
    # One unit, so that the checks are inlined into each other.
    runtime = "".join(f'#include "{path.name}"\n' for path in sorted(RUNTIME.glob("*.cpp")))
    objects = [
        _cached("runtime", ".o", [*base, "-O2"], runtime),
        _cached(stem, ".o", [*base, *_KERNEL_FLAGS, *definitions], translation_unit(source, names)),
    ]
    return _cached(stem, ".so", [compiler, "-shared", *map(str, objects)])


def shared_variables(library: Path) -> list[tuple[int, int, str]]:
    """Return offset, size and name of each static ``__shared__`` variable of a compiled module."""
    found = []
    for line in _run(["readelf", "-sW", "--demangle", str(library)]).splitlines():
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[3] == "TLS" and "shared_memory_anchor" not in fields[7]:
            name = re.sub(r"\[.*\]$| \(.*$", "", fields[7]).rsplit("::", 1)[-1]
            found.append((int(fields[1], 16), int(fields[2], 0), name))
    return sorted(set(found))


@cache
def source_line(library: Path, offset: int) -> str:
    """Return ``file:line`` of a machine instruction, with the lines that it was inlined into."""
    lines = _run(["addr2line", "-i", "-e", str(library), hex(offset)]).splitlines()
    places = [line.split(" (")[0] for line in lines if str(RUNTIME) not in line]
    return places[0] + "".join(f" (inlined at {place})" for place in places[1:3]) if places else "?"
