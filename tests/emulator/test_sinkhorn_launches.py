"""How often iterations of optimal transport launch a kernel, and that nothing waits for the device."""

import math
import sys

import numpy as np
import pytest

from fastimg.kernels.cuda import _module, _sinkhorn_tables, sinkhorn
from tests.emulator import cupy_standin, recording, sinkhorn_mutations

pytestmark = pytest.mark.host_only


@pytest.fixture
def cupy(monkeypatch):
    """Let the launchers find the stand-in for one test."""
    for name, package in cupy_standin.packages().items():
        monkeypatch.setitem(sys.modules, name, package)
    caches = (_module.get_function, _module._module, *_sinkhorn_tables.CACHES)
    for function in caches:
        function.cache_clear()
    yield cupy_standin.module()
    for function in caches:
        function.cache_clear()


def names(record):
    return [launch.kernel for launch in record.launches]


@pytest.mark.parametrize("keeps", [False, True], ids=["last", "every"])
def test_an_iteration_of_the_fusion_takes_two_launches(cupy, keeps, monkeypatch):
    u_m, measure_m = (cupy.ones((20, 21, 96)) for _ in range(2))
    u_h, measure_h, v_h, fused = (cupy.ones((20, 21, 96), np.float32) for _ in range(4))
    gauge, extremes, span = cupy.ones(96, np.float32), cupy.empty((2, 96), np.float32), cupy.empty(1)
    plane = (0.9, 0.9), (11, 11)

    def iterate():
        sinkhorn.scale_planes(u_h, measure_h, *plane, v_h)
        kept = fused if keeps else None
        sinkhorn.fuse_spectra(
            u_m, measure_m, 2.1, 53, u_h, v_h, *plane, 0.1, gauge, 93, kept, extremes, span
        )  # fmt: skip

    iterate()
    monkeypatch.setattr(cupy, "asarray", None)  # tables are on the device by now
    with recording() as record:
        iterate()
    assert names(record) == ["scale_planes<float>", "fuse_spectra<double, float, false>"]
    assert record.host_synchronisations == 0


def test_an_iteration_of_a_barycenter_takes_two_launches(cupy, monkeypatch):
    values, measures, work = (cupy.ones((2, 40, 30)) for _ in range(3))
    mean = cupy.empty((40, 30))

    def iterate():
        sinkhorn.turn_axis(values, measures, 1, (3.0, 2.0), math.inf, work)
        sinkhorn.mean_axis(
            values, 0, (3.0, 2.0), math.inf, (0.5, 0.5), 1e-30, None, None, mean, None, None, None
        )

    iterate()
    monkeypatch.setattr(cupy, "asarray", None)
    with recording() as record:
        iterate()
    assert names(record) == ["turn_lines<double, 128>", "mean_lines<double, 128>"]
    assert record.host_synchronisations == 0


@pytest.mark.parametrize(("length", "launches"), [(4, 4), (8, 2), (256, 2), (300, 4)])
def test_error_and_ranges_take_one_launch_more_and_long_lines_two(cupy, length, launches):
    values = cupy.ones((2, length, 3), np.float32)
    outputs = cupy.empty(values.shape[1:], np.float32), None, cupy.empty(1), cupy.empty((2, 2))
    with recording() as record:
        sinkhorn.mean_axis(values, 0, (3.0, 2.0), math.inf, (0.5, 0.5), 0.0, None, values.copy(), *outputs)
    assert len(record.launches) == launches
    assert names(record)[-1] == "finish_mean"


def test_the_shared_bounds_are_left_as_they_were(cupy):
    rng = np.random.default_rng(0)
    results = []
    for _ in range(2):
        inputs, outputs = sinkhorn_mutations.ARGUMENTS["kept fuse_spectra"](np.random.default_rng(1))
        given = [cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in inputs]
        written = [cupy.empty(*output) for output in outputs]
        sinkhorn.fuse_spectra(*given, *written)
        results.append([cupy.asnumpy(array) for array in written])
        # one with other bounds between
        other = [cupy.asarray(100 * rng.random(a.shape).astype(a.dtype)) if a.ndim == 3 else a for a in given
                 if hasattr(a, "ndim")]  # fmt: skip
        cubes = iter(other)
        sinkhorn.fuse_spectra(
            *(next(cubes) if hasattr(a, "ndim") else a for a in given), *(cupy.empty(*o) for o in outputs)
        )
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", sinkhorn_mutations.ARGUMENTS)
def test_nothing_waits_for_the_device(cupy, name):
    inputs, outputs = sinkhorn_mutations.ARGUMENTS[name](np.random.default_rng(0))
    values = [cupy.asarray(value) if isinstance(value, np.ndarray) else value for value in inputs]
    with recording() as record:
        getattr(sinkhorn, name.rpartition(" ")[2])(*values, *(cupy.empty(*output) for output in outputs))
    assert record.launches
    assert record.host_synchronisations == 0
