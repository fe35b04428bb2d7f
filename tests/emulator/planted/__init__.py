"""Small correct kernels, as a place to plant bugs in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.emulator import Kernel, Module

__all__ = ["FOLDER", "RUN", "kernel", "line_of", "planted_source"]

FOLDER = Path(__file__).resolve().parent
GRADIENT = "gradient<float, 64>"


def planted_source(family: str, correct: str = "", wrong: str = "") -> str:
    """Return the source of a kernel, with one statement replaced if ``correct`` is given."""
    path = FOLDER / f"{family}.cu"
    text = path.read_text()
    header = FOLDER / f"{family}.cuh"
    if header.exists():
        include = f'#include "{header.name}"\n'
        before = text[: text.index(include)].count("\n") + 2
        inlined = f'#line 1 "{header}"\n{header.read_text()}#line {before} "{path}"\n'
        text = text.replace(include, inlined)
    if correct:
        assert text.count(correct) == 1, f"{correct!r} is {text.count(correct)} times in {path.name}"
        text = text.replace(correct, wrong)
    return f'#line 1 "{path}"\n{text}'


def line_of(file: str, statement: str) -> str:
    """Return ``path:line`` of the only line of a file that holds ``statement``."""
    path = FOLDER / file
    lines = [number for number, line in enumerate(path.read_text().splitlines(), 1) if statement in line]
    assert len(lines) == 1, f"{statement!r} is on {len(lines)} lines of {file}"
    return f"{path}:{lines[0]}"


def kernel(family: str, name: str = "", correct: str = "", wrong: str = "") -> Kernel:
    """Compile a kernel, with one statement replaced if ``correct`` is given."""
    expressions = (GRADIENT,) if family == "gradient" else ()
    return Module(planted_source(family, correct, wrong), expressions).kernels[name or family]


def _block_sum(run: Kernel) -> None:
    values = np.arange(1000, dtype=np.float32)
    sums = np.empty(4, np.float32)
    run((4,), (256,), (values, sums, np.int32(values.size)))
    np.testing.assert_array_equal(sums, [values[i : i + 256].sum() for i in range(0, 1000, 256)])


def _box_filter(run: Kernel, radius: int = 5, shared_mem: int | None = None) -> None:
    image = np.arange(3 * 300, dtype=np.float32).reshape(3, 300)
    out = np.full_like(image, np.nan)
    size = 4 * (128 + 2 * radius) if shared_mem is None else shared_mem
    run((3, 3), (128,), (image, out, np.int32(300), np.int32(radius)), shared_mem=size)
    box = np.full(2 * radius + 1, 1 / (2 * radius + 1))
    np.testing.assert_allclose(out, [np.convolve(row, box, "same") for row in image], rtol=1e-5)


def _histogram(run: Kernel) -> None:
    values = np.random.default_rng(0).integers(0, 10, 500).astype(np.int32)
    counts = np.zeros(10, np.int32)
    run((4,), (128,), (values, counts, np.int32(values.size), np.int32(10)), shared_mem=40)
    np.testing.assert_array_equal(counts, np.bincount(values, minlength=10))


def _warp_reverse(run: Kernel) -> None:
    values = np.arange(128, dtype=np.float32)
    out = np.empty_like(values)
    run((2,), (64,), (values, out))
    np.testing.assert_array_equal(out.reshape(-1, 32), values.reshape(-1, 32)[:, ::-1])


def _last_block_sum(run: Kernel) -> None:
    values = np.arange(320, dtype=np.float32)
    total = np.empty(1, np.float32)
    run((10,), (64,), (values, np.empty(10, np.float32), np.zeros(1, np.uint32), total))
    assert total == values.sum()


def _gradient(run: Kernel) -> None:
    row = np.random.default_rng(0).random(200).astype(np.float32)
    out = np.empty(198, np.float32)
    run((4,), (64,), (row, out, np.int32(198)))
    np.testing.assert_array_equal(out, (row[2:] - row[:-2]) / 2)


# How each kernel is run and compared with NumPy.
RUN: dict[str, Callable[..., None]] = {
    "block_sum": _block_sum,
    "box_filter": _box_filter,
    "gradient": _gradient,
    "histogram": _histogram,
    "last_block_sum": _last_block_sum,
    "warp_reverse": _warp_reverse,
}
