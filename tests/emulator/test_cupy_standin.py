"""The stand-in for cupy offers what CuPy offers and refuses what CuPy refuses."""

import sys

import numpy as np
import pytest
import scipy.fft

from tests import emulator
from tests.emulator import EmulatorError, cupy_standin
from tests.emulator.planted import planted_source

pytestmark = pytest.mark.host_only
cupy = cupy_standin.module()


@pytest.fixture
def a():
    return cupy.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))


REFUSED = {
    "a host array on the right": lambda a: a + np.ones(3),
    "a host array on the left": lambda a: np.ones(3) + a,
    "a 0-d host array": lambda a: a * np.array(2.0),
    "a host array in a function": lambda a: cupy.sum(np.ones(3)),
    "a host array among arrays": lambda a: cupy.stack([a, np.ones((2, 3))]),
    "a host array into a slice": lambda a: a.__setitem__(0, np.ones(3)),
    "a list in arithmetic": lambda a: a @ [1, 2, 3],
    "a list in a function": lambda a: cupy.sum([1, 2]),
    "asarray of numpy": lambda a: np.asarray(a),
    "array of numpy": lambda a: np.array([a, a]),
    "a NumPy function that CuPy lacks": lambda a: np.lexsort(a),
    "an FFT of a host array": lambda a: cupy.fft.fft2(np.ones((2, 3))),
    "setting from a device array": lambda a: a.set(a),
}


@pytest.mark.parametrize("name", REFUSED)
def test_host_and_device_do_not_mix(name, a):
    with pytest.raises(TypeError):
        REFUSED[name](a)


@pytest.mark.parametrize("name", ["ctypes", "setflags", "__array_interface__", "newbyteorder", "byteswap"])
def test_what_cupys_arrays_lack_is_missing(name, a):
    assert not hasattr(a, name)


@pytest.mark.parametrize("name", ["lexsort", "memmap", "vectorize", "nditer", "longdouble", "str_", "block"])
def test_what_cupy_lacks_or_the_table_omits_is_missing(name):
    assert not hasattr(cupy, name)


def test_an_index_of_host_memory_is_refused(a):
    with pytest.raises(IndexError, match="Unsupported type"):
        a[np.array([0, 1])]
    np.testing.assert_array_equal(a[cupy.asarray([1, 0])].get(), a.get()[::-1])


def test_flags_tell_the_layout_only(a):
    assert a.flags.c_contiguous
    assert a.T.flags["F_CONTIGUOUS"]
    assert not hasattr(a.flags, "writeable")
    assert not hasattr(a.flags, "aligned")


def test_reductions_and_elements_stay_on_the_device(a):
    with emulator.recording() as record:
        values = [a.sum(), a[0, 1], cupy.abs(a).max(), (a == a).all(), cupy.allclose(a, a), a.real.mean()]
    assert all(isinstance(value, cupy.ndarray) and value.shape == () for value in values)
    assert record.host_synchronisations == 0


WAITING = {
    "float": float,
    "int": int,
    "complex": complex,
    "bool": bool,
    "index": lambda value: range(int(value)),
    "get": lambda value: value.get(),
    "item": lambda value: value.item(),
    "tolist": lambda value: value.tolist(),
    "asnumpy": cupy.asnumpy,
}


@pytest.mark.parametrize("name", WAITING)
def test_what_waits_for_the_device_is_counted(name):
    with emulator.recording() as record:
        WAITING[name](cupy.asarray(3))
    assert record.host_synchronisations == 1


def test_empty_memory_is_rubbish_that_is_named_when_read():
    for dtype in (np.float32, np.complex128):
        assert np.isnan(cupy.empty((2, 2), dtype)._host).all()
        with pytest.raises(EmulatorError, match="4 of 4 elements"):
            cupy.empty((2, 2), dtype).get()
    assert (cupy.empty(3, np.int64).get() == -1).all()
    np.testing.assert_array_equal(cupy.asarray([np.nan, 1]).get(), [np.nan, 1])


@pytest.mark.parametrize("dtype", [">f4", ">c16", ">i8"])
def test_byte_swapped_arrays_arrive_in_native_order(dtype):
    values = np.arange(3).astype(dtype)
    array = cupy.asarray(values)
    assert array.dtype.isnative
    np.testing.assert_array_equal(array.get(), values)


@pytest.mark.parametrize("values", [["text"], [object()], np.zeros(2, np.longdouble), np.zeros(2, "M8[s]")])
def test_dtypes_that_cupy_lacks_are_refused(values):
    with pytest.raises(ValueError, match="Unsupported dtype"):
        cupy.asarray(values)


def test_asarray_copies_only_where_it_must(a):
    assert cupy.asarray(a) is a
    assert cupy.asarray(a, np.float32, "C") is a
    assert cupy.asarray(a, np.float64).dtype == np.float64
    assert cupy.asarray(a.T, order="C").flags.c_contiguous
    assert cupy.asarray(cupy.arange(3), np.float64).dtype == np.float64
    assert cupy.ascontiguousarray(np.float32(3)).shape == (1,)
    host = np.zeros(3)
    cupy.asarray(host)[0] = 1
    assert host[0] == 0, "memory is never shared with the host"


def test_an_output_is_written_and_returned_itself(a):
    out = cupy.empty_like(a)
    assert cupy.exp(a, out=out) is out
    assert np.add(a, a, out=out) is out
    np.testing.assert_array_equal(out.get(), 2 * a.get())
    out.real = out
    out[0] = a[1]
    out[...] += 1
    np.testing.assert_array_equal(out.get()[0], a.get()[1] + 1)


def test_numpys_functions_dispatch_to_the_device(a):
    assert isinstance(np.sum(a), cupy.ndarray)
    assert isinstance(np.broadcast_to(a, (4, 2, 3)), cupy.ndarray)
    assert np.result_type(a, np.float64) == np.float64
    assert cupy.shares_memory(a, a[1:])
    assert cupy.get_array_module(1, a) is cupy
    assert cupy.get_array_module(1) is np


def test_results_with_several_arrays_are_on_the_device():
    values, vectors = cupy.linalg.eigh(cupy.eye(2))
    assert isinstance(values, cupy.ndarray)
    assert isinstance(vectors, cupy.ndarray)
    assert all(isinstance(part, cupy.ndarray) for part in cupy.array_split(cupy.arange(4), 2))


@pytest.mark.parametrize("name", ["fft2", "ifft2", "fftn", "rfftn", "fft"])
def test_ffts_keep_single_precision(name, a):
    fft = cupy_standin.packages()["cupyx.scipy.fft"]
    result = getattr(fft, name)(a, norm="ortho")
    assert result.dtype == np.complex64
    np.testing.assert_allclose(result.get(), getattr(scipy.fft, name)(a.get(), norm="ortho"), rtol=1e-6)
    with pytest.raises(TypeError, match="workers"):
        getattr(fft, name)(a, workers=2)


def test_an_input_that_may_be_overwritten_is(a):
    fft = cupy_standin.packages()["cupyx.scipy.fft"]
    spectrum = fft.fft2(a)
    kept = spectrum.get()
    fft.ifft2(spectrum)
    np.testing.assert_array_equal(spectrum.get(), kept)
    fft.ifft2(spectrum, overwrite_x=True)
    assert np.isnan(spectrum._host).all()


def test_a_raw_module_launches_on_device_arrays():
    module = cupy.RawModule(code=planted_source("block_sum"), options=("-std=c++17",))
    run, sums = module.get_function("block_sum"), cupy.empty(1, np.float32)
    run((1,), (256,), (cupy.ones(8, np.float32), sums, np.int32(8)))
    assert sums.item() == 8
    with pytest.raises(TypeError, match="argument 0 is a host array"):
        run((1,), (256,), (np.ones(8, np.float32), sums, np.int32(8)))
    with pytest.raises(EmulatorError, match="through a null pointer"):
        run((1,), (256,), (None, sums, np.int32(8)))
    with pytest.raises(AttributeError, match="no kernel 'other'"):
        module.get_function("other")
    with pytest.raises(ValueError, match="-std="):
        cupy.RawModule(code="", name_expressions=("kernel<float>",))


def test_the_device_answers():
    with cupy.cuda.Device(0) as device:
        assert device.attributes["MaxSharedMemoryPerBlockOptin"] == 65536
    assert cupy.cuda.runtime.getDeviceCount() == 1
    cupy.cuda.get_current_stream().synchronize()
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="invalid device ordinal"):
        cupy.cuda.Device(1).use()


def test_installing_over_a_real_cupy_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", np)
    with pytest.raises(RuntimeError, match="cupy is imported already"):
        cupy_standin.install()
