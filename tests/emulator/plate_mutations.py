"""Bugs to plant in the plate's kernels, and the arguments of the launchers that run them.

The rows of ``CAUGHT`` and ``WRONG`` are as in ``pie_mutations``. An argument that is a function makes the
grids of a family of kernels: it takes that family, and what brings a host array to its device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["ARGUMENTS", "CAUGHT", "WRONG"]

CYCLE = {
    "plate_contacts": ("bring_springs<true>", "bring_springs<false>"),
    "plate_multigrid": ("factorize", "small_grids"),
    "plate_sweeps": (
        "fine_sweeps<false>",
        "fine_sweeps<true>",
        "coarse_sweeps<false>",
        "coarse_sweeps<true>",
    ),
    "plate_transfers": ("fine_restrict", "coarse_restrict"),
}

CAUGHT: dict[str, tuple[str, str, str, tuple[str, ...], str, str]] = {
    "a stencil reaches beyond the image": (
        "plate",
        "i >= 0 && i < height && j >= 0 && j < width)\n            sum += stencil",
        "i >= 0 && j >= 0 && j < width)\n            sum += stencil",
        ("gradient", "sum_parts"),
        "gradient",
        r"out-of-bounds read.*'u'.*plate\.cuh",
    ),
    "every thread leaves a part of the sum": (
        "plate",
        "if (threadIdx.x == 0)\n        partial[",
        "if (threadIdx.x >= 0)\n        partial[",
        ("product", "sum_parts"),
        "product",
        r"data race \(write after write\).*'partial'.*plate\.cu",
    ),
    "parts of two sums on top of each other": (
        "plate",
        "partial[(long long)blockIdx.x * sums + which]",
        "partial[(long long)blockIdx.x + which]",
        ("soft_contacts", "sum_parts"),
        "soft_contacts",
        r"data race \(write after write\).*'partial'.*plate\.cu",
    ),
    "missing barrier after the forces": (
        "plate",
        "force[row * width + column] : 0.0f;\n    }\n    __syncthreads();",
        "force[row * width + column] : 0.0f;\n    }\n",
        ("contact_forces", "thin_contacts"),
        "thin_contacts",
        r"(data race|read of unset shared memory).*shared array near.*plate\.cu",
    ),
    "one pixel too many": (
        "plate_steps",
        "for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS)\n"
        "        p[pixel] = double(z[pixel])",
        "for (long long pixel = part.begin + threadIdx.x; pixel <= part.end; pixel += THREADS)\n"
        "        p[pixel] = double(z[pixel])",
        ("conjugate",),
        "conjugate",
        r"(data race|out-of-bounds).*('z'|'p').*plate_steps\.cu",
    ),
    "the mirror image of a pixel too far": (
        "plate_steps",
        "end = place < 0 ? 0 : length - 1",
        "end = place < 0 ? 0 : length",
        ("upsample",),
        "upsample",
        r"out-of-bounds read.*'coarse'.*plate_steps\.cu",
    ),
    "missing barrier between two colours": (
        "plate_sweeps",
        "= update(y * WIDTH + x, i, j);\n            __syncthreads();",
        "= update(y * WIDTH + x, i, j);\n",
        ("projected_sweep<true>",),
        "projected_sweep",
        r"data race.*shared array values.*plate_sweeps\.cu",
    ),
    "a window that is not filled": (
        "plate_sweeps",
        "int place = threadIdx.x; place < SIZE",
        "int place = threadIdx.x + WIDTH; place < SIZE",
        ("projected_sweep<true>",),
        "projected_sweep",
        r"read of unset shared memory, shared array values.*plate_sweeps\.cu",
    ),
    "write past the rows of a tile": (
        "plate_sweeps",
        "if (y < tile.rows && x < tile.columns)",
        "if (y <= tile.rows && x < tile.columns)",
        CYCLE["plate_sweeps"],
        "large precondition",
        r"(data race|out-of-bounds).*'out'.*plate_sweeps\.cu",
    ),
    "one row of the operator too far": (
        "plate_sweeps",
        "planes + (row + PADDING) * stride",
        "planes + (row + PADDING + 3) * stride",
        CYCLE["plate_sweeps"],
        "large precondition",
        r"out-of-bounds read.*'planes'.*plate_sweeps\.cu",
    ),
    "missing barrier after the residuals": (
        "plate_transfers",
        "x + 2, i, j) : 0.0f;\n    }\n    __syncthreads();",
        "x + 2, i, j) : 0.0f;\n    }\n",
        CYCLE["plate_transfers"],
        "precondition",
        r"(data race|read of unset shared memory).*shared array buffers.*plate_transfers\.cu",
    ),
    "values of one row too few": (
        "plate_transfers",
        "VALUES = RESTS + 4",
        "VALUES = RESTS + 3",
        CYCLE["plate_transfers"],
        "precondition",
        r"(array index out of bounds|read of unset shared memory|data race).*plate",
    ),
    "missing barrier after the pairs of rows": (
        "plate_contacts",
        "lines[down][right + 2][k % LINE] = sum;\n    }\n    __syncthreads();",
        "lines[down][right + 2][k % LINE] = sum;\n    }\n",
        CYCLE["plate_contacts"],
        "precondition",
        r"(data race|read of unset shared memory).*shared array lines.*plate_contacts\.cu",
    ),
    "pixels of the neighbouring block": (
        "plate_contacts",
        "if (x >= tile.columns)",
        "if (x > tile.columns)",
        CYCLE["plate_contacts"],
        "precondition",
        r"(data race|out-of-bounds).*plate_contacts\.cu",
    ),
    "missing barrier between two colours of a small grid": (
        "plate_multigrid",
        "weight[INVERSE * matrix.size];\n            });\n            __syncthreads();",
        "weight[INVERSE * matrix.size];\n            });\n",
        CYCLE["plate_multigrid"],
        "precondition",
        r"data race.*shared array values.*(plate_multigrid\.cu|plate\.cuh)",
    ),
    "the coarser grid does not wait for the residuals": (
        "plate_multigrid",
        "plate[pixel] = values[place];\n        });\n        __syncthreads();",
        "plate[pixel] = values[place];\n        });\n",
        CYCLE["plate_multigrid"],
        "precondition",
        r"data race.*'rests'.*plate_multigrid\.cu",
    ),
    "a pivot changes while it is read": (
        "plate_multigrid",
        "? 1 / sqrt(pivot) : 0.0;\n        __syncwarp();",
        "? 1 / sqrt(pivot) : 0.0;\n",
        CYCLE["plate_multigrid"],
        "precondition",
        r"data race.*'factor'.*plate_multigrid\.cu",
    ),
    "every lane writes the solution": (
        "plate_multigrid",
        "if (lane == 0)\n            give(",
        "if (lane >= 0)\n            give(",
        CYCLE["plate_multigrid"],
        "precondition",
        r"data race \(write after write\).*'plates'.*plate_multigrid\.cu",
    ),
}

WRONG: dict[str, tuple[str, str, str, tuple[str, ...], str]] = {
    "a window that is too small by one cell": (
        "plate_sweeps",
        "lane < MOST_COLUMNS - change",
        "lane < MOST_COLUMNS - 1 - change",
        CYCLE["plate_sweeps"],
        "large precondition",
    ),
    "colours of the other direction": (
        "plate_sweeps",
        "const int x = BACK ? WIDTH - 1 - forward_x : forward_x;",
        "const int x = BACK ? forward_x + 9 * SWEEPS : forward_x;",
        ("projected_sweep<true>",),
        "projected_sweep",
    ),
    "springs lumped on the diagonal": (
        "plate_contacts",
        "sum *= float(scale);",
        "sum *= plane == 0 ? float(scale) : 0.0f;",
        CYCLE["plate_contacts"],
        "precondition",
    ),
    "the band is shifted": (
        "plate_multigrid",
        "? row[-lane] : 0.0;",
        "? row[1 - lane] : 0.0;",
        CYCLE["plate_multigrid"],
        "precondition",
    ),
    "the straight line beyond the last cell bends": (
        "plate_transfers",
        "return {near, 1, 1.25f, -0.25f};",
        "return {near, 1, 1.0f, 0.0f};",
        CYCLE["plate_transfers"],
        "precondition",
    ),
}

SHAPE, LARGE = (45, 101), (130, 140)
SPRING = 0.6
_IMAGE = SHAPE, np.float64
_SUMS = {count: ((count,), np.float64) for count in (1, 2, 3)}


def _cut(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A hole, and more pixels without a part than there are stencils that a byte can tell."""
    cut = rng.random(shape) < 0.01
    cut[20:24, 30:50] = True
    return cut


def _grids(cut: Any = None, state: Any = None, shape: tuple[int, int] = SHAPE) -> Callable[..., Any]:
    """Make grids with the contacts of ``state``."""

    def make(family: Any, to_device: Callable[..., Any]) -> Any:
        grids = family.grids(shape, 1.0, 0.05, False, cut, 1e-6)
        if state is not None:
            family.set_contacts(grids, to_device(state), SPRING)
        return grids

    return make


def _image(rng: np.random.Generator, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return rng.normal(size=shape)


def _bounds(rng: np.random.Generator) -> list[Any]:
    """Bounds, of which some are equal and some are none."""
    lower = _image(rng) - 0.5
    upper = np.where(rng.random(SHAPE) < 0.05, lower, lower + 1)
    is_open = rng.random(SHAPE) < 0.1
    return [np.where(is_open, -np.inf, lower), np.where(is_open, np.inf, upper)]


def _state(
    rng: np.random.Generator, shape: tuple[int, int] = SHAPE, cut: Any = None, share: float = 0.2
) -> np.ndarray:
    """States, of which a share are contacts."""
    state = rng.choice(np.array([0, 1, 2], np.uint8), shape, p=[1 - share, share / 2, share / 2])
    return state if cut is None else np.where(cut, np.uint8(3), state)


def _precondition(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[list[Any], list[Any]]:
    cut = _cut(rng, shape) if shape == SHAPE else None
    # Few contacts, so that the coarse grids matter
    state = _state(rng, shape, cut, 0.004)
    residual = np.where(state < 2, _image(rng, shape), 0)
    return [_grids(cut, state, shape), residual], [(shape, np.float32)]


def _product(rng: np.random.Generator) -> list[Any]:
    cut = _cut(rng, SHAPE)
    return [_grids(cut), _state(rng, SHAPE, cut), SPRING, _image(rng)]


# Inputs, some of which are changed in place, and shape and dtype of each output.
ARGUMENTS: dict[str, Callable[..., tuple[list[Any], list[Any]]]] = {
    "gradient": lambda rng: ([_grids(), _image(rng), _image(rng)], [_IMAGE, _SUMS[2]]),
    "soft_contacts": lambda rng: (
        [_image(rng), *_bounds(rng), _image(rng), 0.3, _state(rng)],
        [_IMAGE, _SUMS[2]],
    ),
    "active_contacts": lambda rng: (
        [np.round(_image(rng)), *map(np.round, _bounds(rng)), _image(rng), _state(rng)],
        [_IMAGE, _SUMS[3]],
    ),
    "thin_contacts": lambda rng: ([_image(rng), *_bounds(rng), 0.3, _state(rng), _image(rng)], []),
    "precondition": lambda rng: _precondition(rng, SHAPE),
    "large precondition": lambda rng: _precondition(rng, LARGE),
    "product": lambda rng: (_product(rng), [_IMAGE, _SUMS[1]]),
    "dot": lambda rng: ([_image(rng), _image(rng).astype(np.float32)], [_SUMS[1]]),
    "advance": lambda rng: ([0.3, *(_image(rng) for _ in range(4))], []),
    "conjugate": lambda rng: ([_image(rng).astype(np.float32), 0.3, _image(rng)], []),
    "slope": lambda rng: ([_image(rng), _image(rng), 0.3, *_bounds(rng)], [_SUMS[1]]),
    "step": lambda rng: ([_image(rng), _image(rng), 0.3], []),
    "clipped_step": lambda rng: ([_image(rng), _image(rng), 0.3, *_bounds(rng)], [_IMAGE]),
    "projected_sweep": lambda rng: ([_grids(_cut(rng, SHAPE)), _image(rng), *_bounds(rng), True], []),
    "pool": lambda rng: ([_bounds(rng)[0]], [((23, 51), np.float64)]),
    "upsample": lambda rng: ([_image(rng, (23, 51))], [_IMAGE]),
}
