"""How exact barycenters and fusion are: beside POT, without the gauge, and after 500 iterations.

Setting: ``barycenters`` are POT's two functions and ours on three random images, positive and mostly dark,
with reg = 0.004 and 10 iterations: L1 to POT in double precision on the same images. The fusion is of Pavia
where the data are, else of a scene made up (`benchmarks.fusion_scenes`), with the defaults of ``hmwb`` but
for what is named.

Gauge: factors of the scalings that are free are divided out as they grow. Beside the result is that of plain
NumPy with dense matrices, which keeps them, after 100 iterations, and for ``barycenter`` that of logarithms,
after 300.

Sums: what a plan brings to the barycenter, u K v with v = measure / K u, has in sum over the axes that it
moves mass on what the measure has, here after 150 iterations, by the kernels themselves.

Long runs: 500 iterations by ``precision="auto"``; how far the kernels have to reach for the ranges that were
measured at the end, and the largest relative difference of images in single precision to the same in double.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare._rows import Figure
from benchmarks.compare.fusion_barycenter import REG, images_of, is_installed
from benchmarks.fusion_scenes import (
    HYPERSPECTRAL,
    MULTISPECTRAL,
    WEIGHT,
    Estimates,
    Scene,
    estimates_of,
    fuse_estimates,
    fuse_plainly,
    plain_measures,
    scene_of,
)
from benchmarks.studies._tables import Options, Study, Table
from fastimg import ConvergenceWarning, transport
from fastimg.fusion import FusionInfo, hmwb, kernel_widths
from fastimg.fusion._precision import Plan, precisions_from
from fastimg.fusion._scalings import Scalings, padded_ones

NAME = "transport-accuracy"
SHAPES, QUICK_SHAPES = ((256, 256), (250, 311), (64, 501), (50, 61)), ((32, 32), (25, 31))
POT_ITERATIONS, NEAR = 10, {"float64": 1e-12, "float32": 1e-6}
FUNCTIONS = ("convolutional_barycenter2d", "convolutional_barycenter2d_debiased")
SHAPE, QUICK_SHAPE = (104, 120, 93), (24, 20, 30)
GAUGE_ITERATIONS, SUM_ITERATIONS, ITERATIONS = 100, 150, 500
INVARIANT, SUMS = 1e-10, 1e-10
# Of `barycenter`: a grid, and widths so small that the scalings' range asks for the gauge
SMALL, SIGMAS, SMALL_ITERATIONS = (24, 20, 30), [(0, 0, 0.3), (0.3, 0.3, 0)], 300
INVERSES, WEIGHTS = ("pinv", "regression"), (WEIGHT, 0.9)


def study(options: Options) -> Study:
    """Measure all of it."""
    quick = options.quick
    shape = QUICK_SHAPE if quick else SHAPE
    pot_rows, figures = _beside_pot(QUICK_SHAPES if quick else SHAPES)
    scene = scene_of(shape)
    sums, sum_figures = _sums(scene)
    figures += [_gauge_of_fusion(scene), _gauge_of_transport(), *sum_figures]
    long_rows, long_figures = _long_runs(shape, 30 if quick else ITERATIONS)
    on = f"fusion, {_named(shape)} ({scene.name})"
    tables = [
        Table(
            f"barycenters of 3 images: L1 to POT after {POT_ITERATIONS} iterations",
            ("grid", "function", *NEAR),
            pot_rows,
        ),
        Table(
            f"{on}: largest relative error of sums",
            ("precision", "iterations", "u_M K v_M, each pixel", "u_H K v_H, each band"),
            sums,
        ),
        Table(
            f"{on}: long runs",
            (
                *("images", "inverse", "λ", "precision", "log u_M", "log u_H"),
                *("reach, bands", "reach, px", "to float64"),
            ),
            long_rows,
        ),
    ]
    data = {"barycenters": pot_rows, "sums": sums, "long runs": long_rows}
    return Study(NAME, (__doc__ or "").strip(), tables, [*figures, *long_figures], data)


def _beside_pot(shapes: Any) -> tuple[list[tuple[str, ...]], list[Figure]]:
    if not is_installed("ot"):
        missing = [
            Figure("L1 to POT", dtype, "needs: pip install POT", f"{limit:g}", None)
            for dtype, limit in NEAR.items()
        ]
        return [], missing
    rows, worst = [], dict.fromkeys(NEAR, 0.0)
    for shape in shapes:
        for function in FUNCTIONS:
            for method in ("sinkhorn", "sinkhorn_log") if max(shape) < 64 else ("sinkhorn",):
                apart = {dtype: _l1(function, method, shape, dtype) for dtype in NEAR}
                worst = {dtype: max(worst[dtype], each) for dtype, each in apart.items()}
                kind = function.removeprefix("convolutional_") + ("" if method == "sinkhorn" else ", log")
                rows.append((_named(shape), kind, *(f"{each:.1e}" for each in apart.values())))
    figures = [
        Figure(
            f"L1 to POT after {POT_ITERATIONS} iterations",
            f"largest of all, {dtype}",
            f"{worst[dtype]:.1e}",
            f"{limit:g}",
            worst[dtype] <= limit,
        )
        for dtype, limit in NEAR.items()
    ]
    return rows, figures


def _l1(function: str, method: str, shape: tuple[int, int], dtype: str) -> float:
    import ot

    images = images_of(shape, dtype, 3)
    arguments: dict[str, Any] = {
        "method": method,
        "numItermax": POT_ITERATIONS,
        "stopThr": 0.0,
        "warn": False,
    }
    theirs = getattr(ot.bregman, function)(images.astype(float), REG, **arguments)
    ours = getattr(transport, function)(images, REG, **arguments)
    return float(np.abs(ours - theirs).sum())


def _gauge_of_fusion(scene: Scene) -> Figure:
    estimates = estimates_of(scene)
    ours = fuse_estimates(estimates, GAUGE_ITERATIONS, "float64")
    on = f"fusion, {_named(ours.shape)}, {GAUGE_ITERATIONS} iterations, float64"
    return _invariance(on, ours, fuse_plainly(estimates, GAUGE_ITERATIONS))


def _gauge_of_transport() -> Figure:
    measures = np.stack(plain_measures(estimates_of(scene_of(SMALL))))
    arguments: dict[str, Any] = {"weights": [WEIGHT, 1 - WEIGHT], "iterations": SMALL_ITERATIONS}
    ours, info = transport.barycenter(measures, sigma=SIGMAS, return_info=True, **arguments)
    logarithms = transport.barycenter(measures, sigma=SIGMAS, stabilize="log", **arguments)
    on = f"barycenter, {_named(SMALL)}, {SMALL_ITERATIONS} iterations, {info.domain}"
    return _invariance(on, ours, logarithms)


def _invariance(on: str, ours: NDArray[Any], without: NDArray[Any]) -> Figure:
    apart = float(np.abs(ours / without - 1).max())
    return Figure(
        "what the gauge changes, relative", on, f"{apart:.1e}", f"{INVARIANT:g}", apart <= INVARIANT
    )


def _sums(scene: Scene) -> tuple[list[tuple[str, ...]], list[Figure]]:
    """Compare the marginals of both plans; double precision has a target."""
    rows, errors = [], {}
    for name, iterations in (("float64", SUM_ITERATIONS), ("mixed", SUM_ITERATIONS), ("float32", 10)):
        errors[name] = _marginals(estimates_of(scene), name, iterations)
        rows.append((name, f"{iterations}", *(f"{each:.1e}" for each in errors[name])))
    names = "sums per pixel, of u_M K v_M to M̃", "sums per band, of u_H K v_H to H̃"
    figures = [
        Figure(
            f"{what}, relative",
            f"after {SUM_ITERATIONS} iterations, float64",
            f"{apart:.1e}",
            f"{SUMS:g}",
            apart <= SUMS,
        )
        for what, apart in zip(names, errors["float64"], strict=True)
    ]
    return rows, figures


def _marginals(estimates: Estimates, name: str, iterations: int) -> tuple[float, float]:
    """Return the largest relative error of the sums: with λ of 1 and 0, f is what one plan brings."""
    precision = next(each for each in precisions_from(name, np.dtype(np.float32)))
    shape, bands = estimates.m.shape, estimates.m.shape[2]
    m, h = padded_ones(np, shape, precision.dtype_m), padded_ones(np, shape, precision.dtype_h)
    m[..., :bands], h[..., :bands] = plain_measures(estimates)
    widths = kernel_widths(shape, *MULTISPECTRAL), kernel_widths(shape, *HYPERSPECTRAL)
    scalings = Scalings(np, m, h, bands, *widths, WEIGHT, precision)
    plan = Plan(600.0, 600.0)
    for _ in range(iterations):
        scalings.step(plan, None)
    kept = scalings.u_m.copy(), scalings.u_h.copy()
    errors = []
    for weight, measure, axes in ((1.0, m, 2), (0.0, h, (0, 1))):
        scalings.u_m[...], scalings.u_h[...], scalings.weight = *kept, weight
        fused = np.ones_like(h)
        scalings.step(plan, fused)
        sums = [each[..., :bands].sum(axis=axes, dtype=np.float64) for each in (fused, measure)]
        errors.append(float(np.abs(sums[0] / sums[1] - 1).max()))
    return errors[0], errors[1]


def _long_runs(shape: tuple[int, int, int], iterations: int) -> tuple[list[tuple[str, ...]], list[Figure]]:
    rows, figures = [], []
    for inverse in INVERSES:
        for weight in WEIGHTS:
            fused: dict[str, NDArray[Any]] = {}
            for dtype in ("float64", "float32"):
                cube, info, warned = _long_run(scene_of(shape, dtype), inverse, weight, iterations)
                fused[dtype] = cube
                apart = float(np.abs(cube / fused["float64"] - 1).max())
                rows.append((dtype, inverse, f"{weight}", *_cells(info, shape), f"{apart:.1e}"))
                is_sound = bool(np.isfinite(cube).all()) and not warned
                figures.append(
                    Figure(
                        f"{iterations} iterations",
                        f"{inverse}, λ = {weight}, {dtype} images",
                        warned or (f"all finite, from {cube.min():.3g}" if is_sound else "NaN or inf"),
                        "no NaN, no inf, no warning",
                        is_sound,
                    )
                )
    return rows, figures


def _long_run(
    scene: Scene, inverse: str, weight: float, iterations: int
) -> tuple[NDArray[Any], FusionInfo, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        cube, info = hmwb(
            scene.hyperspectral,
            scene.multispectral,
            spectral_inverse=inverse,
            weight=weight,
            iterations=iterations,
            return_info=True,
            **scene.arguments,
        )
    return cube, info, "; ".join(str(each.message) for each in caught)


def _cells(info: FusionInfo, shape: tuple[int, int, int]) -> tuple[str, ...]:
    phases = ", ".join(f"{name} from {start}" for name, start in info.phases)
    ranges = f"{info.range_m:.0f}", f"{info.range_h:.0f}"
    if info.precision == "log":
        return phases, *ranges, "all", "all"
    precision = precisions_from(info.precision, np.dtype(np.float32))[0]
    plan = Plan(info.range_m, info.range_h)
    widths_h = kernel_widths(shape, *HYPERSPECTRAL)[:2]
    bands = plan.radius_m(precision, kernel_widths(shape, *MULTISPECTRAL)[2])
    return phases, *ranges, f"{min(bands, shape[2] - 1)}", f"{max(plan.radii_h(precision, widths_h))}"


def _named(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
