"""The vectors that kernels are built from: lanes, masked tails, transposes, and narrower CPUs."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from numba import types

from fastimg.kernels.cpu._fft import LARGEST, plan
from fastimg.kernels.cpu._jit import array_type, jit
from fastimg.kernels.cpu._simd import lane_count, simd_kernel

pytestmark = pytest.mark.host_only

NARROW = """
import numpy as np, scipy.fft
from fastimg.kernels.cpu import fft, registration
from fastimg.kernels.cpu._simd import lane_count
assert lane_count(32) == 8 and lane_count(64) == 4
rng = np.random.default_rng(0)
for real, kind, tolerance in ((np.float32, np.complex64, 1e-5), (np.float64, np.complex128, 1e-13)):
    pair = rng.random((2, 24, 40)).astype(real)
    for images in (pair, (pair + 1j * pair[:, ::-1]).astype(kind)):
        product, peak, energy = np.empty((1, 24, 40), kind), np.empty(1, np.int64), np.empty((1, 2))
        moving = np.roll(images[:1], (3, -5), (1, 2))
        registration.correlate(images[:1], moving, np.ones((24, 40), real), True, product, peak, energy)
        expected = scipy.fft.fft2(images[0]) * scipy.fft.fft2(moving[0]).conj()
        assert np.abs(product[0] - expected / np.abs(expected)).max() < 100 * tolerance
        assert peak[0] == 21 * 40 + 5
        shift, value = np.empty((1, 2), real), np.empty(1, complex)
        registration.refine_peak(product, peak, 100, shift, value)
        assert abs(shift[0] - (-3, 5)).max() < 1e-6
        spectrum = scipy.fft.fft2(images.astype(kind))
        assert np.abs(fft.fft2(images.astype(kind)) - spectrum).max() < tolerance * np.abs(spectrum).max()
from fastimg.kernels.cpu import sinkhorn
place = np.arange(150)
gaussian = np.exp(-0.5 * ((place[:, None] - place) / 11) ** 2)
lines = rng.random((1, 5, 150)) + 0.1
blurred = np.empty_like(lines)
sinkhorn.convolve_axis(lines, 1, (11.0,), np.inf, None, blurred)
np.testing.assert_allclose(blurred, lines @ gaussian, rtol=1e-13)
cubes = rng.random((3, 5, 9, 32)).astype(np.float32) + 0.5
u_m, u_h, fused = cubes[0].copy(), cubes[1].copy(), np.empty_like(cubes[0])
bands = gaussian[:32:, :32]
sinkhorn.fuse_spectra(
    u_m, cubes[2], 11.0, 31, u_h, cubes[2], (0.0, 0.0), (0, 0), 0.3, np.ones(32, np.float32), 32, fused,
    np.empty((2, 32), np.float32), np.empty(1),
)
k_m = (cubes[2] / (cubes[0] @ bands)) @ bands
np.testing.assert_allclose(fused, (cubes[0] * k_m) ** 0.3 * (cubes[1] * cubes[2]) ** 0.7, rtol=1e-5)
"""


@simd_kernel(0)
def add_heads(simd, first, second, count, target):
    """Sum of the first ``count`` complex numbers at two addresses, zeros after them."""
    total = simd.cadd(simd.load_interleaved_head(first, count), simd.load_interleaved_head(second, count))
    simd.store_interleaved(total, target)


@simd_kernel(1)
def transpose_square(simd, rounds, source, target):
    """Transpose a block of vectors ``rounds`` times."""
    rows = [simd.load(source, i * simd.bytes) for i in range(simd.lanes)]
    for _ in range(rounds):
        rows = simd.transpose(rows)
    for i, row in enumerate(rows):
        simd.store(row, target, i * simd.bytes)


@simd_kernel(0)
def sum_lanes(simd, source, target):
    """Sum of one vector."""
    simd.builder.store(simd.total(simd.load(source)), simd.pointer(target, simd.scalar))


@pytest.mark.parametrize("precision", [32, 64])
def test_loading_the_head_of_a_vector_reads_nothing_after_it(precision):
    kind = np.complex64 if precision == 32 else np.complex128
    lanes = lane_count(precision)

    @jit(types.void(array_type(kind, 1), types.int64, array_type(kind, 1, readonly=False)))
    def run(values, count, out):
        add_heads(precision, values.ctypes.data, values.ctypes.data, count, out.ctypes.data)

    for count in range(lanes + 1):
        values = np.full(lanes, np.nan, kind)
        values[:count] = np.arange(count) + 1j
        out = np.empty(lanes, kind)
        run(values, count, out)
        np.testing.assert_array_equal(out[:count], 2 * values[:count])
        np.testing.assert_array_equal(out[count:], 0)


@pytest.mark.parametrize("precision", [32, 64])
def test_a_block_is_transposed_and_twice_is_the_identity(precision):
    kind = np.dtype(f"f{precision // 8}")
    lanes = lane_count(precision)
    block = np.arange(lanes * lanes, dtype=kind).reshape(lanes, lanes)

    @jit(types.void(array_type(kind, 2), array_type(kind, 2, readonly=False)))
    def once(source, target):
        transpose_square(precision, 1, source.ctypes.data, target.ctypes.data)

    @jit(types.void(array_type(kind, 2), array_type(kind, 2, readonly=False)))
    def twice(source, target):
        transpose_square(precision, 2, source.ctypes.data, target.ctypes.data)

    out = np.empty_like(block)
    once(block, out)
    np.testing.assert_array_equal(out, block.T)
    twice(block, out)
    np.testing.assert_array_equal(out, block)


@pytest.mark.parametrize("precision", [32, 64])
def test_lanes_are_summed(precision):
    kind = np.dtype(f"f{precision // 8}")
    values = 2.0 ** np.arange(lane_count(precision), dtype=kind)

    @jit(types.void(array_type(kind, 1), array_type(kind, 1, readonly=False)))
    def run(source, target):
        sum_lanes(precision, source.ctypes.data, target.ctypes.data)

    out = np.empty(1, kind)
    run(values.astype(kind), out)
    assert out[0] == 2.0 ** len(values) - 1


@simd_kernel(0)
def invert_roots(simd, source, target):
    """Reciprocal square roots of one vector."""
    simd.store(simd.reciprocal_sqrt(simd.load(source)), target)


@pytest.mark.parametrize("precision", [32, 64])
def test_reciprocal_square_roots_are_right_to_three_ulp_over_the_whole_range(precision):
    kind = np.dtype(f"f{precision // 8}")
    lanes = lane_count(precision)

    @jit(types.void(array_type(kind, 2), array_type(kind, 2, readonly=False)))
    def run(source, target):
        for i in range(len(source)):
            invert_roots(precision, source[i].ctypes.data, target[i].ctypes.data)

    limits = np.finfo(kind)
    exponents = np.linspace(np.log2(limits.tiny), np.log2(limits.max) - 1e-3, 4096 * lanes)
    values = np.exp2(exponents).astype(kind).reshape(-1, lanes)
    out = np.empty_like(values)
    run(values, out)
    error = out * np.sqrt(values.astype(np.longdouble)) - 1
    assert np.abs(error).max() < 3 * limits.eps
    assert np.abs(error.mean()) < limits.eps


@pytest.mark.parametrize("precision", [32, 64])
def test_plans_multiply_to_their_length(precision):
    planned = {n: plan(n, precision) for n in range(1, LARGEST + 1)}
    assert {64, 96, 128, 160, 192, 256, 320, 512, 1024} <= {n for n, radices in planned.items() if radices}
    for n, radices in planned.items():
        assert radices is None or (np.prod(radices) == n and n % lane_count(precision) == 0)
    assert plan(2 * LARGEST, precision) is None


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the narrow CPU is an x86")
def test_kernels_are_right_on_a_cpu_without_avx512(tmp_path):
    environment = {**os.environ, "NUMBA_CPU_NAME": "haswell", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", NARROW], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
