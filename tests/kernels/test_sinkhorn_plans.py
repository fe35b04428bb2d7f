"""Products with a Gaussian by coarse grids: exact entry by entry, however small the entry."""

import math

import numpy as np
import pytest

from fastimg.kernels.cpu import sinkhorn
from fastimg.kernels.cpu._sinkhorn_panels import panel_rows
from fastimg.kernels.cpu._sinkhorn_plans import axis_plan

pytestmark = pytest.mark.host_only


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 3e-6)])
@pytest.mark.parametrize(
    ("n", "sigma"), [(97, 4.1), (130, 9.7), (256, 11.4), (300, 75.0), (511, 22.8), (700, 5.0), (1024, 400.0)]
)
def test_every_entry_of_the_gaussian_is_right(n, sigma, dtype, tolerance):
    columns = np.unique(np.linspace(0, n - 1, 23).astype(int))
    points = np.zeros((len(columns), n), dtype)
    points[np.arange(len(columns)), columns] = 1
    blurred = np.empty_like(points)
    sinkhorn.convolve_axis(points[None], 1, (sigma,), math.inf, None, blurred[None])
    expected = np.exp(-0.5 * ((np.arange(n) - columns[:, None]) / sigma) ** 2)
    # Entries near the end of the format lose digits in the sums, or are 0
    held = expected > float(np.finfo(dtype).tiny) * 1e8
    # An exponent of e is rounded to e ulp
    exponents = 1 - np.log(expected[held])
    error = abs(blurred[held] / expected[held] - 1)
    assert (error / np.maximum(exponents / 40, 1)).max() < tolerance
    assert blurred[~held].max(initial=0) <= np.finfo(dtype).tiny * 1e8 * (1 + tolerance)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [96, 200, 256, 513, 1024, 4096])
def test_a_wide_gaussian_costs_no_more_products_than_a_narrow_one(n, dtype):
    precision = 8 * np.dtype(dtype).itemsize
    rows = panel_rows(precision)

    def products(sigma):
        plan = axis_plan(n, sigma, math.inf, precision, rows)
        return rows * plan.blocks[:, 2].sum() / n

    assert products(n / 20) < min(n + 8, 160)


def test_a_cut_gaussian_is_cut_where_it_says():
    point = np.zeros((1, 1, 201))
    point[..., 100] = 1
    blurred = np.empty_like(point)
    sinkhorn.convolve_axis(point, 1, (10.0,), 3.0, None, blurred)
    assert np.flatnonzero(blurred).tolist() == list(range(70, 131))
