"""What the commands say when something is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["InputError", "input_errors", "plain_warnings"]


class InputError(click.ClickException):
    """What the user gave cannot be worked on; like click's own usage errors, exit code 2."""

    exit_code = 2


@contextmanager
def input_errors() -> Iterator[None]:
    """Turn the errors that fastimg raises about its input, its files and its extras into messages."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise InputError(str(error)) from error


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show warnings as lines on standard error, without the place in the source that they come from."""

    def show(message: Warning | str, *place: Any, **more: Any) -> None:
        click.echo(f"Warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
