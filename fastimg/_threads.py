"""How many CPU threads the kernels and the FFTs use."""

from fastimg.kernels.cpu._jit import get_num_threads, set_num_threads

__all__ = ["get_num_threads", "set_num_threads"]
