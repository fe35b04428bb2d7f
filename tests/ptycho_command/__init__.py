"""What the tests of ``fastimg ptycho`` share."""

import numpy as np
from click.testing import CliRunner

from fastimg.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ["ptycho", *map(str, arguments)])


def simulate_small(folder):
    """Write a small scan with wrong positions, and its truth."""
    result = run(
        "simulate", "-o", folder / "scan.cxi", "--truth", folder / "truth.h5", "--size", 32,
        "--positions", "6x6", "--modes", 2, "--position-error", 1, "--photons", 1e6,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder


def assert_same(one, other):
    for name in ("object", "probe", "positions", "dose"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("error", "position_change"):
        np.testing.assert_array_equal(one.history[name], other.history[name], err_msg=name)
