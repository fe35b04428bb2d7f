"""What every asv benchmark shares: the choice of the array module, a warm-up, and waiting for the device."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, ClassVar

__all__ = ["Benchmark"]


class Benchmark:
    """Base of the benchmarks, parametrised by the array module.

    A subclass has ``prepare(*params)``, which makes its arrays with ``self.xp``, and ``run(*params)``, which
    is timed. Times are wall times: a device works while the process waits.
    """

    params: ClassVar[list[Any]] = ["numpy", "cupy"]
    param_names: ClassVar[list[str]] = ["xp"]
    timeout = 300

    def setup(self, xp: str, *params: Any) -> None:
        """Make the arrays, and run once so that compiling, planning and allocating are not timed."""
        if importlib.util.find_spec(xp) is None:
            raise NotImplementedError(f"{xp} is not installed")  # asv's way to skip a parameter
        self.xp: Any = importlib.import_module(xp)
        self.prepare(*params)
        self.run(*params)
        self.synchronize()

    def prepare(self, *params: Any) -> None:
        """Make what ``run`` works on."""
        raise NotImplementedError

    def run(self, *params: Any) -> Any:
        """Do once what is measured."""
        raise NotImplementedError

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        if self.xp.__name__ == "cupy":
            self.xp.cuda.get_current_stream().synchronize()

    def to_host(self, array: Any) -> Any:
        """Return an array of ``self.xp`` as a NumPy array."""
        return self.xp.asnumpy(array) if self.xp.__name__ == "cupy" else array
