"""Hand-written kernels for computational imaging, behind a NumPy-compatible API.

NumPy arrays in, NumPy arrays out on compiled CPU kernels; CuPy arrays in, CuPy arrays out on CUDA
kernels. Importing ``fastimg`` imports neither numba, scipy, h5py nor cupy: each is loaded when the
first function that needs it is called.
"""

from pathlib import Path as _Path

import lazy_loader as _lazy

__version__ = "0.1.0"

# In a checkout, kernels/ stands beside fastimg/; once installed, it is inside it.
if not (_Path(__file__).parent / "kernels").is_dir():
    __path__.append(str(_Path(__file__).parent.parent))

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=[
        "dequantization",
        "fusion",
        "io",
        "kernels",
        "metrics",
        "ptychography",
        "registration",
        "transport",
    ],
    submod_attrs={
        "_warnings": ["ConvergenceWarning"],
        "_threads": ["get_num_threads", "set_num_threads"],
    },
)
