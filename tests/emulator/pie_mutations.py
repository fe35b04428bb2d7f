"""Bugs to plant in the ptychography kernels, and the arguments of the launchers that run them.

A row of ``CAUGHT`` is: family, piece of its source, what replaces it, kernels to compile, who runs them, and
what the emulator says; a row of ``WRONG`` has no message, as only the comparison with the reference sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["ARGUMENTS", "CAUGHT", "WRONG"]

CAUGHT: dict[str, tuple[str, str, str, tuple[str, ...], str, str]] = {
    "a maximum without an atomic function": (
        "pie",
        "atomicMax(reinterpret_cast<Bits*>(maximum), bits);",
        "*reinterpret_cast<Bits*>(maximum) = bits;",
        ("exit_waves<float, 2>",),
        "exit_waves",
        r"data race \(write after write\).*'object_peak'.*reductions\.cuh",
    ),
    "missing barrier before the maxima of the warps are read": (
        "pie",
        "        largest[threadIdx.x / WARP] = bits;\n    __syncthreads();",
        "        largest[threadIdx.x / WARP] = bits;\n",
        ("probe_power<float, 2>",),
        "probe_power",
        r"(data race|read of unset shared memory).*shared array largest.*reductions\.cuh",
    ),
    "write past the part of a block": (
        "pie",
        "if (first + i * THREADS < part.end)\n                out[first + i * THREADS] = sum[i];",
        "if (first + i * THREADS <= part.end)\n                out[first + i * THREADS] = sum[i];",
        ("object_numerator<float, 2>",),
        "object_numerator",
        r"(data race|out-of-bounds write).*'numerator'.*pie\.cu",
    ),
    "one mode too many": (
        "pie",
        "own + KEPT * packs, modes - KEPT, packs",
        "own + KEPT * packs, modes - KEPT + 1, packs",
        ("modulus<float, 2>", "sum_error_parts"),
        "modulus",
        r"(data race|out-of-bounds read).*'waves'.*pie\.cu",
    ),
    "every lane writes the error": (
        "pie",
        "if (lane == 0)\n        error[position] = sum;",
        "if (lane >= 0)\n        error[position] = sum;",
        ("modulus<float, 2>", "sum_error_parts"),
        "modulus",
        r"data race \(write after write\).*'error'.*pie\.cu",
    ),
    "one row of the object too far": (
        "pie",
        "origin + (long long)row * width",
        "origin + (long long)(row + 1) * width",
        ("probe_differences<float, 2>",),
        "probe_differences",
        r"out-of-bounds read.*'object'.*pie\.cu",
    ),
    "packs at an odd place": (
        "pie",
        "const Pack<T, V>* factors = packs_of<V>(transfer);",
        "const Pack<T, V>* factors = packs_of<V>(transfer + 1);",
        ("apply_transfer<float, 2>",),
        "apply_transfer",
        r"(misaligned access|out-of-bounds read).*pie\.cu",
    ),
    "one row of phases too few": (
        "pie_probe",
        "if (threadIdx.x < tile.rows)\n        row_phases",
        "if (threadIdx.x < tile.rows - 1)\n        row_phases",
        ("shift_modes<float>",),
        "shift_modes",
        r"read of unset shared memory, shared array row_phases.*pie_probe\.cu",
    ),
    "missing barrier after the sums of the groups": (
        "pie_probe",
        "of_group[threadIdx.x / WARP][lane] = value;\n    __syncthreads();",
        "of_group[threadIdx.x / WARP][lane] = value;\n",
        ("sum_probe_changes<float, 2>",),
        "sum_probe_changes",
        r"(data race|read of unset shared memory).*shared array of_group.*pie_probe\.cu",
    ),
    "one position of the batch too far": (
        "pie_probe",
        "spectrum[b * modes * pixels + corner + row * size]",
        "spectrum[(b + 1) * modes * pixels + corner + row * size]",
        ("unshift_modes<float>",),
        "unshift_modes",
        r"out-of-bounds read.*'spectrum'.*pie_probe\.cu",
    ),
    "every warp writes": (
        "pie_probe",
        "if (threadIdx.x < WARP && inside)\n        weight[pixel]",
        "if (inside)\n        weight[pixel]",
        ("sum_probe_weights<float>",),
        "sum_probe_weights",
        r"data race \(write after write\).*'weight'.*pie_probe\.cu",
    ),
    "+= for an atomic addition": (
        "pie_object",
        "atomicAdd(place + 2, lit);",
        "place[2] += lit;",
        ("scatter_boxes<float>", "apply_update<float>"),
        "atomic object_update",
        r"data race.*'sums'.*pie_object\.cu",
    ),
    "missing barrier after the list of boxes": (
        "pie_object",
        "listed.column[place] = int(column);\n    }\n    __syncthreads();",
        "listed.column[place] = int(column);\n    }\n",
        ("object_update<float>",),
        "object_update",
        r"(data race|read of unset shared memory).*shared array listed.*pie_object\.cu",
    ),
    "missing barrier before a second list": (
        "pie_object",
        "__syncthreads();   // and an earlier list has been read",
        "",
        ("dose<float>",),
        "dose",
        r"(data race|read of unset shared memory).*shared array listed.*boxes\.cuh",
    ),
    "one row of a box too many": (
        "pie_object",
        "const bool inside = row >= 0 && row < size;",
        "const bool inside = row >= 0 && row <= size;",
        ("object_update<float>",),
        "object_update",
        r"out-of-bounds read.*('numerator'|'power').*pie_object\.cu",
    ),
    "write past the rows of a tile": (
        "pie_object",
        "if (row < tile.rows)\n            out[",
        "if (row <= tile.rows)\n            out[",
        ("dose<float>",),
        "dose",
        r"(data race|out-of-bounds).*'out'.*pie_object\.cu",
    ),
    "sums of parts on top of each other": (
        "pie_positions",
        "partial[(long long)blockIdx.x * N + n] = sum;",
        "partial[(long long)blockIdx.x * (N - 1) + n] = sum;",
        ("signal_sums<float>", "signal_boxes<float>"),
        "signal_boxes",
        r"data race \(write after write\).*'partial'.*pie_positions\.cu",
    ),
    "a neighbour beyond the border": (
        "pie_positions",
        "here[has_before ? -stride : 0]",
        "here[has_after ? -stride : 0]",
        ("gradient_sums<float>", "gradient_shift<float>"),
        "gradient_shift",
        r"out-of-bounds read.*'object'.*pie_positions\.cu",
    ),
    "one position too many": (
        "pie_positions",
        "if (b >= positions)\n        return;\n    const long long j",
        "if (b > positions)\n        return;\n    const long long j",
        ("move_positions<float>",),
        "move_positions",
        r"out-of-bounds read.*'selection'.*pie_positions\.cu",
    ),
}

WRONG: dict[str, tuple[str, str, str, tuple[str, ...], str]] = {
    "what was not measured leaks": (
        "pie",
        "counts[i][v] = measured ? frame_intensity[pixel] : T(-1);",
        "counts[i][v] = inside ? frame_intensity[pixel] * T(measured) : T(-1);",
        ("modulus<float, 2>", "sum_error_parts"),
        "modulus",
    ),
    "the ramp of the other direction": (
        "pie_probe",
        "double(size), fraction[2 * b + 1])",
        "double(size), -fraction[2 * b + 1])",
        ("unshift_modes<float>",),
        "unshift_modes",
    ),
    "every box has the power of the first": (
        "pie_object",
        "own = powers == 1 ? 0 : b;",
        "own = powers == 1 ? 0 : b * 0;",
        ("object_update<float>",),
        "object_update",
    ),
    "one group of the batch left out": (
        "pie_probe",
        "for (int group = 1; group < GROUPS; ++group)",
        "for (int group = 1; group < GROUPS - 1; ++group)",
        ("sum_probe_weights<float>",),
        "sum_probe_weights",
    ),
}

BATCH, FRAMES, MODES, SIZE, HEIGHT, WIDTH = 9, 11, 5, 40, 45, 50


def _real(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.random(shape).astype(np.float32)


def _complex(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def _corner(rng: np.random.Generator, batch: int = BATCH, size: int = SIZE) -> np.ndarray:
    """Corners, the first and the last those of the object."""
    limits = HEIGHT - size, WIDTH - size
    corner = np.stack([rng.integers(0, limit + 1, batch) for limit in limits], axis=1)
    corner[0], corner[-1] = 0, limits
    return corner


def _object(rng: np.random.Generator) -> np.ndarray:
    return _complex(rng, HEIGHT, WIDTH)


def _modulus(rng: np.random.Generator) -> list[Any]:
    mask = (rng.random((FRAMES, SIZE, SIZE)) < 0.9).astype(np.uint8)
    intensity = np.where(mask, _real(rng, FRAMES, SIZE, SIZE), np.float32(np.nan))
    return [_complex(rng, BATCH, MODES, SIZE, SIZE), intensity, rng.permutation(FRAMES)[:BATCH], mask]


def _object_update(rng: np.random.Generator, atomic: bool) -> list[Any]:
    power = _real(rng, BATCH, SIZE, SIZE)
    numerator, peak = _complex(rng, BATCH, SIZE, SIZE), power.max(axis=(1, 2))
    return [_object(rng), _corner(rng), numerator, power, peak, 0.75, 0.3, atomic]


_FRAMES = (BATCH, SIZE, SIZE), np.complex64
_WAVES = (BATCH, MODES, SIZE, SIZE), np.complex64
_MODES = (MODES, SIZE, SIZE), np.complex64
# Inputs, some of which are changed in place, and shape and dtype of each output.
ARGUMENTS: dict[str, Callable[..., tuple[list[Any], list[Any]]]] = {
    "probe_power": lambda rng: (
        [_complex(rng, 2, MODES, SIZE, SIZE)],
        [((2, SIZE, SIZE), np.float32), ((2,), np.float32)],
    ),
    "exit_waves": lambda rng: (
        [_object(rng), _complex(rng, 1, MODES, SIZE, SIZE), _corner(rng)],
        [_WAVES, ((BATCH,), np.float32)],
    ),
    "apply_transfer": lambda rng: ([_complex(rng, *_WAVES[0]), _complex(rng, 1, SIZE, SIZE), True], []),
    "modulus": lambda rng: (_modulus(rng), [((0, SIZE, SIZE), np.float32), ((BATCH,), np.float64)]),
    "object_numerator": lambda rng: ([_complex(rng, *_WAVES[0]), _complex(rng, *_WAVES[0])], [_FRAMES]),
    "probe_differences": lambda rng: (
        [_complex(rng, *_WAVES[0]), _object(rng), _complex(rng, 1, *_MODES[0]), _corner(rng)],
        [],
    ),
    "shift_modes": lambda rng: ([_complex(rng, *_MODES[0]), rng.random((BATCH, 2)) - 0.5], [_WAVES]),
    "unshift_modes": lambda rng: ([_complex(rng, *_WAVES[0]), rng.random((BATCH, 2)) - 0.5], [_MODES]),
    "sum_probe_changes": lambda rng: (
        [_complex(rng, *_WAVES[0]), _object(rng), _complex(rng, 1, *_MODES[0]), _corner(rng)],
        [_MODES],
    ),
    "sum_probe_weights": lambda rng: (
        [_object(rng), _corner(rng), _real(rng, BATCH), 0.4],
        [((SIZE, SIZE), np.float32)],
    ),
    "object_update": lambda rng: (_object_update(rng, False), []),
    "atomic object_update": lambda rng: (_object_update(rng, True), []),
    "dose": lambda rng: ([_corner(rng, 600, 3), _real(rng, 600, 3, 3), rng.random((HEIGHT, WIDTH))], []),
    "signal_boxes": lambda rng: (
        [*_object_update(rng, False)[:7]],
        [_FRAMES, _FRAMES],
    ),
    "gradient_shift": lambda rng: (_object_update(rng, False)[:4], [((BATCH, 2), np.float32)]),
    "move_positions": lambda rng: (
        [
            *(rng.random((FRAMES, 2)), rng.permutation(FRAMES)[:BATCH], _real(rng, BATCH, 2)),
            *(np.array([0.1, 0.2]), True, 0.3, rng.random((FRAMES, 2)), rng.random((FRAMES, 2))),
            *(np.arange(FRAMES), np.zeros((FRAMES, 2))),
        ],
        [],
    ),
}
