"""Files that are whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

__all__ = ["check_target", "replaced_when_whole"]


def check_target(target: Path, *sources: Path, overwrite: bool = False) -> None:
    """See whether a file can be written, before the work that makes it.

    Parameters
    ----------
    target : pathlib.Path
        The file to be written.
    *sources : pathlib.Path
        Files that it must not replace.
    overwrite : bool, optional
        Whether it may be there already.

    Raises
    ------
    OSError
        If its folder does not exist or cannot be written.
    ValueError
        If it is there already, or is one of ``sources``.
    """
    folder = target.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder {folder} of {target.name} does not exist")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; a file name is needed")
    if any(target.exists() and target.samefile(source) for source in sources):
        raise ValueError(f"{target} is also read from; the result needs a file of its own")
    if target.exists() and not overwrite:
        raise ValueError(f"{target} is there already; --overwrite replaces it")
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"{target} cannot be written to the folder {folder}: {error.strerror}") from error


@contextmanager
def replaced_when_whole(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside ``target`` to write to, and move it onto ``target`` when the block has succeeded.

    If the block raises, or the process dies, an existing ``target`` stays as it was.

    Parameters
    ----------
    target : path-like
        The file to be written. Its folder has to exist.

    Yields
    ------
    pathlib.Path
        A new empty file in the same folder, with the same suffix, because writers choose the format by it.

    Raises
    ------
    FileNotFoundError
        If the folder of ``target`` does not exist.
    IsADirectoryError
        If ``target`` is a folder.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replaced_when_whole(folder / "shifts.csv") as path:
    ...     _ = path.write_text("file,index\\n")
    >>> [file.name for file in folder.iterdir()]
    ['shifts.csv']
    """
    target = Path(target)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; a file name is needed")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {target.parent} of {target.name} does not exist")
    path = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    # Exclusive creation, with the permissions that the user's umask gives to any new file
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield path
        with path.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(path, target)
    finally:
        path.unlink(missing_ok=True)
