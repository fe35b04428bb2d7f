"""CUDA kernels: one ``.cu`` source and one module of launchers a family, compiled by NVRTC on first use."""

import lazy_loader as _lazy

# What an algorithm that cuts a batch into parts may hold for one: enough to fill a GPU, within its L2 cache.
WORKSPACE_BYTES = 32 << 20

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submodules=["fft", "pie", "plate", "registration", "sinkhorn"]
)
