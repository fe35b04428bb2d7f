"""CPU kernels, compiled by Numba on first use and cached on disk."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submodules=["fft", "registration"])
