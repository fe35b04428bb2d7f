"""Reconstructions that are stopped, and go on as if nothing had happened."""

import signal
import subprocess
import sys
import time

import pytest

from fastimg.ptychography import (
    PositionRefinement,
    Reconstruction,
    Scan,
    reconstruct,
)
from tests.ptycho_command import assert_same, run

pytestmark = pytest.mark.host_only

SETTINGS = ("--modes", 2, "--refine-positions", "--momentum", 0.8)


def interrupting(monkeypatch, *iterations):
    """Make Ctrl-C come in the middle of these iterations."""
    from fastimg.ptychography._iterations import Solver

    iterate = Solver.iterate

    def interrupted(self, iteration):
        for _ in range(iterations.count(iteration + 1)):
            signal.raise_signal(signal.SIGINT)
        return iterate(self, iteration)

    monkeypatch.setattr(Solver, "iterate", interrupted)


def test_an_interrupted_reconstruction_goes_on_as_if_nothing_had_happened(
    scan, output, monkeypatch, tmp_path
):
    whole = tmp_path / "whole.h5"
    options = ("--iterations", 14, "--checkpoint-every", 0, *SETTINGS)
    assert run("reconstruct", scan, "-o", whole, *options).exit_code == 0
    with monkeypatch.context() as patch:
        interrupting(patch, 9)
        result = run("reconstruct", scan, "-o", output, *options)
    assert result.exit_code == 130
    assert f"fastimg ptycho reconstruct {scan} -o {output} --resume" in result.output
    assert Reconstruction.load(output).iterations == 9
    result = run("reconstruct", scan, "-o", output, "--resume")
    assert result.exit_code == 0, result.output
    assert_same(Reconstruction.load(output), Reconstruction.load(whole))
    assert not list(tmp_path.glob(".*"))


def test_a_second_interrupt_leaves_the_last_checkpoint_whole(scan, output, monkeypatch):
    options = ("--iterations", 9, *SETTINGS)
    with monkeypatch.context() as patch:
        interrupting(patch, 6, 6)
        result = run("reconstruct", scan, "-o", output, "--checkpoint-every", 4, *options)
    assert result.exit_code == 130
    assert "stopped at once" in result.output
    assert Reconstruction.load(output).iterations == 4
    assert run("reconstruct", scan, "-o", output, "--resume").exit_code == 0
    expected = reconstruct(
        Scan.from_cxi(scan), modes=2, iterations=9, position_refinement=PositionRefinement(), momentum=0.8
    )
    assert_same(Reconstruction.load(output), expected)


def test_stopped_at_once_before_any_checkpoint_nothing_is_written(scan, output, monkeypatch):
    interrupting(monkeypatch, 2, 2)
    result = run("reconstruct", scan, "-o", output)
    assert result.exit_code == 130
    assert "was not written" in result.output
    assert not output.exists()


def test_an_interrupt_during_a_write_leaves_the_checkpoint_before_it(scan, output, monkeypatch):
    from fastimg.ptychography import _reconstruction_file

    data = _reconstruction_file._data

    def interrupted(entry, name, units, values):
        if name == "error" and len(values) == 4:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return data(entry, name, units, values)

    monkeypatch.setattr(_reconstruction_file, "_data", interrupted)
    result = run("reconstruct", scan, "-o", output, "--iterations", 9, "--checkpoint-every", 2)
    assert result.exit_code == 130
    assert Reconstruction.load(output).iterations == 2
    assert [path.name for path in output.parent.iterdir()] == ["result.h5"]


def test_the_usual_handler_is_back_afterwards(scan, output, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    interrupting(monkeypatch, 1)
    run("reconstruct", scan, "-o", output)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_process_stopped_by_sigint_leaves_a_file_that_resume_completes(scan, output, tmp_path):
    command = [sys.executable, "-m", "fastimg.cli", "ptycho", "reconstruct", str(scan), "-o"]
    options = [*map(str, SETTINGS), "--checkpoint-every", "1"]
    process = subprocess.Popen(
        [*command, str(output), "--iterations", "1000000", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while not output.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert "press Ctrl-C again to stop at once" in stderr
    stopped = Reconstruction.load(output)
    assert 1 <= stopped.iterations < 1000000
    assert [path.name for path in tmp_path.iterdir()] == ["result.h5"]
    more = stopped.iterations + 3
    result = run("reconstruct", scan, "-o", output, "--resume", "--iterations", more)
    assert result.exit_code == 0, result.output
    continued = reconstruct(
        Scan.from_cxi(scan),
        iterations=more,
        momentum=0.8,
        position_refinement=PositionRefinement(),
        resume=stopped,
    )
    assert_same(Reconstruction.load(output), continued)


def test_what_is_finished_stays_as_it_is(scan, output):
    run("reconstruct", scan, "-o", output, "--iterations", 2)
    before = output.read_bytes()
    result = run("reconstruct", scan, "-o", output, "--resume")
    assert result.exit_code == 0
    assert "2 iterations" in result.output
    assert output.read_bytes() == before


def test_options_given_with_resume_replace_those_of_the_file(scan, output):
    run("reconstruct", scan, "-o", output, "--iterations", 2, "--gamma", 0.5, "--batch-size", 4)
    assert run("reconstruct", scan, "-o", output, "--resume", "--iterations", 3, "--beta", 0.9).exit_code == 0
    parameters = Reconstruction.load(output).parameters
    assert (parameters["gamma"], parameters["beta"], parameters["batch_size"]) == (0.5, 0.9, 4)
