"""CUDA kernels: one ``.cu`` source and one module of launchers a family, compiled by NVRTC on first use."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submodules=["fft", "registration"])
