"""The comparison with other libraries, and the studies: when their commands fail, and some of their parts."""

import importlib
import itertools
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import fusion_scenes, plain_dequantization, plain_ptychography
from benchmarks.compare import SYSTEMS, __main__
from benchmarks.compare._differences import Way, in_blocks, in_turns
from benchmarks.compare._rows import Comparison, Figure
from benchmarks.compare.fusion_convolve import convolutions
from benchmarks.compare.fusion_distance import distances
from benchmarks.compare.ptychography_inputs import bad_input
from benchmarks.compare.ptychography_speed import scan_of
from benchmarks.studies import STUDIES
from benchmarks.studies import __main__ as studies_main
from benchmarks.studies._tables import Options, Study
from fastimg.demo._plain_dequantization import bending_energy
from fastimg.dequantization import dequantize

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
    result = CliRunner().invoke(__main__.main, ["registration", "--quick"])
    assert result.exit_code == exit_code, result.output
    assert ("SHORT: largest error, 64 pairs: 0.3 px" in result.stderr) == bool(exit_code)


def _made(name, expected):
    return Study("example", "made up", figures=[Figure(name, "1 seed", "0.2 px", "0.1 px", expected)])


@pytest.mark.parametrize(
    ("met", "quick", "exit_code"), [(True, [], 0), (False, [], 1), (False, ["--quick"], 0)]
)
def test_a_study_fails_where_a_figure_is_short_unless_it_is_quick(monkeypatch, met, quick, exit_code):
    module = SimpleNamespace(study=lambda options: _made("largest error", met))
    monkeypatch.setitem(sys.modules, "example", module)
    monkeypatch.setitem(STUDIES, "ptychography-ring", "example")
    monkeypatch.setattr(studies_main, "THREAD_VARIABLES", ())
    result = CliRunner().invoke(studies_main.main, ["ptychography-ring", *quick])
    assert result.exit_code == exit_code, result.output
    assert ("SHORT: largest error, 1 seed: 0.2 px" in result.stderr) == bool(exit_code)


def test_a_study_without_its_data_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTIMG_DATA", str(tmp_path))
    monkeypatch.setattr(studies_main, "THREAD_VARIABLES", ())
    result = CliRunner().invoke(studies_main.main, ["ptychography-siemens"])
    assert result.exit_code == 0, result.output
    assert "not made" in result.output
    assert "set FASTIMG_DATA" in result.output


@pytest.mark.parametrize("study", ["ptychography-ring", "ptychography-refinement"])
def test_a_quick_study_of_a_virtual_experiment_runs(study):
    pytest.importorskip("skimage", reason="its pictures are the object")
    made = importlib.import_module(STUDIES[study]).study(Options(quick=True))
    assert made.figures
    assert all(
        np.isfinite(float(cell)) for table in made.tables for row in table.rows for cell in row[-1].split()
    )


@pytest.mark.parametrize("study", ["dequantization-table", "dequantization-photographs"])
def test_a_quick_study_of_dequantization_meets_its_figures(study):
    pytest.importorskip("skimage", reason="its measures and photographs are compared")
    made = importlib.import_module(STUDIES[study]).study(Options(quick=True))
    assert made.figures
    assert all(figure.met for figure in made.figures), made.figures


def test_a_quick_study_of_transport_meets_its_figures(monkeypatch, tmp_path):
    pytest.importorskip("skimage", reason="it removes noise")
    monkeypatch.setenv("FASTIMG_DATA", str(tmp_path))  # a scene that is made up
    made = importlib.import_module(STUDIES["transport-accuracy"]).study(Options(quick=True))
    assert made.figures
    # without POT those beside it are not measured
    assert all(figure.met is not False for figure in made.figures), made.figures


@pytest.mark.parametrize("part", [convolutions, distances])
def test_a_quick_comparison_of_transport_meets_its_figures(part):
    times, figures = part(quick=True)
    assert times
    assert figures
    assert all(figure.met is not False for figure in figures), figures


@pytest.mark.parametrize(("timed", "samples"), [(in_turns, 3), (in_blocks, 6)])
def test_what_a_call_does_once_is_not_in_the_time_of_an_iteration(timed, samples):
    now = 0.0

    def run(iterations):
        nonlocal now
        now += 100 + 0.25 * iterations

    timings = timed({"one": Way(run, 2, 10)}, rounds=3, clock=lambda: now)
    assert timings["one"].samples == (0.25,) * samples


@pytest.mark.parametrize(("model", "psnr"), [("membrane", 34.2228), ("plate", 34.7163)])
def test_the_papers_iteration_gives_the_numbers_of_its_table(model, psnr):
    y, x = np.meshgrid(np.linspace(-1, 3, 64), np.linspace(-1.5, 1.5, 64), indexing="ij")
    rosenbrock = 100 * (y - x**2) ** 2 + (1 - x) ** 2
    image = np.trunc(255 * rosenbrock / rosenbrock.max())
    found = plain_dequantization.paper_iteration(image.astype(np.uint8) >> 3, model)
    assert 20 * np.log10(255 / np.sqrt(np.mean((image - found) ** 2))) == pytest.approx(psnr, abs=1e-3)


def test_explicit_steps_go_down_to_the_plate_that_we_find():
    rng = np.random.default_rng(0)
    codes = np.cumsum(rng.random((20, 17)) < 0.3, axis=1)
    lower, upper = codes.astype(float), codes + 1.0
    ours, info = dequantize(codes, bits=5, tol=1e-10, return_info=True)
    assert bending_energy(ours) == pytest.approx(info.energy, rel=1e-6)
    values, energies = (lower + upper) / 2, []
    for _ in range(20):
        values = plain_dequantization.explicit_iteration(values, lower, upper, 500)
        energies.append(bending_energy(values))
    # at the minimum rounding is all that is left of a step
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(energies))
    assert info.energy * (1 - 1e-9) <= energies[-1] <= info.energy * 1.001


def test_plain_engines_agree_where_they_are_the_same():
    scan = scan_of(16, 9, 1)
    results = []
    for engine in (
        plain_ptychography.epie_pass,
        plain_ptychography.mepie_pass,
        partial(plain_ptychography.rpie_pass, gamma=1.0, beta=1.0),
    ):
        found, probe = np.ones(scan.object_shape, complex), scan.probe.astype(complex) * 1.1
        engine(found, probe, np.sqrt(scan.intensities.astype(float)), scan.positions.astype(int), range(9))
        results.append((found, probe))
    for found, probe in results[1:]:
        np.testing.assert_allclose(found, results[0][0], rtol=1e-12)
        np.testing.assert_allclose(probe, results[0][1], rtol=1e-12, atol=1e-12 * np.abs(probe).max())


def test_plain_fusion_is_what_ours_is_compared_with(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTIMG_DATA", str(tmp_path))
    estimates = fusion_scenes.estimates_of(fusion_scenes.scene_of((16, 20, 24)))
    ours = fusion_scenes.fuse_estimates(estimates, 20, "float64")
    np.testing.assert_allclose(ours, fusion_scenes.fuse_plainly(estimates, 20), rtol=1e-11)


def test_bad_input_to_ptychography_is_named_before_any_work():
    figures = bad_input()
    assert figures
    assert all(figure.met for figure in figures), figures
