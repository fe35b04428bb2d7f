"""The drop-ins for POT's barycenters of images against POT, and what they refuse."""

import inspect
import warnings

import numpy as np
import pytest

from fastimg import ConvergenceWarning, transport
from tests.fastimg.transport_cases import rough, spot

NAMES = ("convolutional_barycenter2d", "convolutional_barycenter2d_debiased")
METHODS = ("sinkhorn", "sinkhorn_log")

parametrize_name = pytest.mark.parametrize("name", NAMES)
parametrize_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module")
def pot():
    """POT's module of these functions; they are compared on the host's arrays."""
    return pytest.importorskip("ot.bregman._convolutional", reason="POT is not installed")


def both(pot, name, images, reg, to_device, to_host, dtype=np.float64, **options):
    """Results and logs of POT, in float64, and of ours, in ``dtype``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = getattr(pot, name)(images, reg, log=True, **options)
        ours = getattr(transport, name)(to_device(images.astype(dtype)), reg, log=True, **options)
    assert ours[0].dtype == dtype
    return theirs, (to_host(ours[0]), {key: to_host(value) for key, value in ours[1].items()})


@parametrize_name
@parametrize_method
@pytest.mark.parametrize("shape", [(2, 20, 20), (3, 17, 31), (1, 8, 9), (4, 33, 5)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
def test_after_10_iterations_it_is_that_of_pot(
    pot, to_device, to_host, name, method, shape, dtype, tolerance
):
    images = rough(*shape)
    (theirs, log), (ours, our_log) = both(
        pot, name, images, 0.01, to_device, to_host, dtype, method=method, numItermax=10
    )
    assert np.abs(ours - theirs).sum() < tolerance
    assert list(our_log) == list(log)
    np.testing.assert_allclose(our_log["err"], log["err"], rtol=1e3 * tolerance, atol=tolerance)


@parametrize_name
@parametrize_method
@pytest.mark.parametrize("most", [1, 9, 11, 12, 20, 21, 22])
def test_the_log_is_that_of_pot_wherever_it_ends(pot, to_device, to_host, name, method, most):
    options = {"method": method, "numItermax": most, "stopThr": 0, "weights": np.array([0.2, 0.5, 0.3])}
    (theirs, log), (ours, our_log) = both(pot, name, rough(3, 8, 9), 0.05, to_device, to_host, **options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-11)
    assert our_log["niter"] == log["niter"]
    assert len(our_log["err"]) == len(log["err"])
    for key in log.keys() & {"U", "V"}:
        np.testing.assert_allclose(our_log[key], log[key], rtol=1e-11)


@parametrize_name
@parametrize_method
def test_it_ends_where_pot_ends(pot, to_device, to_host, name, method):
    # also where the last iteration but one is the one that ends it
    images = rough(2, 11, 10)
    options = {"method": method, "stopThr": 1e-3}
    (theirs, log), (ours, our_log) = both(pot, name, images, 0.05, to_device, to_host, **options)
    assert our_log["niter"] == log["niter"] < 1000
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    options["numItermax"] = log["niter"] + 2
    (_, log), (_, our_log) = both(pot, name, images, 0.05, to_device, to_host, **options)
    for key in log.keys() & {"U", "V"}:
        np.testing.assert_allclose(our_log[key], log[key], rtol=1e-9)


@parametrize_method
def test_zeros_and_the_thresholds_that_replace_them_are_those_of_pot(pot, to_device, to_host, method):
    images = np.zeros((2, 15, 15))
    images[0, 3, 4] = images[1, 11, 9] = 1
    for threshold in (1e-30, 1e-6):
        options = {"method": method, "numItermax": 30, "stabThr": threshold}
        (theirs, _), (ours, _) = both(pot, NAMES[0], images, 0.01, to_device, to_host, **options)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-20)


@parametrize_name
def test_the_parameters_are_those_of_pot(pot, name):
    theirs = list(inspect.signature(getattr(pot, name)).parameters.values())
    ours = list(inspect.signature(getattr(transport, name)).parameters.values())
    assert [(p.name, p.default) for p in ours[:-1]] == [(p.name, p.default) for p in theirs[:-1]]
    assert (theirs[-1].kind, ours[-1].name) == (inspect.Parameter.VAR_KEYWORD, "stabThr")


@parametrize_name
@parametrize_method
def test_what_does_not_converge_is_told_as_pot_tells_it(pot, to_device, name, method, capsys):
    images = rough(2, 7, 8)
    messages, printed = [], []
    for module, given in ((pot, images), (transport, to_device(images))):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            getattr(module, name)(given, 0.01, method=method, numItermax=20, stopThr=0, verbose=True)
        messages.append([str(warning.message) for warning in caught])
        printed.append(capsys.readouterr().out.split("|")[:-1:2])
    assert messages[0] == messages[1] != []
    assert printed[0] == printed[1]


@parametrize_name
def test_the_warning_is_ours_and_can_be_turned_off(to_device, name):
    images, function = to_device(rough(2, 7, 8)), getattr(transport, name)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        function(images, 0.01, numItermax=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(images, 0.01, numItermax=5, warn=False)


@parametrize_name
def test_lists_of_images_and_weights_are_accepted(to_device, to_host, name):
    images, function = rough(3, 7, 8).astype(np.float32), getattr(transport, name)
    expected = function(to_device(images), 0.1, weights=to_device(np.array([0.2, 0.5, 0.3])), warn=False)
    result = function([to_device(image) for image in images], 0.1, weights=[0.2, 0.5, 0.3], warn=False)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(to_host(result), to_host(expected))


def test_debiased_images_keep_their_width(to_device, to_host):
    image = spot((31, 29), (15, 14), (2.5, 2.0))
    result = transport.convolutional_barycenter2d_debiased(
        to_device(np.array([image, image])), 0.01, stopThr=1e-8, numItermax=300, warn=False
    )
    assert np.abs(to_host(result) - image).sum() < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"A": np.ones((4, 5))}, r"A has shape \(4, 5\); accepted is \(n_hists, width, height\)"),
        ({"A": np.full((2, 3, 3), np.nan)}, r"A is nan at \(0, 0, 0\); accepted are finite"),
        ({"A": -np.ones((2, 3, 3))}, r"A is -1.0 at \(0, 0, 0\); accepted are values from 0"),
        ({"reg": 0.0}, "reg is 0.0; accepted are finite numbers above 0"),
        (
            {"A": np.eye(3)[:, :2, None] * np.ones(3)},
            r"A\[2\] has the mass 0; accepted are measures with mass",
        ),
        ({"weights": [1.5, -0.5]}, r"weights is \[1.5, -0.5\]; accepted are finite numbers from 0"),
        ({"weights": [0, 0]}, r"weights is \[0.0, 0.0\]; accepted are finite numbers from 0, not all 0"),
        ({"weights": [np.nan, 1]}, r"weights is \[nan, 1.0\]"),
        ({"weights": [np.inf, 1]}, r"weights is \[inf, 1.0\]"),
        ({"weights": [1.0]}, r"weights has shape \(1,\); accepted is \(2,\)"),
        ({"numItermax": 0}, "numItermax is 0; accepted are whole numbers from 1"),
        ({"method": "greedy"}, "Unknown method 'greedy'."),
    ],
)
@parametrize_name
def test_what_is_refused(to_device, name, options, message):
    arguments = {"A": np.ones((2, 3, 3)), "reg": 0.1} | options
    arguments["A"] = to_device(arguments["A"])
    with pytest.raises(ValueError, match=message):
        getattr(transport, name)(**arguments)


@parametrize_name
def test_weights_that_are_no_numbers_are_refused(to_device, name):
    with pytest.raises(TypeError, match=r"weights is \['half', 1\]; accepted are numbers"):
        getattr(transport, name)(to_device(np.ones((2, 3, 3))), 0.1, weights=["half", 1])


@parametrize_name
@parametrize_method
def test_masses_and_weights_of_any_sum_are_taken_as_pot_takes_them(pot, to_device, to_host, name, method):
    images = rough(2, 8, 9) * [[[1.0]], [[3.0]]]
    options = {"method": method, "numItermax": 10, "weights": np.array([0.4, 0.8])}
    (theirs, _), (ours, _) = both(pot, name, images, 0.05, to_device, to_host, **options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
