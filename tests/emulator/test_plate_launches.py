"""How often the plate's cycle launches a kernel, and that nothing of the family waits for the device."""

import sys

import numpy as np
import pytest

from fastimg.kernels.cuda import _module, plate
from tests.emulator import cupy_standin, plate_mutations, recording

pytestmark = pytest.mark.host_only


@pytest.fixture
def cupy(monkeypatch):
    """Let the launchers find the stand-in for one test."""
    for name, package in cupy_standin.packages().items():
        monkeypatch.setitem(sys.modules, name, package)
    caches = (_module.get_function, _module._module)
    for function in caches:
        function.cache_clear()
    yield cupy_standin.module()
    for function in caches:
        function.cache_clear()


def names(record):
    return [launch.kernel for launch in record.launches]


def test_a_cycle_launches_three_kernels_a_large_grid_and_one_for_the_small_ones(cupy):
    grids = plate.grids((130, 140), 1.0, 0.0, False, None, 1e-6)
    state, residual = cupy.zeros((130, 140), np.uint8), cupy.ones((130, 140))
    plate.set_contacts(grids, state, 0.0)
    with recording() as record:
        plate.precondition(grids, residual, cupy.empty((130, 140), np.float32))
    down = ["fine_sweeps<false>", "fine_restrict", "coarse_sweeps<false>", "coarse_restrict"]
    assert names(record) == [*down, "small_grids", "coarse_sweeps<true>", "fine_sweeps<true>"]


def test_contacts_take_a_launch_a_coarse_grid_and_kind(cupy):
    grids = plate.grids((40, 50), 1.0, 0.0, False, None, 1e-6)
    state = cupy.zeros((40, 50), np.uint8)
    coarse = ["bring_springs<true>", *["bring_springs<false>"] * 3]
    for spring, kinds in ((0.0, 1), (0.5, 2)):
        with recording() as record:
            plate.set_contacts(grids, state, spring)
        assert names(record) == [*coarse * kinds, "factorize"]


@pytest.mark.parametrize("name", plate_mutations.ARGUMENTS)
def test_nothing_waits_for_the_device(cupy, name):
    inputs, outputs = plate_mutations.ARGUMENTS[name](np.random.default_rng(0))
    values = [cupy.asarray(value) if isinstance(value, np.ndarray) else value for value in inputs]
    with recording() as record:
        values = [value(plate, cupy.asarray) if callable(value) else value for value in values]
        getattr(plate, name.rpartition(" ")[2])(*values, *(cupy.empty(*output) for output in outputs))
    assert record.launches
    assert record.host_synchronisations == 0
