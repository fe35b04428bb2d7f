"""``transport_distance`` against dense plans and POT, its gradient by differences, and batches."""

import warnings

import numpy as np
import pytest

from fastimg import ConvergenceWarning
from fastimg.transport import DistanceInfo, transport_distance
from tests.fastimg.transport_cases import costs, dense_plan, normalised, rough, spot

GRIDS = {(13,): (1.5,), (5, 6): (1.0, 2.0), (3, 4, 3): (0.8, 1.2, 1.0), (1, 9): (1.0, 2.0)}
KINDS = [{}, {"reference": "product"}, {"debiased": True}]

parametrize_kind = pytest.mark.parametrize("options", KINDS, ids=["uniform", "product", "debiased"])


def dense_value(a, b, sigma, reference="uniform", debiased=False):
    """The definition, from the plan."""
    if debiased:
        own = dense_value(a, a, sigma, "product") + dense_value(b, b, sigma, "product")
        return dense_value(a, b, sigma, "product") - own / 2
    *_, plan = dense_plan(a, b, sigma)
    cost, moved = costs(a.shape, sigma), plan > 0
    entropy = np.sum(plan[moved] * (np.log(plan[moved]) - 1))
    if reference == "product":
        entropy = np.sum(plan[moved] * np.log(plan[moved] / np.outer(a, b)[moved]))
    return np.sum(plan[moved] * cost[moved]) + entropy


@parametrize_kind
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("stabilize", ["auto", "log"])
def test_it_is_that_of_the_dense_plan(to_device, to_host, grid, options, stabilize):
    a, b = rough(2, *grid)
    b.reshape(-1)[3] = 0
    b /= b.sum()
    result = transport_distance(
        to_device(a), to_device(b), sigma=GRIDS[grid], gamma=2.5, stabilize=stabilize, **options
    )
    expected = 2.5 * dense_value(a, b, GRIDS[grid], **options)
    assert float(to_host(result)) == pytest.approx(expected, rel=1e-9, abs=1e-10)


@pytest.mark.host_only
def test_it_is_that_of_pot():
    ot = pytest.importorskip("ot", reason="POT is not installed")
    a, b = rough(2, 6, 7)
    cost = costs((6, 7), (1.0, 1.5))
    plan = ot.sinkhorn(a.ravel(), b.ravel(), cost, 1.0, stopThr=1e-13, numItermax=100000)
    uniform = np.sum(plan * cost) + np.sum(plan * (np.log(plan) - 1))
    product = ot.solve(cost, a.ravel(), b.ravel(), reg=1.0, reg_type="KL", tol=1e-13, max_iter=100000)
    assert transport_distance(a, b, sigma=(1.0, 1.5)) == pytest.approx(uniform, rel=1e-9)
    assert transport_distance(a, b, sigma=(1.0, 1.5), reference="product") == pytest.approx(
        product.value, rel=1e-9
    )


@parametrize_kind
@pytest.mark.parametrize("grid", [(13,), (5, 6), (3, 4, 3)], ids=str)
def test_the_gradient_is_the_slope_in_directions_that_keep_the_mass(to_device, to_host, grid, options):
    a, b = rough(2, *grid, power=1)
    sigma, rng = GRIDS[grid], np.random.default_rng(1)

    def distance(measure, **more):
        result = transport_distance(
            to_device(measure), to_device(b), sigma=sigma, gamma=0.7, tol=1e-12, **options, **more
        )
        return to_host(result)

    _, gradient = distance(a, gradient=True)
    assert gradient.shape == grid
    assert abs(gradient.mean()) < 1e-12
    for _ in range(3):
        direction = rng.normal(size=grid) * a
        direction -= a * direction.sum()
        step = 1e-4
        slope = (distance(a + step * direction) - distance(a - step * direction)) / (2 * step)
        assert np.sum(gradient * direction) == pytest.approx(float(slope), rel=1e-5, abs=1e-7)


def test_where_the_measure_is_0_the_gradient_is_finite_but_for_the_uniform_reference(to_device, to_host):
    a, b = rough(2, 6, 7)
    a[2:4, 3] = 0
    a /= a.sum()
    gradients = {}
    for name, options in zip(("uniform", "product", "debiased"), KINDS, strict=True):
        *_, gradient = transport_distance(
            to_device(a), to_device(b), sigma=(1.0, 1.0), gradient=True, **options
        )
        gradients[name] = to_host(gradient)
    np.testing.assert_array_equal(gradients["uniform"] == -np.inf, a == 0)
    assert abs(gradients["uniform"][a > 0].mean()) < 1e-12
    assert np.isfinite(gradients["product"]).all()
    assert np.isfinite(gradients["debiased"]).all()
    # the product's potential tells what mass that appears there would cost
    step = 1e-6
    moved = (1 - step) * a
    moved[2, 3] += step
    values = [
        to_host(transport_distance(to_device(each), to_device(b), sigma=(1.0, 1.0), debiased=True, tol=1e-12))
        for each in (a, moved)
    ]
    slope = gradients["debiased"][2, 3] - np.sum(a * gradients["debiased"])
    assert (values[1] - values[0]) / step == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "stabilize"), [*((kind, "auto") for kind in KINDS), (KINDS[1], "log")], ids=str
)
def test_batches_are_the_single_calls(to_device, to_host, options, stabilize):
    # pairs that need few iterations, many, and logarithms; leading axes that broadcast
    grid, sigma = (4, 17), (0.8, 0.4)
    a = rough(6, *grid, power=1).reshape(2, 3, *grid)
    b = rough(3, *grid, seed=1, power=1)
    a[1, 1], b[1] = spot(grid, (0, 0), 0.3), spot(grid, (3, 16), 0.3)
    b[2] = a[0, 2]
    more = options | {"stabilize": stabilize, "gradient": True, "return_info": True, "tol": 2e-3}
    values, gradients, info = transport_distance(to_device(a), to_device(b), sigma=sigma, **more)
    assert values.shape == info.error.shape == info.iterations.shape == (2, 3)
    assert gradients.shape == a.shape
    assert info.converged.all()
    assert info.iterations.min() < info.iterations.max()
    if stabilize == "auto" and not options:
        assert info.is_log.any()
        assert not info.is_log.all()
    for i, j in np.ndindex(2, 3):
        value, gradient, alone = transport_distance(to_device(a[i, j]), to_device(b[j]), sigma=sigma, **more)
        assert float(to_host(value)) == pytest.approx(float(to_host(values)[i, j]), rel=1e-12, abs=1e-12)
        np.testing.assert_allclose(to_host(gradients)[i, j], to_host(gradient), rtol=1e-9, atol=1e-9)
        assert (alone.iterations, alone.is_log) == (info.iterations[i, j], info.is_log[i, j])


@pytest.mark.parametrize("by", [3, 8])
def test_the_divergence_of_a_translate_is_its_squared_distance(to_device, to_host, by):
    a, b = (spot((48,), (centre,), 2.5) for centre in (18, 18 + by))
    for sigma in (2.0, 6.0):
        result = transport_distance(to_device(a), to_device(b), sigma=[sigma], debiased=True)
        assert float(to_host(result)) == pytest.approx(by**2 / (2 * sigma**2), rel=1e-4)


def test_the_divergence_of_a_measure_from_itself_is_0_and_so_is_its_gradient(to_device, to_host):
    a = to_device(rough(3, 7, 8))
    value, gradient = transport_distance(a, a, sigma=(2.0, 2.0), debiased=True, gradient=True)
    np.testing.assert_allclose(to_host(value), 0, atol=1e-12)
    np.testing.assert_allclose(to_host(gradient), 0, atol=1e-7)


def test_it_is_symmetric(to_device, to_host):
    a, b = (to_device(each) for each in rough(2, 6, 7))
    for options in KINDS:
        one = to_host(transport_distance(a, b, sigma=(1.0, 2.0), **options))
        other = to_host(transport_distance(b, a, sigma=(1.0, 2.0), **options))
        assert float(one) == pytest.approx(float(other), rel=1e-9)


def test_along_an_axis_without_width_each_fibre_is_transported_alone(to_device, to_host):
    a, b = rough(2, 4, 9)
    b *= (a.sum(1) / b.sum(1))[:, None]
    whole = transport_distance(to_device(a), to_device(b), sigma=(0.0, 1.5))
    rows = transport_distance(to_device(a), to_device(b), sigma=(1.5,))
    assert float(to_host(whole)) == pytest.approx(float(to_host(rows).sum()), rel=1e-10)


def test_masses_other_than_1(to_device, to_host):
    a, b = rough(2, 6, 7)
    one = to_host(transport_distance(to_device(a), to_device(b), sigma=(1.0, 1.0)))
    other = to_host(transport_distance(to_device(3 * a), to_device(3 * b), sigma=(1.0, 1.0)))
    assert float(other) == pytest.approx(3 * float(one) + 3 * np.log(3), rel=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_is_that_of_the_measures(to_device, to_host, dtype):
    a, b = rough(2, 6, 7)
    value, gradient, info = transport_distance(
        to_device(a.astype(dtype)), to_device(b.astype(dtype)), sigma=(1.0, 1.0), gradient=True,
        return_info=True,
    )  # fmt: skip
    assert value.dtype == gradient.dtype == dtype
    assert isinstance(info, DistanceInfo)
    assert (type(info.iterations), type(info.error), info.converged, info.is_log) == (int, float, True, False)
    assert float(to_host(value)) == pytest.approx(
        float(to_host(transport_distance(to_device(a), to_device(b), sigma=(1.0, 1.0)))), rel=1e-5
    )


def test_measures_far_apart_are_transported_on_logarithms(to_device, to_host):
    a, b = np.zeros((2, 3, 40))
    a[0, 0] = b[2, 39] = 1
    value, info = transport_distance(
        to_device(a), to_device(b), sigma=(0.5, 0.5), reference="product", return_info=True
    )
    assert float(to_host(value)) == pytest.approx((2**2 + 39**2) / 0.5, rel=1e-12)
    assert info.is_log


def test_too_few_iterations_are_a_warning(to_device):
    a, b = (to_device(each) for each in rough(4, 6, 7).reshape(2, 2, 6, 7))
    with pytest.warns(
        ConvergenceWarning, match=r"2 of 2 pairs did not come within tol=1e-09 .* 3 iterations"
    ):
        _, info = transport_distance(a, b, sigma=(0.5, 0.5), iterations=3, return_info=True)
    assert info.iterations.tolist() == [3, 3]
    assert not info.converged.any()
    with pytest.warns(ConvergenceWarning, match="the plan did not come within"):
        transport_distance(a[0], b[0], sigma=(0.5, 0.5), iterations=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transport_distance(a, b, sigma=(3.0, 3.0))


def test_an_empty_batch_has_no_distances(xp):
    value, gradient = transport_distance(
        xp.ones((0, 3, 4)), xp.ones((3, 4)) / 12, sigma=(1.0, 1.0), gradient=True
    )
    assert (value.shape, gradient.shape) == ((0,), (0, 3, 4))


def test_measures_keep_their_values(to_device, to_host):
    given = normalised(rough(2, 5, 6), 2)
    a, b = (to_device(each) for each in given)
    transport_distance(a, b, sigma=(1.0, 1.0), debiased=True, gradient=True)
    np.testing.assert_array_equal(to_host(a), given[0])
    np.testing.assert_array_equal(to_host(b), given[1])


@pytest.mark.parametrize("sigma", [(2.0, 2.0), (0.0, 2.0)], ids=str)
def test_masses_of_half_precision_agree_to_its_rounding(to_device, to_host, sigma):
    a, b = exact = normalised(rough(2, 12, 13), 1) / 12
    half = exact.astype(np.float16)
    assert abs(np.subtract(*half.sum((1, 2), dtype=np.float64))) > 1e-6
    result = transport_distance(*(to_device(each) for each in half), sigma=sigma)
    expected = transport_distance(to_device(a), to_device(b), sigma=sigma)
    np.testing.assert_allclose(to_host(result), to_host(expected), rtol=1e-2)
