"""What ``dequantize`` refuses, and how it names it."""

import numpy as np
import pytest

from fastimg.dequantization import dequantize, distance_interpolation

CODES = np.arange(12, dtype=np.uint8).reshape(3, 4)
HERE = np.eye(3, 4, dtype=bool)
NAN = np.where(np.eye(3, 4), np.nan, 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "of bits, levels, and lower with upper, none is given; accepted is one of the three"),
        ({"bits": 4, "levels": [0, 1]}, "bits and levels is given"),
        ({"bits": 4, "upper": 1.0}, "bits and lower and upper is given"),
        ({"lower": 0.0}, "upper is None; accepted are lower and upper together"),
        ({"upper": 0.0}, "lower is None"),
        ({"bits": 0}, "bits is 0; accepted are whole numbers from 1 to 32"),
        ({"bits": 33}, "bits is 33"),
        ({"bits": 3}, r"image has the code 8 at \(2, 0\); accepted are 0 to 7, by bits=3"),
        (
            {"levels": np.arange(12)},
            r"image has the code 11 at \(2, 3\); .* 0 to 10, by levels with 12 edges",
        ),
        ({"levels": np.arange(12), "mask": CODES == 11}, "image has the code 11"),
        ({"levels": [0.0]}, r"levels has shape \(1,\); accepted is one axis with at least 2 edges"),
        ({"levels": [[0, 1]]}, r"levels has shape \(1, 2\)"),
        ({"levels": [0, 1, 1, 2]}, "levels does not increase after element 1"),
        ({"levels": [0, 1, np.nan]}, r"levels is nan at \(2,\); accepted are finite values"),
        ({"levels": np.arange(13), "rounding": "nearest"}, "rounding is 'nearest' with levels"),
        ({"lower": 0, "upper": 1, "rounding": "nearest"}, "rounding is 'nearest' with lower and upper"),
        ({"bits": 4, "rounding": "up"}, "rounding is 'up'; accepted are 'floor' and 'nearest'"),
        (
            {"lower": 0, "upper": np.ones((2, 4))},
            r"lower and upper have shapes \(\) and \(2, 4\); .*broadcast to",
        ),
        (
            {"lower": 0.0, "upper": NAN},
            r"upper is nan at \(0, 0\); accepted are numbers and inf for no bound",
        ),
        ({"lower": np.inf, "upper": np.inf}, r"lower is inf at \(0, 0\); .* -inf"),
        (
            {"lower": 2.0, "upper": 1.5},
            r"lower is 2.0 and upper 1.5 at \(0, 0\); accepted is lower up to upper",
        ),
        (
            {"bits": 4, "model": "spline"},
            "model is 'spline'; accepted are 'plate' and 'membrane' and 'blend'",
        ),
        ({"bits": 4, "model": "blend"}, "tension_length is None with model='blend'"),
        ({"bits": 4, "tension_length": 2}, "tension_length is 2 with model='plate'"),
        ({"bits": 4, "model": "blend", "tension_length": 0}, "tension_length is 0; .* from 1e-06 to 1e\\+06"),
        ({"bits": 4, "model": "blend", "tension_length": np.inf}, "tension_length is inf"),
        ({"bits": 4, "model": "blend", "tension_length": 1e-200}, "tension_length is 1e-200"),
        ({"bits": 4, "model": "blend", "tension_length": 10**400}, "tension_length is 1000"),
        ({"bits": 4, "relax": 1e7}, r"relax is 1e\+07 at \(0, 0\); accepted are numbers from 0 to 1e\+06"),
        (
            {"levels": np.linspace(-1.7e308, -1.6e308, 13), "relax": 100, "dtype": "float64"},
            r"relax is 100 at \(0, 0\), where it widens the bounds beyond double precision",
        ),
        ({"levels": [-1e308, 1e308]}, r"levels has the edges -1e\+308 and 1e\+308, too far apart"),
        (
            {"lower": np.full((3, 4), -1e308), "upper": 1e308},
            r"lower is -1e\+308 and upper 1e\+308 at \(0, 0\), too far apart; accepted are bounds",
        ),
        (
            {"lower": np.full((3, 4), 1e39), "upper": 2e39, "dtype": "float32"},
            r"lower has 1e\+39 at \(0, 0\), beyond the range of the result's dtype, float32; .* -3.4",
        ),
        ({"lower": np.zeros((3, 4)), "upper": 1e39, "dtype": "float32"}, r"upper has 1e\+39 at \(0, 0\)"),
        ({"levels": 1e38 * np.arange(13)}, r"levels has 4e\+38 at \(1, 0\), beyond the range"),
        ({"bits": 4, "fixed": (HERE, 1e39)}, r"fixed\[1\] has 1e\+39 at \(0, 0\), beyond the range"),
        ({"lower": 2**53 + 1, "upper": 1e17}, "lower has the integer 9007199254740993; .* up to 2\\*\\*53"),
        (
            {"lower": 0, "upper": np.full((3, 4), 2**63, np.uint64)},
            "upper has the integer 9223372036854775808",
        ),
        ({"bits": 4, "fixed": (HERE, -(2**60))}, r"fixed\[1\] has the integer -1152921504606846976"),
        ({"bits": 4, "mask": np.ones((4, 3), bool)}, r"mask has shape \(4, 3\); accepted is .*\(3, 4\)"),
        ({"bits": 4, "mask_mode": "drop"}, "mask_mode is 'drop'; accepted are 'bridge' and 'cut'"),
        ({"bits": 4, "boundary": "odd"}, "boundary is 'odd'; accepted are 'free' and 'even'"),
        ({"bits": 4, "fixed": (HERE, NAN)}, r"fixed\[1\] is nan at \(0, 0\)"),
        ({"bits": 4, "fixed": (HERE, np.ones(4))}, r"fixed\[1\] has shape \(4,\)"),
        ({"bits": 4, "fixed": (HERE, 1), "mask": HERE}, r"fixed and mask share the pixel \(0, 0\)"),
        ({"bits": 4, "relax": -1}, "relax has negative values"),
        ({"bits": 4, "relax": NAN}, r"relax is nan at \(0, 0\)"),
        ({"bits": 4, "initial": NAN}, r"initial is nan at \(0, 0\)"),
        ({"bits": 4, "initial": np.ones(4)}, r"initial has shape \(4,\); accepted is the image's, \(3, 4\)"),
        ({"bits": 4, "tol": 0}, "tol is 0; accepted are finite numbers above 0"),
        ({"bits": 4, "max_cycles": 0}, "max_cycles is 0; accepted are whole numbers from 1"),
        ({"bits": 4, "anomaly_passes": -1}, "anomaly_passes is -1; accepted are whole numbers from 0"),
        ({"bits": 4, "channel_axis": 0}, r"image has shape \(3, 4\); accepted is \(..., height, width\) and"),
    ],
)
def test_what_is_wrong_is_named(to_device, options, message):
    arrays = {name: on_device(to_device, value) for name, value in options.items()}
    with pytest.raises(ValueError, match=message):
        dequantize(to_device(CODES), **arrays)


def on_device(to_device, value):
    if isinstance(value, tuple):
        return tuple(on_device(to_device, part) for part in value)
    return to_device(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 2.0}, "bits is 2.0; accepted are whole numbers"),
        ({"bits": True}, "bits is True; accepted are whole numbers"),
        ({"bits": 4, "mask": CODES}, "mask has dtype uint8; accepted are bools"),
        ({"bits": 4, "fixed": HERE}, r"fixed is no pair; accepted are \(mask, values\) and None"),
        ({"bits": 4, "fixed": (CODES, 1)}, r"fixed\[0\] has dtype uint8; accepted are bools"),
        ({"bits": 4, "relax": 1j}, "relax has dtype complex128; accepted are real numbers"),
        ({"bits": 4, "initial": HERE + 1j}, "initial has dtype complex128"),
        ({"bits": 4, "tol": "small"}, "tol is 'small'; accepted are finite numbers"),
        ({"bits": 4, "max_cycles": 1.5}, "max_cycles is 1.5"),
        ({"bits": 4, "dtype": "foo"}, "dtype is 'foo'; accepted are float32 and float64"),
        ({"bits": 4, "callback": 3}, "callback is 3; accepted are functions of an IterationState, and None"),
        ({"bits": 4, "dtype": "float16"}, "dtype is float16; accepted are float32 and float64"),
        ({"bits": 4, "out": [0.0]}, "out is a list; accepted is a .* array or None"),
        ({"lower": 1j, "upper": 1}, "lower has dtype complex128"),
    ],
)
def test_what_is_of_the_wrong_type_is_named(to_device, options, message):
    arrays = {name: on_device(to_device, value) for name, value in options.items()}
    with pytest.raises(TypeError, match=message):
        dequantize(to_device(CODES), **arrays)


def test_floats_are_no_codes(to_device):
    with pytest.raises(
        TypeError, match=r"image has dtype float64; accepted are integer codes .*lower= and upper="
    ):
        dequantize(to_device(CODES / 2), bits=4)


def test_no_image_is_no_codes():
    with pytest.raises(TypeError, match="image is None; accepted are integer codes"):
        dequantize(None, bits=4)


def test_a_negative_code_is_named_with_its_place(to_device):
    with pytest.raises(ValueError, match=r"image has the code -1 at \(1, 2\)"):
        dequantize(to_device(np.where(CODES == 6, -1, 1)), bits=4)


@pytest.mark.parametrize(("shape", "axis"), [((4,), None), ((), None), ((3, 4, 5), 3), ((3, 4, 5), -4)])
def test_what_is_no_image_is_named(to_device, shape, axis):
    with pytest.raises(ValueError, match=r"(image has shape|channel_axis is) "):
        dequantize(to_device(np.zeros(shape, np.uint8)), bits=1, channel_axis=axis)


def test_a_masked_pixel_between_open_bounds_needs_a_value(to_device):
    lower = np.where(HERE, -np.inf, 0.0)
    with pytest.raises(
        ValueError, match=r"mask leaves the pixel \(0, 0\) alone, but its bounds have no middle"
    ):
        dequantize(None, lower=to_device(lower), upper=1.0, mask=to_device(HERE))


def test_what_a_masked_pixel_keeps_is_in_the_range_of_the_result(to_device):
    mask = to_device(HERE)
    with pytest.raises(ValueError, match=r"image has 1e\+39 at \(0, 0\), beyond the range"):
        dequantize(to_device(np.full((3, 4), 1e39)), lower=0, upper=1, mask=mask, dtype="float32")
    with pytest.raises(ValueError, match=r"image has the integer -4611686018427387904; accepted are"):
        dequantize(to_device(np.where(HERE, -(2**62), 0)), bits=1, mask=mask)
    with pytest.raises(ValueError, match=r"image has the integer 1152921504606846976; accepted are"):
        dequantize(to_device(np.full((3, 4), 2**60)), lower=0, upper=1)


@pytest.mark.parametrize("masked", [False, True])
def test_out_of_half_precision_is_too_small_for_sixteen_bits(xp, to_device, masked):
    codes, out = to_device(np.full((3, 4), 65535, np.uint16)), xp.empty((3, 4), np.float16)
    mask = to_device(np.ones((3, 4), bool)) if masked else None
    with pytest.raises(
        ValueError, match=r"image has 65535.0 at \(0, 0\), .* float16; accepted are -65504 to"
    ):
        dequantize(codes, bits=16, mask=mask, out=out)


def test_out_of_another_shape_is_named(xp, to_device):
    with pytest.raises(ValueError, match=r"out has shape \(4, 3\); accepted is \(3, 4\)"):
        dequantize(to_device(CODES), bits=4, out=xp.empty((4, 3)))


@pytest.mark.host_only  # CuPy has no masked arrays
def test_a_masked_array_is_refused():
    with pytest.raises(TypeError, match="image is a masked array"):
        dequantize(np.ma.masked_equal(CODES, 3), bits=4)


def test_arrays_of_two_kinds_are_refused(xp, to_device):
    if xp is np:
        pytest.skip("one kind only")
    with pytest.raises(TypeError, match=r"image on a GPU but mask on the CPU"):
        dequantize(to_device(CODES), bits=4, mask=HERE)


def test_distances_are_for_arrays_on_the_cpu(xp, to_device):
    if xp is np:
        pytest.skip("these are")
    with pytest.raises(TypeError, match=r"image is on a GPU; distance_interpolation accepts NumPy arrays"):
        distance_interpolation(to_device(CODES), bits=4)
