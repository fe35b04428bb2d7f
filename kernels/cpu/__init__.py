"""CPU kernels, compiled by Numba on first use and cached on disk."""

import lazy_loader as _lazy

# What an algorithm that cuts a batch into parts may hold for one: so little that it stays in a core's cache.
WORKSPACE_BYTES = 8 << 20

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submodules=["fft", "pie", "plate", "registration", "sinkhorn"]
)
