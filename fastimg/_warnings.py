"""Warnings of fastimg's own."""

__all__ = ["ConvergenceWarning"]


class ConvergenceWarning(UserWarning):
    """An iteration diverged, or ended before it converged."""
