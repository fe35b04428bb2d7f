"""Measures for the tests of transport, and dense versions of what is computed."""

import numpy as np


def normalised(array, axes):
    """Divide by the sums over the last axes."""
    return array / array.sum(axis=tuple(range(-axes, 0)), keepdims=True)


def rough(count, *grid, seed=0, power=3):
    """Measures of noise."""
    return normalised(np.random.default_rng(seed).random((count, *grid)) ** power, len(grid))


def spot(grid, centre, width):
    """A Gaussian of mass 1, ``width`` a number or one for each axis."""
    widths = np.broadcast_to(width, len(grid))
    result = np.ones(grid)
    for axis, (size, at, sigma) in enumerate(zip(grid, centre, widths, strict=True)):
        line = np.exp(-((np.arange(size) - at) ** 2) / (2 * sigma**2))
        result *= line.reshape([-1 if other == axis else 1 for other in range(len(grid))])
    return result / result.sum()


def costs(grid, sigma):
    """Σ d² / 2σ² between all pairs of points, (pixels, pixels); inf where sigma is 0 and d is not."""
    result = 0.0
    for places, width in zip(np.indices(grid), sigma, strict=True):
        distances = np.subtract.outer(places.ravel(), places.ravel())
        with np.errstate(divide="ignore", invalid="ignore"):
            result = result + np.where(distances == 0, 0.0, distances**2 / (2 * width**2))
    return result


def log_sum(terms):
    """Logarithm of the sum of exponentials over the last axis."""
    top = terms.max(-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(terms - top).sum(-1)) + top[..., 0]


def dense_barycenter(measures, sigmas, weights, iterations):
    """Algorithm 1 of Mifdal et al. with dense costs, on logarithms."""
    grid = measures.shape[1:]
    kernels = [-costs(grid, sigma) for sigma in sigmas]
    with np.errstate(divide="ignore"):
        logs = np.log(measures.reshape(len(measures), -1))
    log_u = np.zeros_like(logs)
    for _ in range(iterations):
        below = [log_sum(kernel + u) for kernel, u in zip(kernels, log_u, strict=True)]
        above = np.array([log_sum(k + p - b) for k, p, b in zip(kernels, logs, below, strict=True)])
        mean = np.einsum("k,kp->p", weights, log_u + above)
        log_u = mean - above
    return np.exp(mean).reshape(grid)


def dense_plan(a, b, sigma, iterations=20000, tol=1e-14):
    """Logarithms (log u, log v) and the plan of the transport between two measures."""
    kernel = -costs(a.shape, sigma)
    with np.errstate(divide="ignore"):
        log_a, log_b = np.log(a.ravel()), np.log(b.ravel())
    log_v = np.zeros(a.size)
    for _ in range(iterations):
        log_u = log_a - log_sum(kernel + log_v)
        log_v = log_b - log_sum(kernel + log_u)
        plan = np.exp(log_u[:, None] + kernel + log_v)
        if np.abs(plan.sum(1) - a.ravel()).sum() <= tol:
            break
    return log_u, log_v, plan
