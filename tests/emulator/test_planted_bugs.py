"""Each bug planted in a correct kernel is caught, and its kind and source line are named."""

import re
from typing import NamedTuple

import numpy as np
import pytest

from tests.emulator import EmulatorError, schedules
from tests.emulator.planted import GRADIENT, RUN, kernel, line_of

pytestmark = pytest.mark.host_only


class Bug(NamedTuple):
    """A statement of a kernel, what replaces it, what is said, and the statement at whose line."""

    family: str
    correct: str
    wrong: str
    message: str
    statement: str
    file: str = ""


BUGS = {
    "missing barrier": Bug(
        "block_sum",
        "    __syncthreads();",
        "",
        "data race|unset shared memory, shared array partial",
        "? partial[lane]",
    ),
    "short shared array": Bug(
        "block_sum",
        "partial[8]",
        "partial[4]",
        "array index out of bounds",
        "partial[warp] = value",
    ),
    "lane missing in a shuffle mask": Bug(
        "block_sum",
        "0xffffffffu",
        "0x7fffffffu",
        "lane missing in a warp mask",
        "value += __shfl_down_sync",
    ),
    "divergent barrier": Bug(
        "block_sum",
        "    __syncthreads",
        "    if (warp < 4) __syncthreads",
        "divergent barrier",
        "__syncthreads",
    ),
    "divergent shuffle": Bug(
        "block_sum",
        "float value = warp_sum(i < count ? values[i] : 0.0f)",
        "float value = lane < 16 ? warp_sum(i < count ? values[i] : 0.0f) : 0.0f",
        "divergent warp function",
        "value += __shfl_down_sync",
    ),
    "shuffle after lanes have returned": Bug(
        "block_sum",
        "(warp == 0)",
        "(threadIdx.x < 8)",
        "shuffle from an absent lane",
        "value += __shfl_down_sync",
    ),
    "out-of-bounds read": Bug(
        "block_sum",
        "i < count",
        "i <= count",
        "out-of-bounds read of 4 bytes, .* past the end of argument 0 'values'",
        "i < count",
    ),
    "short halo": Bug(
        "box_filter",
        "< threads + 2 * radius",
        "< threads + 2 * radius - 1",
        "read of unset shared memory",
        "sum += tile",
    ),
    "off-by-one edge": Bug(
        "box_filter",
        "x >= width)",
        "x > width)",
        "out-of-bounds write|data race .write after write",
        "out[row + x]",
    ),
    "division by zero": Bug(
        "box_filter",
        "threads - radius,",
        "threads / (radius - radius),",
        "integer division by zero",
        "start =",
    ),
    "+= for atomicAdd in a block": Bug(
        "histogram",
        "atomicAdd(&block_counts[values[i]], 1)",
        "block_counts[values[i]] += 1",
        "data race .* on dynamic shared memory",
        "block_counts[values[i]]",
    ),
    "+= for atomicAdd between blocks": Bug(
        "histogram",
        "atomicAdd(&counts[bin], block_counts[bin])",
        "counts[bin] += block_counts[bin]",
        "data race .* on argument 1 'counts'.* of an earlier block",
        "atomicAdd(&counts[bin]",
    ),
    "missing warp barrier": Bug(
        "warp_reverse",
        "    __syncwarp();",
        "",
        "data race|unset shared memory",
        "out[i] = exchange",
    ),
    "warp barrier of half the lanes": Bug(
        "warp_reverse",
        "__syncwarp()",
        "__syncwarp(lane < 16 ? 0xffffu : 0xffff0000u)",
        "data race|unset shared memory",
        "out[i] = exchange",
    ),
    "block barrier that half the threads pass elsewhere": Bug(
        "warp_reverse",
        "__syncwarp();",
        "if (first) __syncthreads(); else __syncthreads_or(0);",
        "divergent barrier",
        "__syncwarp()",
    ),
    "missing fence between blocks": Bug(
        "last_block_sum",
        "        __threadfence();",
        "",
        "data race .* of an earlier block",
        "sum += partial[i]",
    ),
    "out-of-bounds read in a header": Bug(
        "gradient",
        "row[i - 1]",
        "row[i - 2]",
        "out-of-bounds read of 4 bytes, 4 bytes before the start of argument 0 'row'",
        "row[i - 1]",
        "gradient.cuh",
    ),
    "integer overflow": Bug(
        "gradient",
        "(row, i + 1)",
        "(row, (size * size * size * size * i > 0 ? 0 : i) + 1)",
        "signed integer overflow in [*]",
        "(row, i + 1)",
    ),
    "write through a const pointer": Bug(
        "gradient",
        "out[i] = central",
        "const_cast<T*>(row)[i] = central",
        "write through a const pointer",
        "out[i] = central",
    ),
}


@pytest.mark.parametrize("family", RUN)
def test_the_correct_kernel_passes_in_every_schedule(family):
    with schedules(range(6)):
        RUN[family](kernel(family, GRADIENT if family == "gradient" else ""))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught_and_named(name, seed):
    bug = BUGS[name]
    broken = kernel(bug.family, GRADIENT if bug.family == "gradient" else "", bug.correct, bug.wrong)
    with schedules([seed]), pytest.raises(EmulatorError, match=bug.message) as caught:
        RUN[bug.family](broken)
    place = line_of(bug.file or f"{bug.family}.cu", bug.statement)
    assert re.search(re.escape(place) + r"\b", str(caught.value)), f"{caught.value}: not at {place}"


@pytest.mark.parametrize(
    ("grid", "count"),
    [((3,), np.int32(198)), ((4,), np.int32(150))],
    ids=["grid too small", "count too small"],
)
def test_unwritten_output_is_named_when_it_reaches_the_host(grid, count):
    from tests.emulator.cupy_standin import module

    cupy = module()
    row, out = cupy.ones(200, np.float32), cupy.empty(198, np.float32)
    kernel("gradient", GRADIENT)(grid, (64,), (row, out, count))
    with pytest.raises(EmulatorError, match=r"unwritten output: \d+ of 198 elements .* grid too small"):
        cupy.asnumpy(2 * out)


@pytest.mark.parametrize("count", [198, 198.0, np.int64(198), np.float32(198), True])
def test_a_wrong_scalar_type_is_named(count):
    row, out = np.ones(200, np.float32), np.empty(198, np.float32)
    with pytest.raises(TypeError, match=r"wrong scalar type: argument 2 'size' is passed as .* reads int32"):
        kernel("gradient", GRADIENT)((4,), (64,), (row, out, count))


def test_too_little_dynamic_shared_memory_is_named():
    with pytest.raises(EmulatorError, match=r"out-of-bounds write .* past the end of dynamic shared memory"):
        RUN["box_filter"](kernel("box_filter"), shared_mem=4 * (128 + 9))


def test_a_misaligned_vector_access_is_named():
    memory = np.zeros(132, np.float32)
    start = -memory.ctypes.data // 4 % 4 + 1
    with pytest.raises(EmulatorError, match="misaligned access") as caught:
        kernel("gradient", "scale4")(
            (1,), (16,), (memory[start : start + 64], np.empty(64, np.float32), np.float32(2))
        )
    assert line_of("gradient.cu", "const float4 value =") in str(caught.value)
