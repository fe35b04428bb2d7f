"""The comparison with other libraries: when its command fails."""

import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from benchmarks.compare import SYSTEMS, __main__
from benchmarks.compare._rows import Comparison, Figure

pytestmark = pytest.mark.host_only


@pytest.mark.parametrize(
    ("met", "is_binding", "exit_code"),
    [(True, True, 0), (None, True, 0), (False, False, 0), (False, True, 1)],
)
def test_a_binding_figure_that_is_short_fails_the_command(monkeypatch, met, is_binding, exit_code):
    figure = Figure("largest error", "64 pairs", "0.3 px", "0.1 px", met, is_binding=is_binding)
    module = SimpleNamespace(compare=lambda options: Comparison("example", [figure], []))
    monkeypatch.setitem(sys.modules, "example", module)
    monkeypatch.setitem(SYSTEMS, "registration", "example")
    monkeypatch.setattr(__main__, "THREAD_VARIABLES", ())
    result = CliRunner().invoke(__main__.main, ["--quick"])
    assert result.exit_code == exit_code, result.output
    assert ("SHORT: largest error, 64 pairs: 0.3 px" in result.stderr) == bool(exit_code)
