"""What ``barycenter`` and ``transport_distance`` refuse, and how they name it."""

import sys

import numpy as np
import pytest

from fastimg.transport import barycenter, transport_distance
from tests.fastimg.transport_cases import rough

MEASURES = rough(2, 3, 4)


def changed(value, place=(1, 2, 3), array=MEASURES):
    result = array.copy()
    result[place] = value
    return result


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measures": changed(np.nan)}, r"measures is nan at \(1, 2, 3\); accepted are finite values"),
        ({"measures": changed(np.inf)}, "measures is inf at"),
        ({"measures": changed(-0.5)}, r"measures is -0.5 at \(1, 2, 3\); accepted are values from 0"),
        (
            {"measures": changed(0, slice(1, 2))},
            r"measures\[1\] has the mass 0; accepted are measures with mass",
        ),
        (
            {"measures": MEASURES * [[[1]], [[1.001]]]},
            r"measures\[1\] has the mass 1.001 where measures has 1; accepted are equal masses",
        ),
        ({"measures": np.ones(3)}, r"measures has shape \(3,\); accepted is \(K, \*grid\)"),
        ({"measures": np.ones((0, 3))}, r"measures has shape \(0, 3\)"),
        ({"measures": np.ones((2, 0))}, r"measures has shape \(2, 0\)"),
        ({"sigma": -1.0}, "sigma has -1.0; accepted are finite widths from 0, in grid steps"),
        ({"sigma": [1.0, np.inf]}, "sigma has inf"),
        (
            {"sigma": [1.0, 2.0, 3.0]},
            r"sigma has shape \(3,\); .* \(2,\) for the 2 axes .* \(2, 2\) for each",
        ),
        ({"sigma": [[1.0, 2.0]]}, r"sigma has shape \(1, 2\)"),
        (
            {"weights": [0.5, 0.6]},
            r"weights is \[0.5, 0.6\], of sum 1.1; accepted are numbers from 0 of sum 1",
        ),
        ({"weights": [1.5, -0.5]}, r"weights is \[1.5, -0.5\]"),
        ({"weights": [np.nan, 1]}, r"weights is \[nan, 1.0\]"),
        ({"weights": [1.0]}, r"weights has shape \(1,\); accepted is \(2,\), one for each measure"),
        ({"iterations": 0}, "iterations is 0; accepted are whole numbers from 1"),
        ({"tol": 0.0}, "tol is 0.0; accepted are finite numbers above 0"),
        ({"tol": np.nan}, "tol is nan"),
        (
            {"tol": 1e-3, "weights": [0.0, 1.0]},
            "tol is 0.001 for one measure .* tol needs at least two measures of positive weight",
        ),
        ({"tol": 1e-3, "measures": MEASURES[:1], "debiased": True}, "tol needs at least two measures"),
        (
            {"measures": (MEASURES * [[[1]], [[1.02]]]).astype(np.float16)},
            r"measures\[1\] has the mass 1.0.* accepted are equal masses",
        ),
        ({"stabilize": "never"}, "stabilize is 'never'; accepted are 'auto', 'log', False"),
        ({"stabilize": True}, "stabilize is True"),
    ],
)
def test_a_barycenter_refuses_values(to_device, options, message):
    arguments = {"measures": MEASURES, "sigma": 1.0} | options
    arguments["measures"] = to_device(arguments["measures"])
    with pytest.raises(ValueError, match=message):
        barycenter(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"measures": MEASURES.astype(complex)},
            "measures has dtype complex128; accepted are float32, float64",
        ),
        ({"sigma": "wide"}, "sigma is 'wide'; accepted are numbers"),
        ({"weights": ["half", 1]}, r"weights is \['half', 1\]; accepted are numbers"),
        ({"iterations": 2.5}, "iterations is 2.5; accepted are whole numbers from 1"),
        ({"tol": "small"}, "tol is 'small'; accepted are finite numbers above 0"),
        ({"callback": 3}, "callback is 3; accepted are functions of a BarycenterState, and None"),
    ],
)
def test_a_barycenter_refuses_types(to_device, options, message):
    arguments = {"measures": MEASURES, "sigma": 1.0} | options
    arguments["measures"] = to_device(arguments["measures"])
    with pytest.raises(TypeError, match=message):
        barycenter(**arguments)


def test_a_barycenter_refuses_measures_of_two_shapes(to_device):
    with pytest.raises(
        ValueError, match=r"measures have the shapes \(3, 4\), \(4, 4\); accepted is one for all"
    ):
        barycenter([to_device(MEASURES[0]), to_device(np.ones((4, 4)) / 16)], sigma=1.0)


@pytest.mark.parametrize(
    ("out", "message"),
    [((3, 5), r"out has shape \(3, 5\); accepted is \(3, 4\)"), ((2, 3, 4), r"out has shape \(2, 3, 4\)")],
)
def test_a_barycenter_refuses_an_out_of_another_shape(xp, to_device, out, message):
    with pytest.raises(ValueError, match=message):
        barycenter(to_device(MEASURES), sigma=1.0, out=xp.empty(out))


def test_arrays_of_two_kinds_are_refused(device, to_device):
    if device == "numpy":
        pytest.skip("there is one kind of arrays")
    with pytest.raises(TypeError, match="on a GPU but out on the CPU"):
        barycenter(to_device(MEASURES), sigma=1.0, out=np.empty((3, 4)))
    with pytest.raises(TypeError, match="a on a GPU but b on the CPU"):
        transport_distance(to_device(MEASURES[0]), MEASURES[1], sigma=(1.0, 1.0))
    assert "cupy" in sys.modules


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a": changed(np.nan)[1]}, r"a is nan at \(2, 3\); accepted are finite values"),
        ({"b": changed(-1)[1]}, r"b is -1.0 at \(2, 3\); accepted are values from 0"),
        ({"a": np.zeros((3, 4))}, "a has the mass 0; accepted are measures with mass"),
        ({"b": 1.001 * MEASURES[1]}, "b has the mass 1.001 where a has 1; accepted are equal masses"),
        (
            {"a": MEASURES, "b": MEASURES * [[[1]], [[2]]]},
            r"b\[1\] has the mass 2 where a has 1; accepted are equal masses",
        ),
        ({"b": np.ones((3, 5)) / 15}, r"a and b have the shapes \(3, 4\) and \(3, 5\); .* equal last 2 axes"),
        (
            {"a": rough(2, 3, 4), "b": rough(3, 3, 4)},
            r"a and b have the shapes \(2, 3, 4\) and \(3, 3, 4\); .* leading axes that broadcast",
        ),
        ({"sigma": 1.0}, r"sigma has shape \(\) for a and b of shapes .* accepted is \(N,\)"),
        ({"sigma": (1.0, 1.0, 1.0)}, r"sigma has shape \(3,\) for a and b of shapes \(3, 4\) and \(3, 4\)"),
        ({"sigma": (1.0, -1.0)}, "sigma has -1.0; accepted are finite widths from 0"),
        (
            {"sigma": (0.0, 1.0)},
            r"sigma is \[0.0, 1.0\], and along its axes of 0 a and b have different masses",
        ),
        ({"gamma": 0.0}, "gamma is 0.0; accepted are finite numbers above 0"),
        ({"tol": -1.0}, "tol is -1.0"),
        ({"iterations": 0}, "iterations is 0"),
        ({"reference": "prior"}, "reference is 'prior'; accepted are 'uniform', 'product'"),
        ({"stabilize": None}, "stabilize is None; accepted are 'auto', 'log', False"),
    ],
)
def test_a_distance_refuses_values(to_device, options, message):
    arguments = {"a": MEASURES[0], "b": MEASURES[1], "sigma": (1.0, 1.0)} | options
    for name in "ab":
        arguments[name] = to_device(arguments[name])
    with pytest.raises(ValueError, match=message):
        transport_distance(**arguments)
