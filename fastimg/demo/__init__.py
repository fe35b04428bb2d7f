"""The main job: every system on real images, and one report on it.

``CHAPTERS`` maps a system to the module that writes its chapter. Such a module has ``STEPS``, the names of
its steps for the progress bar, and ``write(advance)``, which does the work, calls ``advance()`` after each
step and returns a `fastimg.demo._chapter.Chapter`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any

__all__ = ["CHAPTERS", "run"]

CHAPTERS = {
    "registration": "fastimg.demo.registration",
    "ptychography": "fastimg.demo.ptychography",
    "dequantization": "fastimg.demo.dequantization",
    "fusion": "fastimg.demo.fusion",
}

NEEDED = {"skimage": "scikit-image", "matplotlib": "matplotlib", "jinja2": "jinja2"}


def run(
    systems: Sequence[str],
    folder: str | os.PathLike[str],
    *,
    progress: Callable[..., Any] | None = None,
) -> Path:
    """Run systems on real images and write ``report.html``, ``report.json`` and ``pictures/``.

    Parameters
    ----------
    systems : sequence of str
        Keys of ``CHAPTERS``.
    folder : path-like
        Where the report goes; it is made if it is not there. Files of an earlier report are replaced.
    progress : callable, optional
        ``tqdm.tqdm`` or something called alike, for a progress bar over all steps.

    Returns
    -------
    pathlib.Path
        The written ``report.html``.

    Raises
    ------
    ImportError
        If the packages of the extra ``demo`` are not installed.
    OSError
        If ``folder`` cannot be made or written; found out before the work begins.
    ValueError
        If a system is not in ``CHAPTERS``.
    """
    unknown = [system for system in systems if system not in CHAPTERS]
    if unknown or not systems:
        raise ValueError(f"systems is {systems!r}; accepted are one or several of {', '.join(CHAPTERS)}")
    missing = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ImportError(f"the demo needs {' and '.join(missing)}: pip install 'fastimg[demo]'")
    folder = Path(folder)
    _make_writable(folder)
    from fastimg.demo import _report

    modules = {system: import_module(CHAPTERS[system]) for system in systems}
    steps = [f"{system}: {step}" for system, module in modules.items() for step in module.STEPS]
    advance = _advance(steps, progress)
    chapters = {}
    for system, module in modules.items():
        start = perf_counter()
        chapters[system] = (module.write(advance), perf_counter() - start)
    return _report.write(chapters, folder)


def _make_writable(folder: Path) -> None:
    """Make the folder, and see whether a file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"the report cannot be written to the folder {folder}: {error.strerror}") from error


def _advance(steps: list[str], progress: Callable[..., Any] | None) -> Callable[[], None]:
    """The function that a chapter calls after each of its steps."""
    if progress is None:
        return lambda: None
    bar = progress(total=len(steps), unit="step")
    bar.set_description(steps[0])

    def advance() -> None:
        bar.update()
        if bar.n < len(steps):
            bar.set_description(steps[bar.n])
        else:
            bar.close()

    return advance
