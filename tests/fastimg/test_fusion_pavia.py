"""Quality on a measured scene: Pavia Centre, seen by IKONOS and through the blur of Starck and Murtagh."""

import numpy as np
import pytest

from fastimg.fusion import (
    arithmetic_mean,
    cnmf,
    denoise_total_variation,
    geometric_mean,
    gsa,
    hmwb,
    simulate_pair,
    spectral_inverse,
    starck_murtagh,
    upsample,
)
from fastimg.metrics import cross_correlation, rmse, sam
from tests.fastimg.fusion_data import pavia, pavia_response

pytestmark = pytest.mark.host_only

BLUR = starck_murtagh()
# RMSE over the mean, spectral angle in degrees, correlation
EXPECTED = {
    "cubic": (0.435, 8.09, 0.889),
    "regression": (0.0785, 5.54, 0.996),
    "hmwb pinv": (0.102, 5.97, 0.994),
    "hmwb regression": (0.094, 5.90, 0.995),
    "hmwb regression, weight 0.9": (0.0761, 5.50, 0.9966),
    "arithmetic": (0.360, 12.45, 0.969),
    "geometric": (0.390, 13.50, 0.968),
    "gsa": (0.084, 6.16, 0.996),
    "cnmf": (0.0748, 5.53, 0.9966),
}


@pytest.fixture(scope="module")
def setting(data_dir):
    pytest.importorskip("skimage")
    cube, table = pavia(data_dir), pavia_response(data_dir)
    h, m = simulate_pair(cube, table, ratio=4, blur=BLUR, snr_h=30, snr_m=40, rng=0)
    return cube, table, h, m


def fused(method, setting, **options):
    _, table, h, m = setting
    # at 40 dB, the multispectral image is better as it is
    common = {"spectral_response": table, "ratio": 4, "denoise": (None, denoise_total_variation), **options}
    clean = denoise_total_variation(h)
    return {
        "cubic": lambda: upsample(clean, 4),
        "regression": lambda: m @ spectral_inverse("regression", table, clean).T,
        "hmwb pinv": lambda: hmwb(h, m, **common),
        "hmwb regression": lambda: hmwb(h, m, spectral_inverse="regression", **common),
        "hmwb regression, weight 0.9": lambda: hmwb(
            h, m, spectral_inverse="regression", weight=0.9, **common
        ),
        "arithmetic": lambda: arithmetic_mean(h, m, **common),
        "geometric": lambda: geometric_mean(h, m, **common),
        "gsa": lambda: gsa(h, m, ratio=4, blur=BLUR),
        "cnmf": lambda: cnmf(clean, m, spectral_response=table, ratio=4, blur=BLUR),
    }[method]()


def quality(estimate, reference):
    floored = np.maximum(estimate, 1e-3 * estimate.mean())
    one, other = floored / floored.mean(), reference / reference.mean()
    return rmse(one, other), sam(one, other), cross_correlation(one, other)


@pytest.mark.parametrize("method", EXPECTED)
def test_quality_is_that_of_the_table(setting, method):
    error, angle, correlation = quality(fused(method, setting), setting[0])
    expected = EXPECTED[method]
    assert error == pytest.approx(expected[0], rel=0.05)
    assert angle == pytest.approx(expected[1], abs=0.1)
    assert correlation == pytest.approx(expected[2], abs=0.002)


def test_the_defaults_are_as_good(setting):
    _, table, h, m = setting
    error, angle, correlation = quality(hmwb(h, m, spectral_response=table, ratio=4), setting[0])
    assert error < 1.05 * EXPECTED["hmwb pinv"][0]
    assert angle < EXPECTED["hmwb pinv"][1] + 0.15
    assert correlation > EXPECTED["hmwb pinv"][2] - 0.002


@pytest.mark.parametrize("inverse", ["pinv", "regression"])
def test_five_hundred_iterations_stay_finite_and_precisions_agree(setting, inverse):
    _, table, h, m = setting
    # a part of the scene, with kernels as wide as those of the whole
    part = {
        "spectral_response": table,
        "ratio": 4,
        "gamma_h": 1e-4 * (103 / 31) ** 2,
        "spectral_inverse": inverse,
        "iterations": 500,
        "denoise": False,
        "return_info": True,
    }
    exact, info = hmwb(h[:8, :10], m[:32, :40], **part)
    assert info.precision == "float64"
    assert info.range_m > 200
    single, info = hmwb(h[:8, :10].astype(np.float32), m[:32, :40].astype(np.float32), **part)
    assert info.precision in ("mixed", "float64")
    for found in (exact, single):
        assert np.isfinite(found).all()
        assert found.min() > 0
    np.testing.assert_allclose(single, exact, rtol=2e-5)
