"""Which model for what: photographs, noise and dither, where the plate wins and where it loses.

Setting: scikit-image's camera and astronaut and scikit-learn's china in gray, 8 bits cut to 3, 4 and 5, each
restored in every way and compared with the 8-bit original; what 8 bits of the codes do not allow is clipped.
Blur and total variation have the parameter that the original chooses. The mask is ``textured_regions`` with
its defaults; masked pixels get the middle of their bin. Noisy and dithered are 8 bits of the paper's Gaussian
at 256², cut to 4 after normal noise of 0.1 or 0.5 levels RMS, or uniform dither one level wide, was added;
there nothing is clipped, since the bins are wrong. All with ``tol=1e-7``.

Convergence is that of ``dequantize`` with ``tol=1e-14`` and ``max_cycles=100`` on the photographs: KKT is the
RMS of the projected gradient in levels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare._rows import Figure
from benchmarks.quantization import (
    Quality,
    allowed,
    bins_of_8_bits,
    blurred,
    codes_of,
    middles,
    photographs,
    quality,
    reference,
    total_variation,
    zero_padded,
)
from benchmarks.studies._tables import Options, Study, Table
from fastimg import ConvergenceWarning
from fastimg.dequantization import dequantize, distance_interpolation, textured_regions

Image = NDArray[np.float64]

BITS = (3, 4, 5)
TENSION_LENGTH = 4.4
# Where the oracle looks on photographs
SIGMAS, WEIGHTS = np.geomspace(0.3, 3, 12), np.geomspace(1, 60, 8)
PLATE, DISTANCE = "plate", "distance interpolation"
BLEND = f"blend, {TENSION_LENGTH} px"
CYCLES, RESIDUAL = 100, 1e-6
TOLERANCE = 1e-7
NOISE_BITS, NOISE_SIZE = 4, 256
NOISES = {
    "clean": lambda rng, shape: np.zeros(shape),
    "noise, 0.1 levels": lambda rng, shape: 0.1 * rng.standard_normal(shape),
    "noise, 0.5 levels": lambda rng, shape: 0.5 * rng.standard_normal(shape),
    "uniform dither": lambda rng, shape: rng.random(shape) - 0.5,
}
RELAXED = (0.0, 0.1, 0.25, 0.5, 1.0)


def study(options: Options) -> Study:
    """Measure every way on every photograph, convergence, and noise."""
    images = photographs()
    bits = BITS
    if options.quick:
        images, bits = {name: image[200:296, 200:296] for name, image in list(images.items())[:1]}, BITS[:1]
    cases = {
        f"{name} {count} bit": (image, codes_of(image, count), count)
        for name, image in images.items()
        for count in bits
    }
    found = {on: {way: quality(case[0], made) for way, made in _ways(*case)} for on, case in cases.items()}
    convergence = {on: _convergence(codes, count) for on, (_, codes, count) in cases.items()}
    noisy = {kind: _noisy(kind, 64 if options.quick else NOISE_SIZE) for kind in NOISES}
    tables = [
        Table("PSNR/SSIM of photographs", ("way", *found), _columns(found)),
        Table("who wins: PSNR of the plate less that of another way, dB", ("way", *found), _lead(found)),
        Table(
            f"convergence within {CYCLES} cycles",
            ("photograph", "cycles", "KKT / levels", "converged"),
            [
                (on, f"{c}", f"{kkt:.1e}", "yes" if ended else "no")
                for on, (c, kkt, ended) in convergence.items()
            ],
        ),
        Table(f"PSNR/SSIM of a Gaussian, {NOISE_BITS} bit", ("way", *noisy), _columns(noisy)),
    ]
    data = {
        "photographs": {on: {way: asdict(q) for way, q in ways.items()} for on, ways in found.items()},
        "noisy": {kind: {way: asdict(q) for way, q in ways.items()} for kind, ways in noisy.items()},
        "convergence": convergence,
    }
    figures = [_convergence_figure(on, *ended) for on, ended in convergence.items()]
    return Study("dequantization-photographs", (__doc__ or "").strip(), tables, figures, data)


def _ways(image: Image, codes: Any, bits: int) -> list[tuple[str, Image]]:
    """Return what each way finds, in 8-bit units."""
    middle = middles(codes, bits)
    textured = textured_regions(codes)
    masked = np.where(textured, middle, _plate(codes, bits, mask=textured))
    found: dict[str, Any] = {
        "zero pad": zero_padded(codes, bits),
        "middle of the bin": middle,
        "best blur": blurred(image, codes, bits, SIGMAS)[0],
        "best total variation": total_variation(image, codes, bits, WEIGHTS)[0],
        DISTANCE: distance_interpolation(codes, levels=bins_of_8_bits(bits), dtype=np.float64),
        "membrane": _plate(codes, bits, model="membrane"),
        BLEND: _plate(codes, bits, model="blend", tension_length=TENSION_LENGTH),
        PLATE: _plate(codes, bits),
        "plate, textured masked": masked,
    }
    return [(way, allowed(values, codes, bits)) for way, values in found.items()]


def _plate(codes: Any, bits: int, **arguments: Any) -> Image:
    with warnings.catch_warnings():
        # whether the plate converges has a table of its own
        warnings.simplefilter("ignore", ConvergenceWarning)
        # smooth parts hardly count in the energy of a photograph, and converge last
        return dequantize(codes, levels=bins_of_8_bits(bits), dtype=np.float64, tol=TOLERANCE, **arguments)


def _convergence(codes: Any, bits: int) -> tuple[int, float, bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        info = dequantize(codes, bits=bits, tol=1e-14, max_cycles=CYCLES, return_info=True)[1]
    return int(info.cycles), float(info.kkt), bool(info.converged)


def _convergence_figure(on: str, cycles: int, kkt: float, converged: bool) -> Figure:
    said = "converged" if converged else "said that it did not"
    return Figure(
        "dense contacts: KKT in levels",
        on,
        f"{kkt:.1e} in {cycles} cycles, {said}",
        f"{RESIDUAL:g} within {CYCLES} cycles, or to say so",
        kkt <= RESIDUAL or not converged,
    )


def _noisy(kind: str, size: int) -> dict[str, Quality]:
    """Return the quality of each way on a Gaussian that was noisy before it was quantized."""
    step = 2 ** (8 - NOISE_BITS)
    # within 8 bits after noise, too
    original = 16 + 0.85 * reference("gaussian", size)
    noise = NOISES[kind](np.random.default_rng(0), original.shape)
    codes = codes_of(np.clip(original + step * noise, 0, 255), NOISE_BITS)
    ways: dict[str, Callable[[], Any]] = {
        "middle of the bin": lambda: middles(codes, NOISE_BITS),
        "best blur": lambda: blurred(original, codes, NOISE_BITS, clip=False)[0],
        "best total variation": lambda: total_variation(original, codes, NOISE_BITS, clip=False)[0],
        DISTANCE: lambda: distance_interpolation(codes, levels=bins_of_8_bits(NOISE_BITS), dtype=np.float64),
        BLEND: lambda: _plate(codes, NOISE_BITS, model="blend", tension_length=TENSION_LENGTH),
        "plate, 3 anomaly passes": lambda: _plate(codes, NOISE_BITS, anomaly_passes=3),
    }
    found = {way: quality(original, make()) for way, make in ways.items()}
    for relax in RELAXED:
        way = f"plate, relax {relax:g}" if relax else PLATE
        found[way] = quality(original, _plate(codes, NOISE_BITS, relax=relax))
    return found


def _columns(found: dict[str, dict[str, Quality]]) -> list[tuple[str, ...]]:
    ways = next(iter(found.values()))
    return [(way, *(f"{q[way].psnr:.2f}/{q[way].ssim:.3f}" for q in found.values())) for way in ways]


def _lead(found: dict[str, dict[str, Quality]]) -> list[tuple[str, ...]]:
    others = [way for way in next(iter(found.values())) if way != PLATE]
    return [(way, *(f"{q[PLATE].psnr - q[way].psnr:+.2f}" for q in found.values())) for way in others]
