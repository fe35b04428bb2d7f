"""Refinement of positions: its parameters, its gains, and what it reaches on a virtual experiment."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from fastimg.ptychography import (
    PositionRefinement,
    Scan,
    gaussian_probe,
    position_error,
    raster_positions,
    reconstruct,
    simulate,
)
from fastimg.ptychography._refinement import Refiner
from tests.fastimg.ptychography_cases import experiment, smooth_object


def with_wrong_positions(scan, rms, seed=0):
    errors = np.random.default_rng(seed).normal(size=scan.positions.shape)
    errors -= errors.mean(axis=0)
    errors *= rms / np.sqrt((errors**2).sum(axis=1).mean())
    return Scan(scan.intensities, scan.positions + errors, probe=scan.probe)


@pytest.mark.host_only
@pytest.mark.parametrize("signal", ["object", "gradient"])
@pytest.mark.parametrize("gain", ["adam", "zhang", "fixed"])
def test_wrong_positions_are_mended(gain, signal):
    scan, _ = experiment(photons=1e7)
    refinement = PositionRefinement(gain, signal)
    found = reconstruct(
        with_wrong_positions(scan, 1.0), iterations=80, batch_size=4, position_refinement=refinement
    )
    assert position_error(found.positions, scan.positions, affine=True) < 0.15
    assert np.isfinite(found.history["position_change"]).all()
    assert (found.history["position_change"][:5] == 0).all()
    assert (found.history["position_change"][5:] > 0).all()


@pytest.mark.host_only
@pytest.mark.filterwarnings("ignore:.*sampl")
def test_the_detectors_signal_mends_positions_in_the_near_field_of_a_smooth_beam():
    rng = np.random.default_rng(0)
    true = raster_positions((8, 8), 7, jitter=1.75, rng=rng) + 5
    scan = simulate(
        smooth_object(rng, (128, 128)).astype(np.complex64), gaussian_probe(64, 36), true,
        photons=5e6, rng=rng, propagator="near-field", wavelength=1e-10,
        distance=0.2, detector_pixel=1e-6,
    )  # fmt: skip
    errors = rng.normal(size=true.shape)
    wrong = replace(scan, positions=true + errors - errors.mean(axis=0))
    refinement = PositionRefinement("fixed", "detector")
    found = reconstruct(wrong, iterations=40, position_refinement=refinement)
    assert position_error(found.positions, true) < 0.75 * position_error(wrong.positions, true)


@pytest.mark.host_only
def test_right_positions_stay():
    scan, _ = experiment(photons=None)
    refinement = PositionRefinement("fixed", start=20)
    found = reconstruct(scan, iterations=60, batch_size=4, position_refinement=refinement)
    assert position_error(found.positions, scan.positions) < 0.05


def test_the_mean_position_stays(xp, to_host):
    scan = with_wrong_positions(experiment()[0], 1.0)
    found = reconstruct(scan.to(xp), iterations=4, position_refinement=PositionRefinement(start=1))
    moved = to_host(found.positions) - scan.positions
    assert np.abs(moved).max() > 0.05
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=1e-12)


def test_a_move_is_at_most_max_step_long(xp, to_host):
    scan = with_wrong_positions(experiment()[0], 1.0)
    refinement = PositionRefinement("fixed", "object", step=1e4, max_step=0.25, start=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = reconstruct(scan.to(xp), iterations=2, position_refinement=refinement)
    moved = to_host(found.positions) - scan.positions
    assert 0.2 < np.abs(moved).max() <= 0.5  # the mean is taken off, so up to twice as far


@pytest.mark.host_only
def test_boxes_never_leave_the_object():
    scan = experiment()[0]
    refinement = PositionRefinement("fixed", "object", step=1e6, max_step=50.0, start=0, schedule="constant")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = reconstruct(scan, iterations=5, position_refinement=refinement)
    inside = found.positions - found.origin
    room = np.array(found.object.shape) - found.probe.shape[-1]
    assert inside.min() >= -0.5
    assert (inside <= room + 0.5).all()


@pytest.mark.host_only
def test_the_cosine_falls_from_the_step_to_zero():
    refinement = PositionRefinement(step=0.4, start=10)
    assert refinement.step_at(10, 110) == 0.4
    assert math.isclose(refinement.step_at(60, 110), 0.2)
    assert refinement.step_at(109, 110) < 1e-3
    assert PositionRefinement(step=0.4, schedule="constant").step_at(109, 110) == 0.4


def test_zhangs_gain_grows_while_shifts_agree_and_shrinks_while_they_oppose(xp, to_device, to_host):
    refiner = Refiner.start(xp, 20)
    shifts = to_device(np.random.default_rng(0).normal(size=(20, 2)))
    for sign, expected in ((1, 1.0), (1, 1.1), (-1, 0.99), (-1, 1.089)):
        refiner.last[...] = sign * shifts
        refiner.finish_iteration(xp, adaptive=True)
        np.testing.assert_allclose(to_host(refiner.factor), expected)


@pytest.mark.host_only
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gain": "sgd"}, "gain is 'sgd'; accepted are 'adam', 'zhang', 'fixed'"),
        ({"signal": "probe"}, "signal is 'probe'"),
        ({"schedule": "linear"}, "schedule is 'linear'"),
        ({"step": 0}, "step is 0"),
        ({"step": math.nan}, "step is nan"),
        ({"start": -1}, "start is -1"),
        ({"upsample_factor": 0.5}, "upsample_factor is 0.5"),
        ({"max_step": 0}, "max_step is 0"),
    ],
)
def test_parameters_outside_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PositionRefinement(**options)
