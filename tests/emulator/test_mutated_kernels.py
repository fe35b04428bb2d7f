"""Bugs planted in the real kernels and launchers are caught when the suite runs them."""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastimg.kernels.cuda import _launch, _module, _sinkhorn_tables, pie, plate, registration, sinkhorn
from tests.emulator import (
    EmulatorError,
    cupy_standin,
    pie_mutations,
    plate_mutations,
    schedules,
    sinkhorn_mutations,
)
from tests.reference import pie as plain_pie
from tests.reference import plate as plain_plate
from tests.reference import registration as plain_registration
from tests.reference import sinkhorn as plain_sinkhorn

pytestmark = pytest.mark.host_only

SHAPE = (3, 20, 23)
POSITIONS = np.linspace(-1, 1, 10)[None]


class Mutation(NamedTuple):
    """A piece of a source, what replaces it, the kernels to compile, who runs them, and what is said."""

    family: str
    correct: str
    wrong: str
    kernels: tuple[str, ...]
    run: str
    message: str


PACKING = ("weighted_energy<float>", "pack_pairs<float>")
REFINING = ("window_nodes<float>", "search_window<float>")
MUTATIONS = {
    "missing barrier before the partial sums are read": Mutation(
        "registration",
        "        partial[threadIdx.x / WARP] = value;\n    __syncthreads();",
        "        partial[threadIdx.x / WARP] = value;\n",
        PACKING,
        "pack_pairs",
        r"(data race|read of unset shared memory).* shared array partial.*reductions\.cuh",
    ),
    "missing barrier between two sums": Mutation(
        "registration",
        "    value = warp_sum(value);\n    __syncthreads();",
        "    value = warp_sum(value);\n",
        PACKING,
        "pack_pairs",
        r"data race \(write after read\) on shared array partial.*reductions\.cuh",
    ),
    "half the shared array": Mutation(
        "registration",
        "__shared__ T partial[THREADS / WARP];",
        "__shared__ T partial[THREADS / WARP / 2];",
        PACKING,
        "pack_pairs",
        r"array index out of bounds.*reductions\.cuh",
    ),
    "lane missing in the mask": Mutation(
        "registration",
        "WHOLE_WARP = 0xffffffffu",
        "WHOLE_WARP = 0xfffffffeu",
        PACKING,
        "pack_pairs",
        r"lane missing in a warp mask.*reductions\.cuh",
    ),
    "write past the part of a block": Mutation(
        "registration",
        "if (first + i * THREADS < part.end)\n                out[first + i * THREADS] = value[i];",
        "if (first + i * THREADS <= part.end)\n                out[first + i * THREADS] = value[i];",
        PACKING,
        "pack_pairs",
        r"(data race|out-of-bounds write).*'packed'.*registration\.cu",
    ),
    "one column of the half plane too few": Mutation(
        "registration",
        "columns = width / 2 + 1",
        "columns = width / 2",
        ("cross_power_packed<float>",),
        "cross_power_packed",
        "unwritten output",
    ),
    "every lane writes": Mutation(
        "registration",
        "if (lane == 0)\n        peak[pair] = best.index;",
        "if (lane >= 0)\n        peak[pair] = best.index + 0 * lane;",
        ("correlation_peak<float>", "last_peak"),
        "correlation_peak",
        r"data race \(write after write\).*'peak'.*registration\.cu",
    ),
    "missing barrier after the phases of the rows": Mutation(
        "subpixel",
        "tile.rows, height, y.centre);\n    __syncthreads();",
        "tile.rows, height, y.centre);\n",
        REFINING,
        "refine_peak",
        r"(data race|read of unset shared memory).* shared array phases.*subpixel\.cu",
    ),
    "one row of phases too few": Mutation(
        "subpixel",
        "i < count * entries",
        "i < (count - 1) * entries",
        REFINING,
        "refine_peak",
        r"read of unset shared memory, shared array phases.*subpixel\.cu",
    ),
    "phases of half the rows": Mutation(
        "subpixel",
        "phases[DFT_ROWS][DFT_POSITIONS]",
        "phases[DFT_ROWS / 8][DFT_POSITIONS]",
        ("matrix_dft<float>",),
        "matrix_dft",
        r"(array index out of bounds|out-of-bounds).*subpixel\.cu",
    ),
    "missing barrier after the sums of the threads": Mutation(
        "subpixel",
        "shared_sums[p][threadIdx.x] = sums[p];\n    __syncthreads();",
        "shared_sums[p][threadIdx.x] = sums[p];\n",
        ("matrix_dft<float>",),
        "matrix_dft",
        r"(data race|read of unset shared memory).*shared array shared_sums.*subpixel\.cu",
    ),
    "write past the rows of a tile": Mutation(
        "subpixel",
        "if (row < tile.rows)\n                out[corner",
        "if (row <= tile.rows)\n                out[corner",
        ("fourier_shift<float>",),
        "fourier_shift",
        r"(data race|out-of-bounds|unset shared memory).*subpixel\.cu",
    ),
    **{f"pie: {name}": Mutation(*row) for name, row in pie_mutations.CAUGHT.items()},
    **{f"plate: {name}": Mutation(*row) for name, row in plate_mutations.CAUGHT.items()},
    **{f"sinkhorn: {name}": Mutation(*row) for name, row in sinkhorn_mutations.CAUGHT.items()},
}


def pairs(rng):
    return [rng.random(SHAPE).astype(np.float32) for _ in range(2)]


def spectra(rng, shape=SHAPE):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


# Inputs, and shape and dtype of each output, of the launchers.
ARGUMENTS: dict[str, Callable[..., tuple[list[Any], list[Any]]]] = {
    "pack_pairs": lambda rng: (
        [*pairs(rng), rng.random(SHAPE[1:]).astype(np.float32)],
        [(SHAPE, np.complex64), ((3, 2), np.float64)],
    ),
    "cross_power_packed": lambda rng: ([spectra(rng), np.ones((3, 2)), False], [(SHAPE, np.complex64)]),
    "correlation_peak": lambda rng: ([spectra(rng, (2, 80, 70))], [((2,), np.int64)]),
    "refine_peak": lambda rng: (
        [spectra(rng), np.array([0, 30, 50]), 10.0],
        [((3, 2), np.float32), ((3,), np.complex128)],
    ),
    "matrix_dft": lambda rng: ([spectra(rng), POSITIONS], [((3, 10, 23), np.complex64)]),
    "fourier_shift": lambda rng: ([spectra(rng), rng.normal(size=(3, 2))], [(SHAPE, np.complex64)]),
    **pie_mutations.ARGUMENTS,
    **plate_mutations.ARGUMENTS,
    **sinkhorn_mutations.ARGUMENTS,
}


def run(name):
    """Run a launcher on the emulated device and compare with the plain reference."""
    cupy = cupy_standin.module()
    launchers, plain = registration, plain_registration
    if name in pie_mutations.ARGUMENTS:
        launchers, plain = pie, plain_pie
    elif name in plate_mutations.ARGUMENTS:
        launchers, plain = plate, plain_plate
    elif name in sinkhorn_mutations.ARGUMENTS:
        launchers, plain = sinkhorn, plain_sinkhorn
    inputs, outputs = ARGUMENTS[name](np.random.default_rng(0))
    host = [value(plain, np.asarray) if callable(value) else value for value in inputs]
    host += [np.empty(*output) for output in outputs]
    device = [value(launchers, cupy.asarray) if callable(value) else value for value in inputs]
    device = [cupy.asarray(value) if isinstance(value, np.ndarray) else value for value in device]
    device += [cupy.empty(*output) for output in outputs]
    function = name.rpartition(" ")[2]
    getattr(launchers, function)(*device)
    getattr(plain, function)(*host)
    for actual, desired in zip(device, host, strict=True):
        if isinstance(desired, np.ndarray):
            largest = np.abs(desired[np.isfinite(desired)]).max(initial=0)
            np.testing.assert_allclose(cupy.asnumpy(actual), desired, rtol=1e-4, atol=1e-4 * largest)


@pytest.fixture
def device(monkeypatch):
    """Let the launchers find the stand-in for one test, and forget what they have compiled."""
    for name, package in cupy_standin.packages().items():
        monkeypatch.setitem(sys.modules, name, package)
    # a launch that fails leaves the counters of blocks as they are
    caches = (_module.get_function, _module._module, *_sinkhorn_tables.CACHES)
    for function in caches:
        function.cache_clear()
    yield monkeypatch
    for function in caches:
        function.cache_clear()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_kernels_as_they_are_pass(name, device):
    run(name)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_order_of_blocks_and_threads_does_not_change_a_bit(name, device):
    with schedules([0, 3], identical=not name.startswith("atomic")):
        run(name)


def plant(device, mutation):
    """Let the launchers find a mutated source."""
    text = _module.source(mutation.family)
    assert text.count(mutation.correct) == 1, f"{text.count(mutation.correct)} times in the source"
    missing_lines = mutation.correct.count("\n") - mutation.wrong.count("\n")
    assert not missing_lines, "the lines after the mutation would have other numbers"
    mutated = {mutation.family: text.replace(mutation.correct, mutation.wrong)}
    kernels = {mutation.family: dict.fromkeys(mutation.kernels, 0)}
    source, instantiations = _module.source, _module.instantiations
    device.setattr(_module, "source", lambda family: mutated.get(family) or source(family))
    device.setattr(_module, "instantiations", lambda family: kernels.get(family) or instantiations(family))


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_kernel_is_caught_and_named(name, device):
    mutation = MUTATIONS[name]
    plant(device, mutation)
    with pytest.raises(EmulatorError, match=mutation.message):
        run(mutation.run)


GRIDS = {
    registration: ("pack_pairs", "cross_power_packed", "refine_peak", "matrix_dft", "fourier_shift"),
    pie: (
        "probe_power", "exit_waves", "object_numerator", "shift_modes", "unshift_modes", "sum_probe_changes",
        "sum_probe_weights", "signal_boxes", "gradient_shift",
    ),
    plate: ("gradient", "product", "dot", "slope", "clipped_step", "pool", "upsample"),
    sinkhorn: ("convolve_axis", "log_convolve_axis", "scale_planes"),
}  # fmt: skip


@pytest.mark.parametrize(("launchers", "name"), [(m, name) for m, names in GRIDS.items() for name in names])
def test_a_grid_that_is_too_small_is_named(launchers, name, device):
    launch = launchers._launch

    def one_block_less(family, expression, blocks, *arguments):
        launch(family, expression, blocks - 1, *arguments)

    device.setattr(launchers, "_launch", one_block_less)
    with pytest.raises(EmulatorError, match=r"unwritten output.*grid too small"):
        run(name)


@pytest.mark.parametrize("narrow", [{int: np.int32}, {float: np.float32}, {bool: np.int32}])
@pytest.mark.parametrize("family", ["registration", "pie", "plate", "sinkhorn"])
def test_a_scalar_of_the_wrong_type_is_named(family, narrow, device):
    device.setattr(_launch, "SCALARS", _launch.SCALARS | narrow)
    floats, others = {
        "registration": ("refine_peak", "cross_power_packed"),
        "pie": ("sum_probe_weights", "apply_transfer"),
        "plate": ("gradient", "upsample"),
        "sinkhorn": ("mean_axis", "fuse_spectra"),
    }[family]
    with pytest.raises(TypeError, match=r"wrong scalar type: argument \d+ '\w+' is passed as \w+32"):
        run(floats if float in narrow else others)


WRONG = {
    "subpixel: the ramp of the other direction": Mutation(
        "subpixel",
        "width), -ramp[1]",
        "width), +ramp[1]",
        ("fourier_shift<float>",),
        "fourier_shift",
        "",
    ),
    **{f"pie: {name}": Mutation(*row, "") for name, row in pie_mutations.WRONG.items()},
    **{f"plate: {name}": Mutation(*row, "") for name, row in plate_mutations.WRONG.items()},
    **{f"sinkhorn: {name}": Mutation(*row, "") for name, row in sinkhorn_mutations.WRONG.items()},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_kernel_that_computes_the_wrong_thing_fails_the_comparison(name, device):
    plant(device, WRONG[name])
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        run(WRONG[name].run)
