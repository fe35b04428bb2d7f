"""The commands of ptychography: simulate, reconstruct, look."""

import inspect

import numpy as np
import pytest

from fastimg._ptycho_commands import ptycho
from fastimg.io import write_image
from fastimg.ptychography import (
    PositionRefinement,
    Reconstruction,
    Scan,
    object_error,
    position_error,
    reconstruct,
)
from tests.ptycho_command import assert_same, run

pytestmark = pytest.mark.host_only


def test_a_simulated_scan_has_what_was_asked_for(simulated):
    scan = Scan.from_cxi(simulated / "scan.cxi")
    truth = Reconstruction.load(simulated / "truth.h5")
    assert scan.intensities.shape == (36, 32, 32)
    assert scan.intensities.sum(axis=(1, 2)).mean() == pytest.approx(1e6, rel=0.01)
    assert scan.object_pixel == pytest.approx(truth.object_pixel)
    assert truth.probe.shape == (2, 32, 32)
    # normal errors of 36 positions
    assert 0.7 < position_error(scan.positions, truth.positions) < 1.3
    amplitude = np.abs(truth.object)
    assert (amplitude.min(), amplitude.max()) == (pytest.approx(0.5), pytest.approx(1))


def test_the_truth_explains_the_scan(simulated):
    truth = Reconstruction.load(simulated / "truth.h5")
    scan = Scan.from_cxi(simulated / "scan.cxi")
    right = Scan(scan.intensities, truth.positions)
    kept = reconstruct(right, modes=2, iterations=1, probe=truth.probe, object=truth.object, probe_start=1)
    # counting noise: half a root of a count in each of the pixels that have light
    assert kept.history["error"][0] < 0.5 * np.sqrt(32 * 32 / 1e6) * 1.1


def test_pictures_become_amplitude_and_phase(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    ramp = np.linspace(0, 255, 40).astype(np.uint8)
    imageio.imwrite(tmp_path / "rows.png", np.tile(ramp[:, None], (1, 50)))
    imageio.imwrite(tmp_path / "columns.png", np.tile(ramp, (50, 1)))
    result = run(
        "simulate", "-o", tmp_path / "scan.cxi", "--truth", tmp_path / "truth.h5", "--size", 16,
        "--positions", "3x4", "--object-image", tmp_path / "rows.png",
        "--phase-image", tmp_path / "columns.png",
        "--amplitude-range", 0.2, 0.8, "--phase-range", -2, 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    object = Reconstruction.load(tmp_path / "truth.h5").object
    assert np.ptp(np.abs(object), axis=1).max() < 1e-5
    assert np.ptp(np.angle(object), axis=0).max() < 1e-5
    assert np.abs(object)[[0, -1], 0] == pytest.approx([0.2, 0.8], abs=1e-5)
    assert np.angle(object)[0, [0, -1]] == pytest.approx([-2, 1], abs=1e-5)


def test_one_picture_makes_an_object_of_phase_only(tmp_path):
    pytest.importorskip("tifffile")
    write_image(tmp_path / "phase.tif", np.random.default_rng(0).random((64, 64)))
    result = run(
        "simulate", "-o", tmp_path / "scan.cxi", "--truth", tmp_path / "truth.h5", "--size", 16,
        "--positions", "3x3", "--phase-image", tmp_path / "phase.tif",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(np.abs(Reconstruction.load(tmp_path / "truth.h5").object), 1, rtol=1e-6)


def test_the_near_field_is_simulated_and_reconstructed(tmp_path, output):
    result = run(
        "simulate",
        "-o",
        tmp_path / "scan.cxi",
        "--size",
        32,
        "--positions",
        "4x4",
        "--propagator",
        "near-field",
    )
    assert result.exit_code == 0, result.output
    assert Scan.from_cxi(tmp_path / "scan.cxi").propagator == "near-field"
    result = run("reconstruct", tmp_path / "scan.cxi", "-o", output, "--iterations", 10)
    assert result.exit_code == 0, result.output
    error = Reconstruction.load(output).history["error"]
    assert error[-1] < 0.5 * error[0]


def test_the_same_seed_gives_the_same_scan(tmp_path):
    scans = []
    for name, seed in (("a.cxi", 3), ("b.cxi", 3), ("c.cxi", 4)):
        run("simulate", "-o", tmp_path / name, "--size", 16, "--positions", "2x2", "--seed", seed)
        scans.append(Scan.from_cxi(tmp_path / name))
    np.testing.assert_array_equal(scans[0].intensities, scans[1].intensities)
    assert (scans[0].intensities != scans[2].intensities).any()


def test_a_reconstruction_with_refinement_comes_near_the_truth(simulated, scan, output):
    truth = Reconstruction.load(simulated / "truth.h5")
    errors = {}
    for name, options in (("kept", ()), ("refined", ("--refine-positions", "--signal", "gradient"))):
        result = run(
            "reconstruct", scan, "-o", output, "--overwrite", "--iterations", 60, "--modes", 2,
            "--momentum", 0.8, *options,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert "60 iterations, error" in result.output
        found = Reconstruction.load(output)
        errors[name] = np.array(
            [
                found.history["error"][-1],
                position_error(found.positions, truth.positions),
                object_error(found, truth.object),
            ]
        )
    # so few frames of so few pixels do not give more
    assert (errors["refined"] < 0.8 * errors["kept"]).all()


def test_the_command_gives_what_the_function_gives(scan, output):
    options = ("--algorithm", "epie", "--batch-size", 3, "--no-subpixel", "--seed", 5, "--probe-start", 2)
    result = run("reconstruct", scan, "-o", output, "--iterations", 4, *options)
    assert result.exit_code == 0, result.output
    expected = reconstruct(
        Scan.from_cxi(scan),
        algorithm="epie",
        iterations=4,
        batch_size=3,
        subpixel=False,
        rng=5,
        probe_start=2,
    )
    assert_same(Reconstruction.load(output), expected)


def _default(option):
    """The default of an option; click marks those without one."""
    return None if repr(option.default).endswith("UNSET") else option.default


def test_defaults_are_those_of_the_function():
    parameters = inspect.signature(reconstruct).parameters
    options = {option.name: _default(option) for option in ptycho.commands["reconstruct"].params}
    names = (
        "algorithm",
        "modes",
        "iterations",
        "batch_size",
        "gamma",
        "beta",
        "momentum",
        "subpixel",
        "probe_start",
    )
    assert {name: options[name] for name in names} == {name: parameters[name].default for name in names}
    assert options["seed"] == parameters["rng"].default


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--refine-positions",), PositionRefinement()),
        (
            ("--refine-positions", "--gain", "zhang", "--signal", "detector"),
            PositionRefinement("zhang", "detector"),
        ),
        (
            ("--refine-positions", "--gain", "fixed", "--refine-step", 2, "--refine-start", 0),
            PositionRefinement("fixed", step=2.0, start=0),
        ),
    ],
)
def test_options_of_the_refinement(scan, output, options, expected):
    assert run("reconstruct", scan, "-o", output, "--iterations", 1, *options).exit_code == 0
    assert PositionRefinement(**Reconstruction.load(output).parameters["position_refinement"]) == expected


@pytest.mark.parametrize("name", ["probe.npy", "truth.h5", "scan.cxi"])
def test_a_probe_is_read_from_an_array_a_result_or_a_scan(simulated, scan, output, tmp_path, name):
    path = simulated / name
    probe = (
        Scan.from_cxi(scan).probe if name == "scan.cxi" else Reconstruction.load(simulated / "truth.h5").probe
    )
    if name == "probe.npy":
        path = tmp_path / name
        np.save(path, probe)
    options = ("--probe", path, "--modes", 2, "--iterations", 1, "--probe-start", 1)
    result = run("reconstruct", scan, "-o", output, *options)
    assert result.exit_code == 0, result.output
    expected = reconstruct(Scan.from_cxi(scan), modes=2, iterations=1, probe=probe)
    assert_same(Reconstruction.load(output), expected)


def test_a_part_of_the_frames_is_read_and_remembered(scan, output):
    options = ("--size", 24, "--center", 16, 16)
    assert run("reconstruct", scan, "-o", output, "--iterations", 2, *options).exit_code == 0
    assert Reconstruction.load(output).probe.shape == (1, 24, 24)
    result = run("reconstruct", scan, "-o", output, "--resume", "--iterations", 3)
    assert result.exit_code == 0, result.output
    expected = reconstruct(Scan.from_cxi(scan, size=24, center=(16, 16)), iterations=3)
    np.testing.assert_array_equal(Reconstruction.load(output).object, expected.object)


def test_a_reconstruction_that_diverges_leaves_the_last_good_checkpoint(scan, output, monkeypatch):
    from fastimg.ptychography._iterations import Solver

    iterate = Solver.iterate

    def spoiled(self, iteration):
        if iteration == 3:
            self.object[:] = np.nan
        return iterate(self, iteration)

    monkeypatch.setattr(Solver, "iterate", spoiled)
    result = run("reconstruct", scan, "-o", output, "--iterations", 8, "--checkpoint-every", 2)
    assert result.exit_code == 1
    assert f"Error: the reconstruction diverged; {output} holds 2 iterations" in result.output
    assert "Warning: the error is not finite from iteration 4 on" in result.output
    assert Reconstruction.load(output).iterations == 2


@pytest.mark.parametrize("name", ["scan.cxi", "truth.h5", "result.h5"])
def test_scans_and_results_are_drawn(simulated, scan, tmp_path, output, name):
    pytest.importorskip("matplotlib")
    path = simulated / name
    if name == "result.h5":
        path = output
        run("reconstruct", scan, "-o", path, "--iterations", 2)
    picture = tmp_path / "picture.png"
    result = run("view", path, "-o", picture)
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "Warning" not in result.output


def test_a_drawing_leaves_out_what_was_not_measured():
    pytest.importorskip("matplotlib")
    from fastimg._ptycho_view import _mean_frame, draw_scan

    counts = np.full((3, 8, 8), 2.0)
    counts[1] = 8
    mask = np.ones((3, 8, 8), bool)
    mask[:, 0, 0], mask[1, 0, 1] = False, False
    counts[~mask] = np.nan
    scan = Scan(counts, [[0, 0], [0, 3], [3, 0]], mask=mask)
    mean, totals = _mean_frame(scan)
    assert np.isnan(mean[4, 4])  # the zero frequency is in the middle
    assert mean[4, 5] == 2
    assert mean[0, 0] == 4
    assert totals.tolist() == [2 * 63, 8 * 62, 2 * 63]
    assert len(draw_scan(scan).axes) == 5


def test_no_bar_is_shown_where_nobody_watches(scan, output):
    result = run("reconstruct", scan, "-o", output, "--iterations", 2)
    assert result.stderr == ""
