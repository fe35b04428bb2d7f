"""The multigrid of the plate: its grids against dense matrices, its cycle against the plain twin."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from fastimg.kernels import _plate_stencils as stencils
from tests.kernels.plate_cases import (
    MODELS,
    SPRING,
    WIDE,
    grids_of,
    image,
    parametrize_cut,
    parametrize_even,
    parametrize_model,
    parametrize_scene,
    parametrize_shape,
    run,
    run_as_large,
    scene,
    sums,
)
from tests.reference import plate as reference

FAMILY = "plate"

# Which pixels are held, and how: by springs, at their values, both, and none
CONTACTS = {"springs": (0.1, 0.0), "held": (0.0, 0.1), "both": (0.1, 0.1), "none": (0.0, 0.0)}


@pytest.fixture(params=["as called", "as large"])
def size(request, device, monkeypatch):
    """Run a test as it comes, and as if its images were large."""
    if request.param == "as large":
        run_as_large(device, monkeypatch)


def dense(level):
    """The matrix of one grid's stencils, none of which looks outside."""
    n, m = level.shape
    matrix = np.zeros((n, m, n, m))
    for i, j in np.ndindex(n, m):
        stencil = level.table[level.kind[i, j]].reshape(5, 5)
        for a, b in zip(*np.nonzero(stencil), strict=True):
            assert 0 <= i + a - 2 < n
            assert 0 <= j + b - 2 < m
            matrix[i, j, i + a - 2, j + b - 2] = stencil[a, b]
    return matrix.reshape(n * m, n * m)


def weights_of(transfer):
    """The matrix of the interpolation along one axis, as the fine cells tell it and as the coarse ones do."""
    gathered = np.zeros((len(transfer.parent), len(transfer.first)))
    spread = np.zeros((len(transfer.parent) + 12, len(transfer.first)))
    for fine, (parents, weights) in enumerate(zip(transfer.parent, transfer.weight, strict=True)):
        for parent, weight in zip(parents, weights, strict=True):
            gathered[fine, parent] += weight
    for coarse, (first, shares) in enumerate(zip(transfer.first, transfer.share, strict=True)):
        spread[6 + first : 12 + first, coarse] = shares
    assert not spread[:6].any()
    assert not spread[-6:].any()
    np.testing.assert_array_equal(gathered, spread[6:-6])
    return gathered


@pytest.mark.host_only
@parametrize_scene
def test_the_stencils_of_every_grid_are_those_of_the_energy(rng, shape, model, is_even, is_cut):
    """A of the image from its differences, and Pᵀ A P of the grids below."""
    cut = rng.random(shape) < 0.06 if is_cut else None
    arguments = (shape, *MODELS[model], is_even, cut)
    levels, plain = stencils.levels(*arguments), reference.grids(*arguments, 0.0).levels
    assert [level.shape for level in levels] == [grid.shape for grid in plain]
    for level, grid in zip(levels, plain, strict=True):
        # sums of some thousand terms of the image's diagonal
        np.testing.assert_allclose(dense(level), grid.matrix.toarray(), rtol=0, atol=1e-13)


@pytest.mark.host_only
@pytest.mark.parametrize("size", [5, 6, 7, 8, 9, 12, 31, 40])
def test_grids_are_interpolated_by_quadratic_splines(size):
    level, _, *_ = stencils.levels((size, 5), 1.0, 0.0, False, None)
    weights = weights_of(level.rows)
    np.testing.assert_array_equal(weights, reference._interpolation(size).toarray())
    # the middle of cell k lies at k / 2 - 1/4 of the coarse grid
    np.testing.assert_allclose(weights @ np.arange(weights.shape[1]), np.arange(size) / 2 - 0.25, atol=1e-14)
    np.testing.assert_array_equal(weights.sum(axis=1), 1)
    if size > 8:
        inner = weights[:, 2]
        np.testing.assert_array_equal(inner[3:7], [0.25, 0.75, 0.75, 0.25])
        assert inner.sum() == 2


@pytest.mark.host_only
@parametrize_model
@parametrize_even
def test_coarse_grids_know_the_same_motions_without_energy(model, is_even):
    for level in stencils.levels((40, 27), *MODELS[model], is_even, None):
        row, column = np.indices(level.shape).reshape(2, -1)
        matrix = dense(level)
        motions = [np.ones(len(row))] + ([row, column] if model == "plate" and not is_even else [])
        for motion in motions:
            np.testing.assert_allclose(matrix @ motion, 0, atol=1e-12)


@pytest.mark.host_only
def test_springs_are_soft_on_coarse_grids_and_softer_than_their_bounds():
    soft, hard = (stencils.stiffness(1.0, 0.05, hardness, 6) for hardness in (0.7, np.inf))
    assert (np.diff(hard) < 0).all()
    assert (soft < np.minimum(hard, 0.7)).all()
    np.testing.assert_allclose(1 / soft - 1 / hard, 1 / 0.7, rtol=1e-12)
    assert not stencils.stiffness(1.0, 0.0, 0.0, 3).any()


def cycle(call, both, s, residual=None):
    """The kernel's correction and the reference's, for the contacts of the scene."""
    residual = s.residual if residual is None else residual
    (correction,) = run_cycle(call, both, s, residual)
    plain = np.zeros(s.shape)
    reference.set_contacts(both.plain, s.state, SPRING)
    reference.precondition(both.plain, residual, plain)
    return correction, plain


def run_cycle(call, both, s, residual):
    run(call, "set_contacts", both, s.state, SPRING)
    return run(call, "precondition", both, residual, image(s, np.float32))


def assert_same_cycle(correction, plain, model, pull):
    """Equal to a few roundings of single precision, as the coarsest grid enlarges them: diagonal / pull."""
    assert correction.dtype == np.float32
    plate, membrane = MODELS[model]
    condition = (20 * plate + 4 * membrane) / pull
    tolerance = np.finfo(np.float32).eps * (20 + condition / 4)
    np.testing.assert_allclose(correction, plain, rtol=0, atol=tolerance * max(np.abs(plain).max(), 1e-30))


@parametrize_scene
def test_the_cycle(call, rng, kernels, size, shape, model, is_even, is_cut):
    s = scene(rng, shape, model, is_even, is_cut)
    correction, plain = cycle(call, grids_of(kernels, s, pull=0.05), s)
    assert_same_cycle(correction, plain, model, pull=0.05)
    assert not correction[s.state >= reference.FROZEN].any()


@pytest.mark.parametrize("contacts", CONTACTS)
@parametrize_model
def test_the_cycle_with_other_contacts(call, rng, kernels, size, contacts, model):
    s = scene(rng, (31, 24), model)
    both = grids_of(kernels, s, pull=0.05)
    cycle(call, both, s)
    # the grids keep nothing of the contacts before
    springs, held = CONTACTS[contacts]
    s.state = rng.choice(3, size=s.shape, p=[1 - springs - held, springs, held]).astype(np.uint8)
    assert_same_cycle(*cycle(call, both, s), model, pull=0.05)


def test_the_cycle_of_a_wide_image(call, rng, kernels, size):
    s = scene(rng, WIDE, "blend", is_cut=True)
    assert_same_cycle(*cycle(call, grids_of(kernels, s, pull=0.05), s), "blend", pull=0.05)


def test_springs_without_stiffness_are_none(call, rng, kernels):
    s = scene(rng, (31, 24))
    both = grids_of(kernels, s)
    free = np.where(s.state == reference.SPRING, reference.FREE, s.state)
    corrections = []
    for state in (s.state, free.astype(np.uint8)):
        run(call, "set_contacts", both, state, 0.0)
        corrections += run(call, "precondition", both, s.residual, image(s, np.float32))
    np.testing.assert_array_equal(*corrections)


@pytest.mark.parametrize("shape", [(23, 18), (3, 20)], ids=["many grids", "one grid"])
def test_the_correction_is_0_where_pixels_are_held_whatever_the_residual(call, rng, kernels, shape):
    s = scene(rng, shape, is_cut=True)
    both = grids_of(kernels, s)
    (correction,) = run_cycle(call, both, s, s.residual)
    (same,) = run_cycle(call, both, s, np.where(s.state >= reference.FROZEN, 1e3, s.residual))
    np.testing.assert_array_equal(same, correction)
    assert not correction[s.state >= reference.FROZEN].any()


@parametrize_shape
@parametrize_model
def test_the_cycle_is_symmetric_and_positive(call, rng, kernels, shape, model):
    s = scene(rng, shape, model, is_cut=True)
    both = grids_of(kernels, s)
    x, y = (np.where(s.state < reference.FROZEN, values, 0) for values in (s.u, s.direction))
    (bx,), (by,) = (run_cycle(call, both, s, values) for values in (x, y))
    square, other = np.vdot(x, bx), np.vdot(y, by)
    assert square > 0
    assert other > 0
    # roundings of single precision, enlarged where the grid is solved directly
    assert abs(np.vdot(x, by) - np.vdot(y, bx)) < 1e-4 * np.sqrt(square * other)


@pytest.mark.host_only
@parametrize_model
@parametrize_even
def test_a_cycle_halves_the_error(rng, kernels, model, is_even):
    """In the energy norm: the eigenvalues of cycle times operator are near 1, and on both sides of it."""
    s = scene(rng, (12, 9), model, is_even)
    both = grids_of(kernels, s)
    reference.set_contacts(both.plain, s.state, SPRING)
    movable = np.flatnonzero(s.state.ravel() < reference.FROZEN)
    inverse = np.zeros((s.state.size, len(movable)))
    for k, pixel in enumerate(movable):
        residual = np.zeros(s.shape)
        residual.flat[pixel] = 1
        inverse[:, k] = reference._cycle(both.plain.levels, residual.ravel())
    inverse = inverse[movable]
    np.testing.assert_allclose(inverse, inverse.T, rtol=0, atol=1e-12 * np.abs(inverse).max())
    assert np.linalg.eigvalsh(inverse).min() > 0
    operator = both.plain.levels[0].operator.toarray()[np.ix_(movable, movable)]
    values = np.linalg.eigvals(inverse @ operator)
    assert np.abs(values.imag).max() < 1e-9
    assert values.real.min() > 0.5
    assert values.real.max() < 1.1


def conjugate_gradients(k, xp, grids, state, right, accuracy):
    """Solve by the kernels, as a Newton step does; the solution, and how many cycles there were."""
    r, state = xp.asarray(right), xp.asarray(state)
    d, p, q = (xp.zeros(right.shape) for _ in range(3))
    z, total = xp.zeros(right.shape, np.float32), xp.zeros(1)
    k.set_contacts(grids, state, SPRING)
    first, before = None, None
    for iteration in range(40):
        k.precondition(grids, r, z)
        k.dot(r, z, total)
        product = float(total[0])
        first = first or product
        if product <= accuracy**2 * first:
            return d, iteration
        k.conjugate(z, product / before if before else 0.0, p)
        k.product(grids, state, SPRING, p, q, total)
        k.advance(product / float(total[0]), p, q, d, r)
        before = product
    raise AssertionError(f"energy norm of the error still {np.sqrt(product / first):.1e} of the first")


def problem(rng, shape, model, is_even, is_cut, contacts):
    """A plate of random heights but at held pixels, and what pulls it there."""
    cut = rng.random(shape) < 0.04 if is_cut else None
    springs, held = CONTACTS[contacts]
    state = rng.choice(3, size=shape, p=[1 - springs - held, springs, held]).astype(np.uint8)
    if is_cut:
        state[cut] = reference.ABSENT
    u = np.where(state < reference.FROZEN, rng.normal(size=shape), 0)
    return SimpleNamespace(shape=shape, model=model, is_even=is_even, cut=cut, state=state, u=u)


@pytest.mark.parametrize("contacts", ["held", "both"])
@pytest.mark.parametrize("shape", [(64, 64), (40, 37), (9, 70)])
@parametrize_model
@pytest.mark.parametrize(("is_even", "is_cut"), [(False, False), (True, False), (False, True)])
def test_conjugate_gradients_need_at_most_12_cycles(
    call, rng, kernels, xp, to_host, shape, model, is_even, is_cut, contacts
):
    s = problem(rng, shape, model, is_even, is_cut, contacts)
    both = grids_of(kernels, s, pull=1e-9)
    right, _ = run(call, "product", both, s.state, SPRING, s.u, image(s), sums(1))
    d, cycles = conjugate_gradients(kernels.plate, xp, both.own, s.state, right, 1e-6)
    assert cycles <= 12
    error = np.where(s.state < reference.FROZEN, to_host(d) - s.u, 0)
    after, before = (
        run(call, "product", both, s.state, SPRING, values, image(s), sums(1))[1][0]
        for values in (error, s.u)
    )
    # the cycle's norm, which tells when to stop, is within a factor of 2 of the energy's
    assert after <= (2e-6) ** 2 * before


@parametrize_model
@parametrize_cut
def test_conjugate_gradients_find_the_solution(call, rng, kernels, xp, to_host, model, is_cut):
    s = problem(rng, (31, 24), model, False, is_cut, "both")
    both = grids_of(kernels, s, pull=1e-6)
    right = np.where(s.state < reference.FROZEN, rng.normal(size=s.shape), 0)
    reference.set_contacts(both.plain, s.state, SPRING)
    operator = both.plain.levels[0].operator + sparse.identity(right.size) * 1e-6
    movable = np.flatnonzero(s.state.ravel() < reference.FROZEN)
    exact = np.zeros(right.size)
    exact[movable] = sparse.linalg.spsolve(
        operator.tocsr()[movable][:, movable].tocsc(), right.ravel()[movable]
    )
    d, _ = conjugate_gradients(kernels.plate, xp, both.own, s.state, right, 1e-9)
    np.testing.assert_allclose(to_host(d).ravel(), exact, rtol=0, atol=1e-6 * np.abs(exact).max())


def test_a_narrow_image_is_solved_at_once(call, rng, kernels, xp):
    for shape in ((1, 40), (40, 1), (4, 25), (25, 3)):
        s = problem(rng, shape, "plate", False, False, "both")
        both = grids_of(kernels, s, pull=1e-6)
        right, _ = run(call, "product", both, s.state, SPRING, s.u, image(s), sums(1))
        assert conjugate_gradients(kernels.plate, xp, both.own, s.state, right, 1e-4)[1] == 1


def test_a_plate_without_contacts_is_solved_up_to_what_has_no_energy(call, rng, kernels, xp):
    """The coarsest grid leaves motions without energy alone, which rounding would make of any size."""
    for shape in ((1, 40), (31, 24), (64, 9)):
        s = problem(rng, shape, "plate", False, False, "none")
        both = grids_of(kernels, s, pull=1e-10)
        right, _ = run(call, "product", both, s.state, SPRING, s.u, image(s), sums(1))
        assert conjugate_gradients(kernels.plate, xp, both.own, s.state, right, 1e-6)[1] <= 12
