"""The commands of ptychography refuse bad input before any work, in one line that names the file."""

import os
import warnings

import h5py
import numpy as np
import pytest

from fastimg.io.cxi import CXIScan, write_cxi
from fastimg.ptychography import (
    Reconstruction,
)
from tests.ptycho_command import run

pytestmark = pytest.mark.host_only


def refused(folder, *arguments):
    """Run something that must fail before any work, and return the message."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    message = result.output.rpartition("Error: ")[2]
    assert message.count("\n") == 1
    return message


@pytest.fixture
def no_work(monkeypatch):
    """Fail if a reconstruction begins."""
    from fastimg.ptychography._iterations import Solver

    monkeypatch.setattr(Solver, "iterate", lambda *arguments: pytest.fail("work was begun"))


def bad_scan(path, frames=4, **changes):
    contents = {
        "intensities": np.ones((frames, 16, 16), np.float32),
        "translation": np.arange(3.0 * frames).reshape(frames, 3) * 1e-7,
        "wavelength": 1e-10, "distance": 4.0, "x_pixel_size": 55e-6, "y_pixel_size": 55e-6,
    }  # fmt: skip
    write_cxi(path, CXIScan(**contents | changes))
    return path


def test_a_scan_cut_short_is_refused(scan, tmp_path, output, no_work):
    whole = scan.read_bytes()
    for length in (len(whole) // 2, 100, 0):
        (tmp_path / "cut.cxi").write_bytes(whole[:length])
        message = refused(tmp_path, "reconstruct", tmp_path / "cut.cxi", "-o", output)
        assert f"{tmp_path / 'cut.cxi'} cannot be read" in message


def test_counts_that_are_not_finite_are_refused(tmp_path, output, no_work):
    counts = np.ones((4, 16, 16), np.float32)
    counts[2, 3, 4] = np.nan
    path = bad_scan(tmp_path / "nan.cxi", intensities=counts)
    message = refused(tmp_path, "reconstruct", path, "-o", output)
    assert str(path) in message
    assert "NaN or infinite counts at measured pixels, first in frame 2" in message


def test_positions_of_other_frames_are_refused(tmp_path, output, no_work):
    path = bad_scan(tmp_path / "positions.cxi", translation=np.zeros((3, 3)))
    message = refused(tmp_path, "reconstruct", path, "-o", output)
    assert str(path) in message
    assert "translation has shape (3, 3); accepted is (4, 3)" in message


def test_positions_that_are_not_finite_are_refused(tmp_path, output, no_work):
    path = bad_scan(tmp_path / "positions.cxi", translation=np.full((4, 3), np.inf))
    assert "translation contains NaN or infinity" in refused(tmp_path, "reconstruct", path, "-o", output)


def test_a_single_position_is_refused(tmp_path, output, no_work):
    path = bad_scan(tmp_path / "one.cxi", frames=1)
    message = refused(tmp_path, "reconstruct", path, "-o", output)
    assert f"{path}: scan has 1 position; accepted are at least 2" in message


def test_a_file_that_is_no_scan_is_refused(tmp_path, output, no_work):
    with h5py.File(tmp_path / "other.cxi", "w") as file:
        file["numbers"] = np.arange(3)
    assert "it is not a CXI file of frames" in refused(
        tmp_path, "reconstruct", tmp_path / "other.cxi", "-o", output
    )


def test_a_missing_length_is_named_and_can_be_given(tmp_path, output):
    path = bad_scan(tmp_path / "scan.cxi", wavelength=None)
    assert "does not tell wavelength" in refused(tmp_path, "reconstruct", path, "-o", output)
    assert run("reconstruct", path, "-o", output, "--iterations", 1, "--wavelength", 1e-10).exit_code == 0


def test_a_folder_that_is_not_there_is_refused(scan, tmp_path, no_work):
    message = refused(tmp_path, "reconstruct", scan, "-o", tmp_path / "no" / "result.h5")
    assert "does not exist" in message


def test_a_folder_that_cannot_be_written_is_refused(scan, tmp_path, output, no_work, monkeypatch):
    def fail(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fastimg._ptycho_files.TemporaryFile", fail)
    message = refused(tmp_path, "reconstruct", scan, "-o", output)
    assert f"{output} cannot be written to the folder {tmp_path}: Permission denied" in message


def test_a_result_is_replaced_only_when_asked(scan, tmp_path, output):
    run("reconstruct", scan, "-o", output, "--iterations", 1)
    message = refused(tmp_path, "reconstruct", scan, "-o", output)
    assert f"{output} holds a reconstruction; --resume goes on from it, --overwrite replaces it" in message
    assert run("reconstruct", scan, "-o", output, "--iterations", 2, "--overwrite").exit_code == 0
    assert Reconstruction.load(output).iterations == 2


@pytest.mark.parametrize("content", [b"notes", b""])
def test_a_file_of_somebody_else_is_not_replaced(scan, tmp_path, output, content, no_work):
    output.write_bytes(content)
    assert "is there already, and no reconstruction" in refused(tmp_path, "reconstruct", scan, "-o", output)
    assert output.read_bytes() == content


def test_the_scan_is_never_replaced(scan, tmp_path, no_work):
    link = tmp_path / "link.cxi"
    os.symlink(scan, link)
    for target in (scan, link):
        assert "is the scan itself" in refused(scan.parent, "reconstruct", scan, "-o", target, "--overwrite")


def test_there_must_be_something_to_resume(simulated, scan, tmp_path, output, no_work):
    assert f"{output} does not exist" in refused(tmp_path, "reconstruct", scan, "-o", output, "--resume")
    output.write_bytes(b"notes")
    assert f"{output} is not a whole HDF5 file" in refused(
        tmp_path, "reconstruct", scan, "-o", output, "--resume"
    )
    truth = simulated / "truth.h5"
    assert "nothing to go on from" in refused(tmp_path, "reconstruct", scan, "-o", truth, "--resume")


def test_another_scan_is_no_continuation(scan, tmp_path, output):
    run("reconstruct", scan, "-o", output, "--iterations", 1)
    run("simulate", "-o", tmp_path / "other.cxi", "--size", 32, "--positions", "6x6", "--seed", 1)
    message = refused(
        tmp_path, "reconstruct", tmp_path / "other.cxi", "-o", output, "--resume", "--iterations", 2
    )
    assert f"is not the scan that {output} was made from" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--modes", 2), "--modes is given with --resume"),
        (("--seed", 2), "--seed is given with --resume"),
        (("--overwrite",), "--resume and --overwrite are given"),
        (("--signal", "gradient"), "--signal is given without --refine-positions"),
    ],
)
def test_options_that_do_not_go_with_resume_are_refused(scan, tmp_path, output, options, message):
    run("reconstruct", scan, "-o", output, "--iterations", 1)
    arguments = ("reconstruct", scan, "-o", output, "--resume", "--iterations", 2, *options)
    assert message in refused(tmp_path, *arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--iterations", 0), "is not in the range"),
        (("--momentum", 1), "is not in the range"),
        (("--gamma", "nan"), "gamma is nan"),
        (("--refine-positions", "--gain", "newton"), "is not one of"),
        (("--refine-step", 1), "--refine-step is given without --refine-positions"),
        (("--size", 99), "size is 99; accepted around the center"),
        (("--axes", "y", "y"), "axes is ('y', 'y')"),
        (("--probe", "missing.npy"), "does not exist"),
    ],
)
def test_wrong_options_are_refused(scan, tmp_path, output, options, message, no_work):
    assert message in refused(tmp_path, "reconstruct", scan, "-o", output, *options)


def test_a_probe_of_another_size_is_refused(scan, tmp_path, output, no_work):
    np.save(tmp_path / "probe.npy", np.ones((8, 8), np.complex64))
    message = refused(tmp_path, "reconstruct", scan, "-o", output, "--probe", tmp_path / "probe.npy")
    assert "probe has shape (1, 8, 8); accepted is (32, 32)" in message


def test_without_a_device_the_reason_is_given(scan, tmp_path, output, monkeypatch, no_work):
    found = {"devices": [], "reason": "CuPy is not installed"}
    monkeypatch.setattr("fastimg._environment.cuda_devices", lambda: found)
    message = refused(tmp_path, "reconstruct", scan, "-o", output, "--device", "cuda")
    assert "--device cuda: CuPy is not installed" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--positions", "10"), "is not two numbers from 1, as in 10x12"),
        (("--positions", "0x4"), "is not two numbers from 1, as in 10x12"),
        (("--photons", 0), "is not in the range"),
        (("--photons", "nan"), "photons is nan"),
        (("--focus-distance", 0.1), "focus_distance is 0.1"),
        (("--modes", 400), "covers too few pixels"),
        (("--probe-width", 99), "accepted are beams within the frame"),
        (("--truth", "no/truth.h5"), "the folder no of truth.h5 does not exist"),
    ],
)
def test_wrong_experiments_are_refused(tmp_path, options, message):
    arguments = ("simulate", "-o", tmp_path / "scan.cxi", "--size", 16, "--positions", "2x2")
    assert message in refused(tmp_path, *arguments, *options)


def test_simulate_replaces_files_only_when_asked(tmp_path):
    path = tmp_path / "scan.cxi"
    arguments = ("simulate", "-o", path, "--size", 16, "--positions", "2x2")
    assert run(*arguments).exit_code == 0
    assert f"{path} is there already; --overwrite replaces it" in refused(tmp_path, *arguments)
    assert run(*arguments, "--overwrite").exit_code == 0
    assert "accepted is another one" in refused(tmp_path, *arguments, "--overwrite", "--truth", path)


def test_a_stack_is_no_picture(tmp_path):
    np.save(tmp_path / "stack.npy", np.ones((2, 8, 8)))
    arguments = ("simulate", "-o", tmp_path / "scan.cxi", "--object-image", tmp_path / "stack.npy")
    assert "stack.npy holds 2 images; accepted is one" in refused(tmp_path, *arguments)


def test_pictures_that_cannot_be_drawn_are_refused(scan, tmp_path, output):
    pytest.importorskip("matplotlib")
    assert "has the suffix '.doc'; accepted are" in refused(tmp_path, "view", scan, "-o", tmp_path / "a.doc")
    (tmp_path / "cut.cxi").write_bytes(scan.read_bytes()[:5000])
    message = refused(tmp_path, "view", tmp_path / "cut.cxi", "-o", tmp_path / "a.png")
    assert f"{tmp_path / 'cut.cxi'} cannot be read" in message
    run("reconstruct", scan, "-o", output, "--iterations", 1)
    message = refused(tmp_path, "view", output, "-o", tmp_path / "a.png", "--size", 16)
    assert "--size is given, but" in message
