"""How arrays enter and leave: ``namespace``, ``as_kernel_array`` and ``allocate_out``."""

import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastimg._arrays import allocate_out, as_kernel_array, namespace

KERNEL_DTYPES = ("float32", "float64", "complex64", "complex128")
BECOMES = {
    "bool": "float32",
    "int8": "float32",
    "uint8": "float32",
    "int16": "float32",
    "uint16": "float32",
    "float16": "float32",
    "float32": "float32",
    "int32": "float64",
    "uint32": "float64",
    "int64": "float64",
    "uint64": "float64",
    "float64": "float64",
    "complex64": "complex64",
    "complex128": "complex128",
}
REJECTED = [
    np.ones(2, np.longdouble),
    np.ones(2, np.clongdouble),
    np.array([1, None], object),
    np.array(["a"]),
    np.array([b"a"]),
    np.zeros(2, "datetime64[s]"),
    np.zeros(2, "timedelta64[s]"),
    np.zeros(2, [("x", "f4")]),
]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)

every_example = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    """The same values, one byte past where their type may lie."""
    buffer = np.zeros(array.nbytes + 1, np.uint8)[1:]
    return _fill(buffer.view(array.dtype).reshape(array.shape), array)


def _fill(target, source):
    target[...] = source
    return target


def every_other(array):
    """A view with gaps, of the same values."""
    padded = np.zeros((*array.shape[:-1], 2 * array.shape[-1]) if array.ndim else (), array.dtype)
    view = padded[..., ::2] if array.ndim else padded
    return _fill(view, array)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": np.copy,
    "Fortran": lambda array: array.copy(order="F"),
    "read-only": read_only,
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "unaligned": unaligned,
    "gaps": every_other,
    "negative strides": lambda array: np.asarray(np.flip(np.flip(array).copy())),
    "transposed": lambda array: np.transpose(np.transpose(array).copy()),
}
DEVICE_LAYOUTS = ("C", "gaps", "negative strides", "transposed")


@pytest.fixture
def fake_cupy(monkeypatch):
    """A module of the name cupy, whose arrays are of its own type."""
    module = ModuleType("cupy")
    vars(module)["ndarray"] = type("ndarray", (), {})
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_numpy_serves_arrays_lists_and_nothing():
    assert namespace(np.ones(2), [1, 2], None, 3.0) is np
    assert namespace() is np


def test_looking_for_cupy_does_not_import_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert namespace(np.ones(2)) is np
    assert "cupy" not in sys.modules


def test_one_cupy_array_makes_it_cupy(fake_cupy):
    assert namespace(fake_cupy.ndarray(), [1, 2], (3, 4), None, 5.0, np.float64(6)) is fake_cupy


@pytest.mark.parametrize("host", [np.ones(2), np.ones(()), memoryview(b"ab")])
def test_mixed_arguments_are_named(fake_cupy, host):
    with pytest.raises(TypeError, match=r"image on a GPU but mask on the CPU"):
        namespace(image=fake_cupy.ndarray(), mask=host)
    with pytest.raises(TypeError, match=r"argument 2 on a GPU but argument 1 on the CPU"):
        namespace(host, fake_cupy.ndarray())


def test_mixed_arguments_of_this_device_are_an_error(xp, to_device):
    if xp is np:
        pytest.skip("there is one kind of array only")
    with pytest.raises(TypeError, match="image on a GPU but mask on the CPU"):
        namespace(image=to_device(np.ones(2)), mask=np.ones(2))
    with pytest.raises(TypeError, match="image is on the CPU"):
        as_kernel_array(xp, np.ones(2), KERNEL_DTYPES, name="image")


@every_example
@given(
    data=st.data(),
    name=st.sampled_from(sorted(BECOMES)),
    shape=SHAPES,
    layout=st.sampled_from(sorted(LAYOUTS)),
)
def test_any_layout_and_dtype_becomes_a_kernel_array(data, name, shape, layout):
    plain = data.draw(hnp.arrays(name, shape))
    given_array = LAYOUTS[layout](plain)
    before = given_array.tobytes()
    array = as_kernel_array(np, given_array, KERNEL_DTYPES)
    assert array.dtype == BECOMES[name]
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    assert array.flags.aligned
    assert array.shape == shape
    np.testing.assert_array_equal(array, plain.astype(BECOMES[name]))
    assert given_array.tobytes() == before


@pytest.mark.parametrize("layout", DEVICE_LAYOUTS)
@pytest.mark.parametrize("name", sorted(BECOMES))
def test_device_arrays_become_kernel_arrays(xp, to_device, to_host, name, layout):
    plain = np.arange(12).reshape(3, 4).astype(name)
    device = to_device(plain)
    view = {
        "C": lambda: device,
        "gaps": lambda: to_device(np.repeat(plain, 2, axis=1))[:, ::2],
        "negative strides": lambda: to_device(np.ascontiguousarray(plain[::-1, ::-1]))[::-1, ::-1],
        "transposed": lambda: to_device(np.ascontiguousarray(plain.T)).T,
    }[layout]()
    array = as_kernel_array(xp, view, KERNEL_DTYPES)
    assert isinstance(array, xp.ndarray)
    assert array.dtype == BECOMES[name]
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(to_host(array), plain.astype(BECOMES[name]))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([[1, 2], [3, 4]], "float64"),
        (((1.5, 2), (3, 4)), "float64"),
        ([True, False], "float32"),
        ([1j], "complex128"),
        ([], "float64"),
        (7, "float64"),
        (np.float32(7), "float32"),
        ([np.float32(1), np.float32(2)], "float32"),
        (np.ones((1, 2)).view(np.matrix), "float64"),
    ],
)
def test_lists_and_scalars_become_arrays(xp, to_host, values, dtype):
    if xp is not np and isinstance(values, np.matrix):
        pytest.skip("a matrix is an array on the CPU")
    array = as_kernel_array(xp, values, KERNEL_DTYPES)
    assert type(array) is xp.ndarray
    assert array.dtype == dtype
    np.testing.assert_array_equal(to_host(array), np.asarray(values))


@pytest.mark.parametrize("array", REJECTED, ids=lambda array: str(array.dtype))
def test_other_dtypes_are_rejected_by_name(array):
    with pytest.raises(TypeError, match=r"weight has dtype .*; accepted are float32, float64"):
        as_kernel_array(np, array, KERNEL_DTYPES, name="weight")


def test_a_masked_array_does_not_lose_its_mask():
    with pytest.raises(TypeError, match="image is a masked array"):
        as_kernel_array(np, np.ma.masked_array([1.0, 2.0], [True, False]), KERNEL_DTYPES, name="image")


def test_ragged_lists_are_named():
    with pytest.raises(ValueError, match="image is not an array of numbers"):
        as_kernel_array(np, [[1, 2], [3]], KERNEL_DTYPES, name="image")


def test_the_first_dtype_that_holds_the_values_is_taken(xp, to_device):
    single, double = to_device(np.ones(2, np.float32)), to_device(np.ones(2))
    assert as_kernel_array(xp, single, ["float64"]).dtype == np.float64
    assert as_kernel_array(xp, single, ["complex64", "complex128"]).dtype == np.complex64
    assert as_kernel_array(xp, double, ["complex64", "complex128"]).dtype == np.complex128
    for array, accepted in [(double, ["float32"]), (to_device(np.ones(2) * 1j), ["float32", "float64"])]:
        with pytest.raises(TypeError, match="image has dtype"):
            as_kernel_array(xp, array, accepted, name="image")


def test_what_fits_is_not_copied(xp, to_device):
    array = to_device(np.ones((2, 3)))
    assert as_kernel_array(xp, array, KERNEL_DTYPES) is array


@pytest.mark.parametrize("shape", [(), (0,), (1, 1), (2, 3)])
def test_no_out_gives_a_new_array(xp, shape):
    work, deliver = allocate_out(xp, None, shape, "complex64")
    assert isinstance(work, xp.ndarray)
    assert work.dtype == np.complex64
    assert work.shape == shape
    assert work.flags.c_contiguous
    assert deliver() is work


def test_an_out_that_fits_is_written_directly(xp, to_device):
    out = to_device(np.zeros((2, 3), np.float32))
    work, deliver = allocate_out(xp, out, (2, 3), np.float32, to_device(np.ones((2, 3), np.float32)), None)
    assert work is out
    assert deliver() is out


@pytest.mark.parametrize(
    "make",
    [
        lambda xp: xp.zeros((2, 6), np.float32)[:, ::2],
        lambda xp: xp.zeros((2, 3), np.float32)[::-1],
        lambda xp: xp.zeros((3, 2), np.float32).T,
        lambda xp: xp.zeros((2, 3), np.float64),
        lambda xp: xp.zeros((2, 3), np.float16),
        lambda xp: xp.zeros((2, 3), np.complex64),
    ],
    ids=["gaps", "reversed", "transposed", "wider", "narrower", "complex"],
)
def test_any_other_out_goes_through_a_temporary(xp, to_device, to_host, make):
    out = make(xp)
    dtype = out.dtype
    work, deliver = allocate_out(xp, out, (2, 3), np.float32)
    assert work is not out
    assert work.flags.c_contiguous
    assert work.dtype == np.float32
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    work[...] = to_device(expected)
    assert deliver() is out
    assert out.dtype == dtype
    np.testing.assert_array_equal(to_host(out), expected)


@pytest.mark.parametrize("layout", ["byte-swapped", "unaligned"])
def test_foreign_memory_is_written_through_a_temporary(layout):
    out = LAYOUTS[layout](np.zeros((2, 3), np.float32))
    work, deliver = allocate_out(np, out, (2, 3), np.float32)
    assert work.dtype.isnative
    assert work.flags.aligned
    work[...] = 7
    assert deliver() is out
    assert (out == 7).all()


def test_an_out_that_overlaps_an_input_is_written_last(xp, to_device, to_host):
    memory = to_device(np.arange(4.0))
    out, array = memory[1:], memory[:-1]
    work, deliver = allocate_out(xp, out, (3,), np.float64, array)
    work[...] = 0
    np.testing.assert_array_equal(to_host(array), [0, 1, 2])
    assert deliver() is out
    np.testing.assert_array_equal(to_host(memory), [0, 0, 0, 0])


def test_a_subclass_is_returned_itself(tmp_path):
    out = np.memmap(tmp_path / "out", np.float32, "w+", shape=(2, 3))
    assert allocate_out(np, out, (2, 3), np.float32)[1]() is out


@pytest.mark.parametrize(
    ("shape", "out_dtype", "dtype", "error", "message"),
    [
        ((3, 2), "float32", "float32", ValueError, r"result has shape \(3, 2\); accepted is \(2, 3\)"),
        ((1, 2, 3), "float32", "float32", ValueError, "result has shape"),
        ((), "float32", "float32", ValueError, "result has shape"),
        ((2, 3), "int64", "float32", TypeError, "result has dtype int64"),
        ((2, 3), "float32", "complex64", TypeError, "result has dtype float32"),
        ((2, 3), "bool", "float64", TypeError, "result has dtype bool"),
    ],
)
def test_a_wrong_out_is_named(xp, shape, out_dtype, dtype, error, message):
    with pytest.raises(error, match=message):
        allocate_out(xp, xp.zeros(shape, out_dtype), (2, 3), dtype, name="result")


def test_a_read_only_out_is_a_value_error():
    with pytest.raises(ValueError, match="out is read-only"):
        allocate_out(np, read_only(np.zeros((2, 3))), (2, 3), np.float64)


def test_an_out_that_is_no_array_of_the_module_is_a_type_error(xp):
    others = [[[1, 2, 3], [4, 5, 6]], 1.0] + ([] if xp is np else [np.zeros((2, 3))])
    for out in others:
        with pytest.raises(TypeError, match=f"out is a .*; accepted is a {xp.__name__} array or None"):
            allocate_out(xp, out, (2, 3), np.float64)


@every_example
@given(
    data=st.data(),
    shape=SHAPES,
    layout=st.sampled_from(["C", "Fortran", "gaps", "byte-swapped", "negative strides"]),
)
def test_out_receives_what_was_computed(data, shape, layout):
    expected = data.draw(hnp.arrays("float64", shape))
    out = LAYOUTS[layout](np.zeros(shape))
    work, deliver = allocate_out(np, out, shape, np.float64, expected)
    np.copyto(work, expected)
    assert deliver() is out
    np.testing.assert_array_equal(out, expected)
