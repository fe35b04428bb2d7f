"""The kernels: the only place where CPU and GPU differ.

``backend(xp)`` gives the package that serves arrays of the module ``xp``. Both packages hold the same
modules, functions and parameters, so an algorithm is written once, against what ``backend`` returns.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["backend"]


def backend(xp: ModuleType) -> ModuleType:
    """Return ``kernels.cpu`` for numpy, ``kernels.cuda`` for cupy."""
    return import_module(f"{__name__}.{'cpu' if xp.__name__ == 'numpy' else 'cuda'}")
