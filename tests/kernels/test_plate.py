"""The kernels of the plate's pixels against their plain twins, and by what an energy obeys."""

import numpy as np
import pytest

import fastimg
from fastimg.kernels.cpu import _plate_sweeps
from tests.kernels.conftest import Changed
from tests.kernels.plate_cases import (
    SPRING,
    WIDE,
    check,
    energy,
    expected,
    grids_of,
    image,
    parametrize_cut,
    parametrize_even,
    parametrize_model,
    parametrize_scene,
    run,
    run_as_large,
    scene,
    sums,
)
from tests.reference.plate import ABSENT, FREE, FROZEN

FAMILY = "plate"
SHAPE = (23, 18)


@pytest.fixture(autouse=True, params=["as called", "two threads"])
def threads(request, device, monkeypatch):
    """Run each test as it comes, and with the parallel versions that larger images take on the CPU."""
    if request.param == "two threads":
        if device != "numpy":
            pytest.skip("the parallel versions are the CPU's")
        run_as_large(device, monkeypatch)


@pytest.fixture
def grids(kernels):
    """Return a maker of the grids of a scene."""
    return lambda s, **options: grids_of(kernels, s, **options)


@parametrize_scene
def test_gradient_and_product(call, rng, grids, shape, model, is_even, is_cut):
    s = scene(rng, shape, model, is_even, is_cut)
    both = grids(s)
    check(call, "gradient", both, s.u, s.middle, image(s), sums(2))
    check(call, "product", both, s.state, SPRING, s.u, image(s), sums(1))


@parametrize_scene
@pytest.mark.parametrize("is_backward", [False, True], ids=["forward", "backward"])
def test_projected_sweep(call, rng, grids, shape, model, is_even, is_cut, is_backward):
    s = scene(rng, shape, model, is_even, is_cut)
    check(call, "projected_sweep", grids(s), Changed(s.u), s.lower, s.upper, is_backward)


@parametrize_cut
def test_the_kernels_of_the_energy_on_a_wide_image(call, rng, grids, is_cut):
    s = scene(rng, WIDE, "blend", False, is_cut)
    both = grids(s)
    check(call, "gradient", both, s.u, s.middle, image(s), sums(2))
    check(call, "product", both, s.state, SPRING, s.u, image(s), sums(1))
    for is_backward in (False, True):
        check(call, "projected_sweep", both, Changed(s.u), s.lower, s.upper, is_backward)


def test_a_single_pixel_has_no_energy(call, rng, grids):
    s = scene(rng, (1, 1))
    gradient, values = check(call, "gradient", grids(s), s.u, s.middle, image(s), sums(2))
    np.testing.assert_allclose(gradient, 0.01 * (s.u - s.middle), rtol=1e-14)
    assert values[0] == 0
    (same,) = run(call, "projected_sweep", grids(s), Changed(s.u), s.lower, s.upper, False)
    np.testing.assert_array_equal(same, s.u)


@parametrize_model
@parametrize_even
@parametrize_cut
def test_the_energy_is_symmetric_and_its_gradient_the_slope(call, rng, grids, model, is_even, is_cut):
    s = scene(rng, SHAPE, model, is_even, is_cut)
    both, d = grids(s, pull=0.0), s.direction
    value, gradient = energy(call, both, s.u)
    _, along = energy(call, both, d)
    scale = np.linalg.norm(d) * np.linalg.norm(gradient)
    # ⟨A u, d⟩ = ⟨u, A d⟩
    assert abs(np.vdot(gradient, d) - np.vdot(s.u, along)) < 1e-14 * scale
    assert value == pytest.approx(np.vdot(s.u, gradient) / 2, rel=1e-13)
    # exact for a quadratic, but for the rounding of the two energies
    further, before = energy(call, both, s.u + d)[0], energy(call, both, s.u - d)[0]
    assert abs((further - before) / 2 - np.vdot(gradient, d)) < 1e-14 * (further + before)


@parametrize_even
@parametrize_cut
def test_the_product_is_symmetric_where_pixels_may_move(call, rng, grids, is_even, is_cut):
    s = scene(rng, SHAPE, "blend", is_even, is_cut)
    both = grids(s)
    x, y = (np.where(s.state < FROZEN, values, 0) for values in (s.u, s.direction))
    ax, square = run(call, "product", both, s.state, SPRING, x, image(s), sums(1))
    ay, _ = run(call, "product", both, s.state, SPRING, y, image(s), sums(1))
    assert abs(np.vdot(ax, y) - np.vdot(x, ay)) < 1e-14 * np.linalg.norm(ax) * np.linalg.norm(y)
    assert square[0] > 0
    assert not ax[s.state >= FROZEN].any()


@pytest.mark.parametrize(
    ("model", "is_even", "slopes"),
    [("plate", False, (0.3, -0.7)), ("plate", True, (0.0, 0.0)), ("membrane", False, (0.0, 0.0))],
    ids=["plate: ramps", "even plate: constants", "membrane: constants"],
)
@parametrize_cut
def test_what_the_energy_does_not_see(call, rng, grids, model, is_even, slopes, is_cut):
    s = scene(rng, SHAPE, model, is_even, is_cut)
    row, column = np.indices(SHAPE)
    u = 1 + slopes[0] * row + slopes[1] * column
    value, gradient = energy(call, grids(s, pull=0.0), u)
    # 25 terms of at most 20 |u|
    np.testing.assert_allclose(gradient, 0, atol=25 * 20 * np.finfo(float).eps * np.abs(u).max())
    assert abs(value) < 1e-12


def test_pixels_that_are_cut_out_do_not_matter(call, rng, grids):
    s = scene(rng, SHAPE, "blend", is_cut=True)
    both, other = grids(s, pull=0.0), np.where(s.cut, 1e6, s.u)
    value, gradient = energy(call, both, s.u)
    assert not gradient[s.cut].any()
    for actual, desired in zip(energy(call, both, other), (value, gradient), strict=True):
        np.testing.assert_array_equal(actual, desired)


def test_soft_contacts(call, rng):
    s = scene(rng, SHAPE, is_cut=True)
    arguments = s.u, s.lower, s.upper, s.gradient, 0.3, Changed(s.state), image(s), sums(2)
    state, downhill, _ = check(call, "soft_contacts", *arguments)
    assert set(np.unique(state)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(state == ABSENT, s.cut)
    assert not downhill[state >= FROZEN].any()


def test_soft_contacts_go_downhill(call, rng):
    """The functional is the energy's part, here linear, and the springs'."""
    s = scene(rng, SHAPE)
    state, rho, step = np.zeros(SHAPE, np.uint8), 0.3, 1e-6

    def springs(u):
        *_, values = call(
            "soft_contacts", u, s.lower, s.upper, s.gradient, rho, Changed(state), image(s), sums(2)
        )
        return rho / 2 * values[0]

    arguments = s.u, s.lower, s.upper, s.gradient, rho, Changed(state), image(s), sums(2)
    state, downhill, _ = run(call, "soft_contacts", *arguments)
    d = np.where(state < FROZEN, s.direction, 0)
    slope = (springs(s.u + step * d) - springs(s.u - step * d)) / (2 * step) + np.vdot(s.gradient, d)
    # the difference quotient rounds to 1e-16 / 1e-6 of the springs' energy
    assert slope == pytest.approx(-np.vdot(downhill, d), rel=1e-6)


def test_active_contacts(call, rng):
    s = scene(rng, SHAPE, is_cut=True)
    u = np.clip(s.u, s.lower, s.upper)
    flat = np.where(rng.random(SHAPE) < 0.2, 0, s.gradient)
    arguments = u, s.lower, s.upper, flat, Changed(s.state), image(s), sums(3)
    state, downhill, (squares, pressed, changed) = check(call, "active_contacts", *arguments)
    assert set(np.unique(state)) == {FREE, FROZEN, ABSENT}
    assert squares == pytest.approx(np.sum(downhill**2))
    assert 0 < pressed < SHAPE[0] * SHAPE[1]
    assert changed > 0
    # where a pixel may move, a short way downhill is inside
    ahead = u + 1e-9 * downhill
    np.testing.assert_array_equal(ahead, np.clip(ahead, s.lower, s.upper))
    again = u, s.lower, s.upper, flat, Changed(state), image(s), sums(3)
    same, _, (_, pressed_again, changed_again) = run(call, "active_contacts", *again)
    np.testing.assert_array_equal(same, state)
    assert (pressed_again, changed_again) == (pressed, 0)


@pytest.mark.parametrize("shape", [(1, 7), (5, 5), (30, 141)])
def test_thin_contacts(call, rng, shape):
    s = scene(rng, shape, is_cut=True)
    force = s.gradient * 10 ** rng.uniform(-3, 0, shape)
    downhill = np.where(s.state == FREE, -force, 0)
    arguments = force, s.lower, s.upper, 0.1, Changed(s.state), Changed(downhill)
    state, _ = check(call, "thin_contacts", *arguments)
    is_freed = (state != s.state).ravel()
    assert (state.ravel()[is_freed] == FREE).all()
    assert (s.lower != s.upper).ravel()[is_freed].all()


def test_a_contact_yields_to_one_three_pixels_away_and_not_to_one_four_away(call):
    lower, upper = np.zeros((9, 20)), np.ones((9, 20))
    force, state = np.zeros((9, 20)), np.zeros((9, 20), np.uint8)
    places = {(1, 2): 0.5, (4, 5): 10.0, (4, 9): 0.6, (8, 5): 0.7, (2, 16): 1e-9}
    for place, value in places.items():
        force[place], state[place] = -value, FROZEN
    arguments = force, lower, upper, 0.1, Changed(state), Changed(np.zeros((9, 20)))
    thinned, downhill = run(call, "thin_contacts", *arguments)
    assert [place for place in places if thinned[place] == FREE] == [(1, 2)]
    assert downhill[1, 2] == 0.5
    assert np.count_nonzero(downhill) == 1


def test_steps_and_sums(call, rng):
    s = scene(rng, SHAPE)
    single = s.u.astype(np.float32)
    p, q, d, r = rng.normal(size=(4, *SHAPE))
    check(call, "dot", p, q, sums(1))
    check(call, "dot", p, single, sums(1))
    check(call, "dot", single, single, sums(1))
    check(call, "advance", 0.3, p, q, Changed(d), Changed(r))
    check(call, "conjugate", single, 0.4, Changed(p))
    check(call, "conjugate", single, 0.0, Changed(p))
    check(call, "slope", s.u, s.direction, 0.6, s.lower, s.upper, sums(1))
    check(call, "step", Changed(s.u), s.direction, 0.6)
    (inside,) = check(call, "clipped_step", s.u, s.direction, 0.6, s.lower, s.upper, image(s))
    assert (inside >= s.lower).all()
    assert (inside <= s.upper).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (700, 3)])
def test_sums_of_other_shapes(call, rng, shape):
    s = scene(rng, shape)
    check(call, "dot", s.u, s.middle, sums(1))
    check(call, "slope", s.u, s.direction, 0.6, s.lower, s.upper, sums(1))
    check(call, "soft_contacts", s.u, s.lower, s.upper, s.gradient, 0.3, Changed(s.state), image(s), sums(2))
    check(call, "active_contacts", s.u, s.lower, s.upper, s.gradient, Changed(s.state), image(s), sums(3))


def test_sums_have_the_same_bits_each_time(call, rng, grids, monkeypatch):
    """On one thread and on several, and in whichever order the blocks of a GPU come to their end."""
    s = scene(rng, (150, 40), "blend")
    both, threads = grids(s), fastimg.get_num_threads()
    held = s.lower, s.upper, s.gradient
    results = []
    for limit, number in ((1 << 30, 1), (0, 1), (0, threads)):
        monkeypatch.setattr(_plate_sweeps, "PARALLEL_PIXELS", limit)
        fastimg.set_num_threads(number)
        try:
            results.append(
                np.concatenate(
                    [
                        run(call, "gradient", both, s.u, s.middle, image(s), sums(2))[-1],
                        run(call, "product", both, s.state, SPRING, s.u, image(s), sums(1))[-1],
                        run(call, "soft_contacts", s.u, *held, 0.3, Changed(s.state), image(s), sums(2))[-1],
                        run(call, "active_contacts", s.u, *held, Changed(s.state), image(s), sums(3))[-1],
                        run(call, "dot", s.u, s.middle, sums(1))[0],
                        run(call, "slope", s.u, s.direction, 0.6, s.lower, s.upper, sums(1))[0],
                    ]
                )
            )
        finally:
            fastimg.set_num_threads(threads)
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


@parametrize_model
@parametrize_even
@parametrize_cut
def test_sweeps_keep_the_bounds_and_never_raise_the_energy(call, rng, grids, model, is_even, is_cut):
    s = scene(rng, SHAPE, model, is_even, is_cut)
    both, u = grids(s, pull=0.0), np.clip(s.u, s.lower, s.upper)
    energies = [energy(call, both, u)[0]]
    for is_backward in (False, True, False, False, True, True):
        (u,) = run(call, "projected_sweep", both, Changed(u), s.lower, s.upper, is_backward)
        energies.append(energy(call, both, u)[0])
        assert (u >= s.lower).all()
        assert (u <= s.upper).all()
    assert energies[-1] < energies[0]
    assert (np.diff(energies) <= 1e-13 * energies[0]).all()


POOLED = ((1, 1), (1, 6), (5, 1), (2, 2), (7, 8), (12, 9))


@pytest.mark.parametrize("shape", POOLED)
def test_pool(call, rng, shape):
    fine = rng.normal(size=shape)
    fine[rng.random(shape) < 0.3] = np.inf
    output = (tuple((n + 1) // 2 for n in shape), np.float64)
    check(call, "pool", fine, output)
    check(call, "pool", -fine, output)


def test_pooling_leaves_out_infinities(call):
    fine = np.array([[1.0, np.inf, -np.inf, -np.inf, 3.0], [2.0, 6.0, -np.inf, -np.inf, np.inf]])
    (coarse,) = call("pool", fine, ((1, 3), np.float64))
    np.testing.assert_array_equal(coarse, [[3.0, -np.inf, 3.0]])


UPSAMPLED = [
    ((1, 1), (2, 1)),
    ((1, 6), (1, 12)),
    ((2, 9), (4, 17)),
    ((5, 3), (10, 5)),
    ((4, 7), (7, 14)),
    ((16, 20), (31, 39)),
]


@pytest.mark.parametrize(("shape", "fine"), UPSAMPLED)
def test_upsample(call, rng, shape, fine):
    check(call, "upsample", rng.normal(size=shape), (fine, np.float64))


@pytest.mark.parametrize(("shape", "fine"), UPSAMPLED[2:])
def test_affine_functions_stay_affine(call, shape, fine):
    """Cell k of the fine image lies at k / 2 - 1/4 of the coarse one."""
    row, column = np.indices(shape)
    fine_row, fine_column = (place / 2 - 0.25 for place in np.indices(fine))
    (upsampled,) = call("upsample", 2 + 0.7 * row - 0.3 * column, (fine, np.float64))
    np.testing.assert_allclose(upsampled, 2 + 0.7 * fine_row - 0.3 * fine_column, rtol=0, atol=1e-14 * 16)


def test_upsampling_gives_cubics_back_away_from_the_border(call):
    def cubic(row, column):
        return 1 + row**3 - 0.5 * row**2 * column + 0.25 * column**3

    (upsampled,) = call("upsample", cubic(*np.indices((9, 8))), ((18, 16), np.float64))
    exact = cubic(*(place / 2 - 0.25 for place in np.indices((18, 16))))
    inside = slice(4, -4)
    np.testing.assert_allclose(upsampled[inside, inside], exact[inside, inside], rtol=1e-13)


def test_the_reference_of_thinning_sees_the_whole_square(rng):
    """What the twin is compared with is itself what it says, by brute force."""
    force = rng.random((9, 8))
    state = np.full((9, 8), FROZEN, np.uint8)
    arguments = force, np.zeros((9, 8)), np.ones((9, 8)), 0.5, Changed(state), Changed(np.zeros((9, 8)))
    thinned, _ = expected("thin_contacts", *arguments)
    for i, j in np.ndindex(9, 8):
        square = force[max(0, i - 3) : i + 4, max(0, j - 3) : j + 4]
        assert (thinned[i, j] == FREE) == (force[i, j] < 0.5 * square.max())
