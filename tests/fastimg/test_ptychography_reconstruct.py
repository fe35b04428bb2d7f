"""Reconstruction of virtual experiments: by known results, by invariants, and on both backends."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import fastimg
from fastimg.ptychography import Scan, gaussian_probe, object_error, raster_positions, reconstruct, simulate
from fastimg.ptychography._batches import ordered_batches, spread_groups
from fastimg.ptychography._iterations import orthogonalize
from tests.fastimg.ptychography_cases import SIZE, experiment, plain_epie, smooth_object, with_wrong_probe


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.fixture
def placed(xp):
    """Return a function that moves a scan to the device under test."""
    return lambda scan: scan.to(xp)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_known_object_is_recovered(xp, placed, to_host, precision):
    scan, truth = experiment(precision=precision)
    found = reconstruct(placed(with_wrong_probe(scan)), iterations=30, batch_size=4)
    complex_ = np.result_type(precision, np.complex64)
    for array, shape, dtype in (
        (found.object, None, complex_),
        (found.probe, (1, SIZE, SIZE), complex_),
        (found.positions, (36, 2), np.float64),
        (found.dose, found.object.shape, np.float64),
    ):
        assert type(array) is xp.ndarray
        assert array.dtype == dtype
        assert shape is None or array.shape == shape
    assert all(type(values) is np.ndarray for values in found.history.values())
    np.testing.assert_array_equal(to_host(found.positions), scan.positions)
    error = found.history["error"]
    assert error[-1] < 0.15 * error[0]
    assert object_error(found, truth) < 0.15


@pytest.mark.host_only
def test_exact_frames_are_explained_exactly():
    scan, truth = experiment(photons=None, precision="float64")
    found = reconstruct(with_wrong_probe(scan), iterations=300, batch_size=1)
    assert found.history["error"][-1] < 2.5e-3
    assert object_error(found, truth) < 2.5e-3


@pytest.mark.parametrize("modes", [1, 2])
def test_epie_is_the_published_one(placed, to_device, to_host, modes):
    scan, truth = experiment(modes=modes, whole=True, photons=None, precision="float64", grid=(3, 3))
    start = scan.probe * np.exp(0.3j * np.arange(SIZE) / SIZE)
    found = reconstruct(
        placed(scan), algorithm="epie", modes=modes, iterations=3, batch_size=1, subpixel=False,
        alpha_object=0.9, alpha_probe=0.9, probe=to_device(start),
        object=to_device(np.ones(truth.shape, np.complex128)), orthogonalize=False,
    )  # fmt: skip
    seed = found.parameters["seed"]
    groups = spread_groups(scan.positions, 1)

    def order(iteration):
        return ordered_batches(groups, np.random.default_rng((seed, iteration)))[0]

    image, probe = plain_epie(scan, truth.shape, 3, order, 0.9, start)
    assert relative(to_host(found.object), image) < 1e-12
    assert relative(to_host(found.probe), probe) < 1e-12


@pytest.mark.parametrize("modes", [1, 2])
def test_rpie_with_gamma_and_beta_of_1_is_epie(placed, to_host, modes):
    scan = placed(experiment(modes=modes)[0])
    first = reconstruct(scan, algorithm="epie", modes=modes, iterations=3)
    second = reconstruct(scan, gamma=1.0, beta=1.0, modes=modes, iterations=3)
    np.testing.assert_array_equal(to_host(first.object), to_host(second.object))
    np.testing.assert_array_equal(to_host(first.probe), to_host(second.probe))


CASES = {
    "one mode": {},
    "modes": {"modes": 2},
    "whole pixels": {"subpixel": False},
    "momentum": {"momentum": 0.5},
    "atomic": {"deterministic": False},
    "object signal": {
        "position_refinement": fastimg.ptychography.PositionRefinement("adam", "object", start=1)
    },
    "gradient signal": {
        "position_refinement": fastimg.ptychography.PositionRefinement("zhang", "gradient", start=1)
    },
    "detector signal": {
        "position_refinement": fastimg.ptychography.PositionRefinement("fixed", "detector", start=1)
    },
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_both_backends_give_the_same(device, placed, to_host, options):
    if device == "numpy":
        pytest.skip("compares a device with NumPy")
    scan = with_wrong_probe(experiment(modes=options.get("modes", 1))[0])
    expected = reconstruct(scan, iterations=5, **options)
    found = reconstruct(placed(scan), iterations=5, **options)
    assert relative(to_host(found.object), expected.object) < 1e-4
    assert relative(to_host(found.probe), expected.probe) < 1e-4
    assert relative(to_host(found.dose), expected.dose) < 1e-4
    np.testing.assert_allclose(to_host(found.positions), expected.positions, atol=2e-3)
    np.testing.assert_allclose(found.history["error"], expected.history["error"], rtol=1e-4)


@pytest.mark.parametrize("modes", [1, 2])
def test_the_same_call_gives_the_same_bits(placed, to_host, modes):
    scan = placed(with_wrong_probe(experiment()[0]))
    first, second = (to_host(reconstruct(scan, modes=modes, iterations=3).object) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_other_draws_give_another_result(placed, to_host):
    scan = placed(with_wrong_probe(experiment()[0]))
    first, second = (to_host(reconstruct(scan, iterations=2, rng=rng).object) for rng in (0, 1))
    assert (first != second).any()


def test_whole_positions_need_no_shift_of_the_probe(placed, to_host):
    scan = placed(with_wrong_probe(experiment(whole=True)[0]))
    with_shift, without = (reconstruct(scan, iterations=3, subpixel=s) for s in (True, False))
    assert relative(to_host(with_shift.object), to_host(without.object)) < 1e-5


def test_fractions_of_a_pixel_matter(placed):
    scan = placed(experiment()[0])
    runs = [reconstruct(scan, iterations=20, subpixel=s, probe_start=20) for s in (True, False)]
    with_shift, without = (run.history["error"][-1] for run in runs)
    assert with_shift < 0.5 * without


def test_what_lies_behind_the_mask_does_not_matter(xp, placed, to_host):
    scan = with_wrong_probe(experiment()[0])
    mask = np.random.default_rng(0).random((SIZE, SIZE)) > 0.1
    spoiled = np.where(mask, scan.intensities, np.nan).astype(np.float32)
    results = [
        reconstruct(placed(Scan(frames, scan.positions, mask=mask, probe=scan.probe)), iterations=3)
        for frames in (scan.intensities, spoiled)
    ]
    np.testing.assert_array_equal(*(to_host(result.object) for result in results))
    np.testing.assert_array_equal(*(result.history["error"] for result in results))
    per_frame = np.broadcast_to(mask, spoiled.shape)
    third = reconstruct(placed(Scan(spoiled, scan.positions, mask=per_frame, probe=scan.probe)), iterations=3)
    np.testing.assert_array_equal(to_host(third.object), to_host(results[0].object))


@pytest.mark.host_only
def test_a_fifth_of_dead_pixels_is_survived():
    scan, truth = experiment()
    mask = np.random.default_rng(0).random((SIZE, SIZE)) > 0.2
    start = with_wrong_probe(scan)
    masked = Scan(scan.intensities, scan.positions, mask=mask, probe=start.probe)
    found = reconstruct(masked, iterations=100, batch_size=1)
    assert object_error(found, truth) < 0.05


@pytest.fixture(scope="module")
def near_field():
    """Frames behind a diffuser, without which a near field hardly shows phases; and the object."""
    rng = np.random.default_rng(4)
    truth = smooth_object(rng)
    diffuser = np.exp(5j * ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), 0.7))
    scan = simulate(
        truth, diffuser * gaussian_probe(SIZE, 7, dtype=np.complex128),
        raster_positions((6, 6), 3, jitter=1, rng=rng) + 3, photons=1e6, rng=rng,
        propagator="near-field", wavelength=1e-10, distance=0.02, detector_pixel=1e-6,
    )  # fmt: skip
    return scan, truth


@pytest.mark.filterwarnings("ignore:.*sampl")
def test_the_near_field_is_reconstructed(near_field, placed):
    found = reconstruct(placed(near_field[0]), iterations=5, batch_size=4)
    assert found.object_pixel == 1e-6
    assert found.history["error"][-1] < 0.5 * found.history["error"][0]


@pytest.mark.host_only
@pytest.mark.filterwarnings("ignore:.*sampl")
def test_the_near_field_converges_to_the_object(near_field):
    scan, truth = near_field
    assert object_error(reconstruct(scan, iterations=100, batch_size=4), truth) < 0.1


def test_without_a_probe_one_is_guessed(placed, to_host):
    scan = experiment()[0]
    found = reconstruct(placed(Scan(scan.intensities, scan.positions)), iterations=10)
    assert found.history["error"][-1] < found.history["error"][0]
    power = np.sum(np.abs(to_host(found.probe)) ** 2)
    assert 0.1 < power / scan.intensities.sum(axis=(1, 2)).mean() < 10


def test_the_probe_can_be_kept(placed, to_host):
    scan = experiment()[0]
    found = reconstruct(placed(scan), iterations=3, probe_start=3)
    np.testing.assert_array_equal(to_host(found.probe), scan.probe)


def test_modes_come_out_orthogonal_and_ordered(placed, to_host):
    scan = experiment(modes=3)[0]
    found = to_host(reconstruct(placed(scan), modes=3, iterations=2).probe).reshape(3, -1)
    gram = found.conj() @ found.T
    powers = np.diag(gram).real
    assert (np.diff(powers) <= 0).all()
    assert np.abs(gram - np.diag(powers)).max() < 1e-5 * powers[0]


def test_orthogonal_modes_make_the_same_frames(xp, kernels, to_device, to_host):
    rng = np.random.default_rng(0)
    probe = rng.normal(size=(3, 8, 8)) + 1j * rng.normal(size=(3, 8, 8))
    mixed = to_device(probe)
    orthogonalize(xp, kernels, mixed)
    image = rng.normal(size=(8, 8)) + 1j * rng.normal(size=(8, 8))
    before, after = (np.sum(np.abs(np.fft.fft2(p * image)) ** 2, axis=0) for p in (probe, to_host(mixed)))
    np.testing.assert_allclose(after, before, rtol=1e-12)


def test_missing_modes_are_added(placed):
    scan = experiment()[0]
    assert reconstruct(placed(scan), modes=3, iterations=1).probe.shape == (3, SIZE, SIZE)


def test_a_callback_sees_each_iteration_and_can_end_it(placed, to_host):
    seen = []

    def watch(state):
        seen.append((state.iteration, state.error, state.reconstruction().iterations))
        return state.iteration == 3

    found = reconstruct(placed(with_wrong_probe(experiment()[0])), iterations=10, callback=watch)
    assert [(n, done) for n, _, done in seen] == [(1, 1), (2, 2), (3, 3)]
    assert found.iterations == 3
    np.testing.assert_allclose([error for _, error, _ in seen], found.history["error"])


RESUMED = {
    "plain": {},
    "adam": {
        "position_refinement": fastimg.ptychography.PositionRefinement("adam", "object", start=1),
        "momentum": 0.5,
    },
    "zhang": {
        "position_refinement": fastimg.ptychography.PositionRefinement("zhang", start=1),
    },
}


@pytest.mark.parametrize("options", RESUMED.values(), ids=RESUMED)
def test_a_resumed_run_ends_as_one_that_was_not_stopped(placed, to_host, tmp_path, xp, options):
    scan = with_wrong_probe(experiment()[0])
    scan = placed(Scan(scan.intensities, scan.positions + 3000.0, probe=scan.probe))
    options = {"modes": 2, "iterations": 9, **options}
    whole = reconstruct(scan, **options)
    part = reconstruct(scan, callback=lambda state: state.iteration == 7, **options)
    part.save(tmp_path / "part.h5")
    part = fastimg.ptychography.Reconstruction.load(tmp_path / "part.h5")
    rest = reconstruct(scan, resume=part, **options)
    for name in ("object", "probe", "positions", "dose"):
        np.testing.assert_array_equal(to_host(getattr(rest, name)), to_host(getattr(whole, name)), name)
    for name, values in whole.history.items():
        np.testing.assert_array_equal(rest.history[name], values)


@pytest.mark.host_only
@pytest.mark.parametrize("modes", [1, 4])
def test_beyond_the_scan_only_the_object_and_three_batches_are_held(modes):
    rng = np.random.default_rng(0)
    size, positions = 64, raster_positions((6, 6), 6, rng=rng)
    frames = rng.poisson(3.0, (36, size, size)).astype(np.float32)
    scan = Scan(frames, positions, probe=gaussian_probe(size, 20, photons=3.0 * size**2))
    reconstruct(scan, modes=modes, iterations=1, subpixel=False)  # what Numba allocates once
    tracemalloc.start()
    reconstruct(scan, modes=modes, iterations=1, subpixel=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 94**2 * 8 + 3 * 8 * modes * size**2 * 8 + 50_000


def test_divergence_is_told(placed):
    scan = experiment()[0]
    probe = 1e3 * scan.probe
    with pytest.warns(fastimg.ConvergenceWarning, match="alpha_object"):
        reconstruct(
            placed(Scan(scan.intensities, scan.positions, probe=probe)), iterations=4,
            alpha_object=2, alpha_probe=2, gamma=1e-3, beta=1e-3,
        )  # fmt: skip


WRONG = {
    "algorithm": ({"algorithm": "dm"}, "algorithm is 'dm'"),
    "modes": ({"modes": 0}, "modes is 0"),
    "iterations": ({"iterations": 2.5}, "iterations is 2.5"),
    "batch_size": ({"batch_size": 0}, "batch_size is 0"),
    "alpha_object": ({"alpha_object": 0}, "alpha_object is 0"),
    "gamma": ({"gamma": 1.5}, "gamma is 1.5"),
    "beta": ({"beta": float("nan")}, "beta is nan"),
    "momentum": ({"momentum": 1}, "momentum is 1"),
    "probe_start": ({"probe_start": -1}, "probe_start is -1"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_numbers_outside_their_range_are_refused(placed, options, message):
    with pytest.raises(ValueError, match=message):
        reconstruct(placed(experiment(grid=(2, 2))[0]), **options)


def test_starts_that_do_not_fit_are_refused(xp, placed):
    scan = placed(experiment()[0])
    with pytest.raises(ValueError, match=r"scan.positions\[.*outside object, which is 20×30"):
        reconstruct(scan, object=xp.ones((20, 30), np.complex64))
    with pytest.raises(ValueError, match="object has shape"):
        reconstruct(scan, object=xp.ones(60, np.complex64))
    with pytest.raises(ValueError, match="object is zero everywhere or not finite"):
        reconstruct(scan, object=xp.full((60, 60), np.nan, np.complex64))
    with pytest.raises(ValueError, match=r"probe has shape \(1, 8, 8\)"):
        reconstruct(scan, probe=xp.ones((8, 8), np.complex64))
    with pytest.raises(ValueError, match="probe has 2 modes, but modes is 1"):
        reconstruct(scan, probe=xp.ones((2, SIZE, SIZE), np.complex64))
    with pytest.raises(ValueError, match="probe is zero everywhere"):
        reconstruct(scan, probe=xp.zeros((SIZE, SIZE), np.complex64))


def test_counts_that_are_all_zero_are_refused(placed):
    scan = experiment(grid=(2, 2))[0]
    with pytest.raises(ValueError, match="intensities are zero"):
        reconstruct(placed(Scan(0 * scan.intensities, scan.positions, probe=scan.probe)))


def test_positions_in_other_units_are_told(placed):
    scan = experiment(grid=(2, 2))[0]
    with pytest.raises(ValueError, match=r"scan\.positions reach over .* in pixels of the object"):
        reconstruct(placed(Scan(scan.intensities, 1e18 * scan.positions, probe=scan.probe)))
    with pytest.warns(UserWarning, match="lie within one pixel"):
        reconstruct(placed(Scan(scan.intensities, 1e-6 * scan.positions, probe=scan.probe)), iterations=1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("signal", ["object", "gradient", "detector"])
def test_a_refinement_that_diverges_still_gives_a_result(xp, placed, to_host, signal):
    scan = experiment(grid=(3, 3), modes=2)[0]
    refinement = fastimg.ptychography.PositionRefinement("fixed", signal, start=0)
    with pytest.warns(fastimg.ConvergenceWarning):
        found = reconstruct(
            placed(scan), probe=xp.asarray(1e15 * scan.probe), modes=2, iterations=8,
            position_refinement=refinement, alpha_object=2, alpha_probe=2, gamma=1e-4,
        )  # fmt: skip
    assert found.iterations == 8
    assert np.isfinite(to_host(found.positions)).all()


def test_numbers_of_numpy_are_numbers(placed, tmp_path):
    refinement = fastimg.ptychography.PositionRefinement(step=np.float32(0.5), start=np.int64(1))
    found = reconstruct(
        placed(experiment(grid=(3, 3))[0]), iterations=np.int64(2), batch_size=np.int32(2),
        probe_start=np.int8(1), gamma=np.float32(0.5), position_refinement=refinement,
    )  # fmt: skip
    found.save(tmp_path / "result.h5")
    parameters = fastimg.ptychography.Reconstruction.load(tmp_path / "result.h5").parameters
    assert parameters["algorithm"] == "rpie"
    assert parameters["position_refinement"]["step"] == 0.5


def test_a_single_position_is_refused(placed):
    scan = placed(experiment(grid=(2, 2))[0])
    with pytest.raises(ValueError, match="at least 2"):
        reconstruct(scan[:1])


def test_results_of_other_scans_are_refused(placed):
    scan = placed(experiment(grid=(3, 3))[0])
    found = reconstruct(scan, iterations=1)
    with pytest.raises(ValueError, match="resume has 9 positions"):
        reconstruct(scan[:4], resume=found)
    with pytest.raises(TypeError, match="resume is a dict"):
        reconstruct(scan, resume={})
    with pytest.raises(ValueError, match="resume lacks first, positions"):
        reconstruct(scan, resume=replace(found, state={}))


def test_positions_changed_before_resuming_are_used(placed, to_host):
    scan = placed(experiment(grid=(3, 3))[0])
    found = reconstruct(scan, iterations=1)
    moved = replace(found, positions=found.positions + 0.25)
    again = reconstruct(scan, iterations=2, resume=moved)
    np.testing.assert_allclose(to_host(again.positions), to_host(moved.positions), atol=1e-12)


def test_other_types_are_refused(placed):
    with pytest.raises(TypeError, match="scan is a ndarray"):
        reconstruct(np.ones((2, 8, 8)))
    with pytest.raises(TypeError, match="position_refinement is a str"):
        reconstruct(placed(experiment(grid=(2, 2))[0]), position_refinement="adam")
