"""The solver: the minimum it finds, how, and the same on all devices."""

import warnings
from itertools import pairwise

import numpy as np
import pytest

import fastimg
from fastimg.dequantization import dequantize

# Energies of the plate of the 64² Gaussian, found by an independent solver in double precision
ENERGIES = {2: 0.1528338, 3: 0.6521628, 5: 11.219454}


def gaussian(size):
    """Values of a hill from 0 to 1."""
    axis = np.linspace(-1, 1, size)
    return np.exp(-2 * np.add.outer(axis**2, axis**2))


def codes_of(values, bits):
    """Codes that fill all of 2**bits bins."""
    return np.floor(values / values.max() * (2**bits - 1e-9)).astype(np.uint8)


def noisy(shape, bits):
    """Codes of a slope with noise of a third of a bin: contacts nearly everywhere."""
    slope = np.linspace(0.5, 2**bits - 0.5, shape[1])
    values = slope + np.random.default_rng(0).normal(scale=0.3, size=shape)
    return np.clip(np.floor(values), 0, 2**bits - 1).astype(np.uint8)


OPTIONS = {
    "plate": {},
    "membrane": {"model": "membrane"},
    "blend": {"model": "blend", "tension_length": 3.0},
    "even": {"boundary": "even"},
    "bridge": {"mask": np.add.outer(np.arange(33) % 11 > 7, np.arange(17) % 5 > 3) > 1},
    "cut": {"mask": np.add.outer(np.arange(33) % 11 > 7, np.arange(17) % 5 > 3) > 1, "mask_mode": "cut"},
    "relax": {"relax": 0.2},
}


@pytest.mark.parametrize(
    "codes", [codes_of(gaussian(33)[:, :17], 3), noisy((33, 17), 2)], ids=["hill", "noise"]
)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_both_backends_give_the_same(device, to_device, to_host, codes, options):
    if device == "numpy":
        pytest.skip("compares a device with NumPy")
    placed = {name: to_device(value) if name == "mask" else value for name, value in options.items()}
    bits = int(codes.max()).bit_length()
    expected = dequantize(codes, bits=bits, dtype="float64", **options)
    found = dequantize(to_device(codes), bits=bits, dtype="float64", **placed)
    # of a level, which is 1 here
    assert np.abs(to_host(found) - expected).max() < 1e-5


@pytest.mark.host_only
@pytest.mark.parametrize("bits", ENERGIES)
def test_the_minimum_is_found(bits):
    codes = codes_of(gaussian(64), bits)
    result, info = dequantize(codes, bits=bits, dtype="float64", tol=1e-14, return_info=True)
    assert info.energy == pytest.approx(ENERGIES[bits], rel=1e-5)
    assert info.kkt < 1e-8
    assert (codes <= result).all()
    assert (result <= codes + 1).all()


@pytest.mark.host_only
@pytest.mark.parametrize("codes", [codes_of(gaussian(64), 3), noisy((64, 64), 3)], ids=["hill", "noise"])
def test_by_default_the_energy_is_near_its_minimum(codes):
    energy = [dequantize(codes, bits=3, tol=tol, return_info=True)[1].energy for tol in (1e-4, 1e-12)]
    # both may be the minimum, but for the rounding of sums
    assert (1 - 1e-9) * energy[1] <= energy[0] <= (1 + 1e-4) * energy[1]


@pytest.mark.host_only
def test_the_energy_does_not_increase_inside_the_envelope():
    codes, states = noisy((64, 64), 3), []
    dequantize(codes, bits=3, tol=1e-10, callback=states.append)
    primal = [state.energy for state in states]
    assert len(primal) > 3
    assert all(after <= before * (1 + 1e-13) for before, after in pairwise(primal))


@pytest.mark.host_only
@pytest.mark.parametrize("size", [128, 256])
def test_forty_cycles_are_enough(size):
    assert dequantize(codes_of(gaussian(size), 3), bits=3, return_info=True)[1].cycles <= 40


@pytest.mark.host_only
@pytest.mark.parametrize(
    "codes", [np.add.outer(*[np.arange(16)] * 2) // 4, noisy((24, 24), 3)], ids=["ramp", "noise"]
)
def test_converged_is_only_said_where_it_has(codes):
    least = dequantize(codes, bits=3, tol=1e-12, return_info=True)[1].energy
    for max_cycles in range(1, 60):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastimg.ConvergenceWarning)
            _, info = dequantize(codes, bits=3, max_cycles=max_cycles, return_info=True)
        # what counts as no energy for so small an image is about 1e-9
        assert not info.converged or info.energy <= (1 + 1e-3) * least + 1e-8


@pytest.mark.host_only
def test_a_hole_that_is_cut_short_has_not_converged():
    values = np.random.default_rng(0).random((40, 40))
    hole = np.zeros(values.shape, bool)
    hole[5:35, 5:35] = True
    bounds = [np.where(hole, end, values) for end in (-np.inf, np.inf)]
    with pytest.warns(fastimg.ConvergenceWarning):
        _, info = dequantize(None, lower=bounds[0], upper=bounds[1], max_cycles=1, return_info=True)
    assert not info.converged


@pytest.mark.host_only
def test_a_stop_by_the_callback_is_final():
    calls = []
    result, info = dequantize(
        noisy((24, 24), 3),
        bits=3,
        anomaly_passes=3,
        callback=lambda state: calls.append(state) or len(calls) == 1,
        return_info=True,
    )
    assert len(calls) == 1
    assert not info.converged
    assert np.isfinite(result).all()


@pytest.mark.host_only
def test_noise_converges():
    _, info = dequantize(noisy((96, 96), 3), bits=3, tol=1e-14, max_cycles=100, return_info=True)
    assert info.kkt < 1e-6


@pytest.mark.host_only
def test_threads_do_not_change_a_bit():
    codes = codes_of(gaussian(200), 3)
    before = fastimg.get_num_threads()
    try:
        results = []
        for threads in (1, before):
            fastimg.set_num_threads(threads)
            results.append(dequantize(codes, bits=3))
    finally:
        fastimg.set_num_threads(before)
    np.testing.assert_array_equal(*results)
