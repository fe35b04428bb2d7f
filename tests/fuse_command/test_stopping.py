"""A fusion that is stopped leaves what was there."""

import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest

from tests.fuse_command import run

pytestmark = pytest.mark.host_only


@pytest.fixture(autouse=True)
def interruptible():
    """Let SIGINT interrupt, here and in children: a shell's background jobs start with the signal ignored."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.parametrize("suffix", [".npy", ".hdr", ".tif", ".mat", ".npz"])
def test_ctrl_c_leaves_the_old_file_whole(scene, output, monkeypatch, suffix):
    pytest.importorskip({".hdr": "spectral", ".tif": "rasterio"}.get(suffix, "numpy"))
    from fastimg.fusion import _scene

    target = output.with_suffix(suffix)
    assert run(*scene.inputs, "-o", target, "--iterations", 1).exit_code == 0
    before = {path.name: path.read_bytes() for path in output.parent.iterdir()}
    fuse_tile, tiles = _scene.fuse_tile, []

    def interrupted(*given, **more):
        tiles.append(1)
        if len(tiles) == 3:
            signal.raise_signal(signal.SIGINT)
        return fuse_tile(*given, **more)

    monkeypatch.setattr(_scene, "fuse_tile", interrupted)
    result = run(*scene.inputs, "-o", target, "--iterations", 2, "--tile", 8, "--overwrite")
    assert result.exit_code == 130
    assert f"stopped; {target} was not written" in result.output
    assert {path.name: path.read_bytes() for path in output.parent.iterdir()} == before


def test_a_process_stopped_by_sigint_writes_nothing(scene, output):
    command = [sys.executable, "-m", "fastimg.cli", "fuse", *map(str, scene.inputs), "-o", str(output)]
    process = subprocess.Popen(
        [*command, "--iterations", "100000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not list(output.parent.iterdir()) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        # where the first one comes while Numba loads a kernel, Numba may drop it
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=2)
        _, stderr = process.communicate(timeout=5)
    finally:
        process.kill()
    # the second is what Python makes of an interrupt within a module that is being imported
    assert process.returncode in (130, -signal.SIGINT), stderr
    assert "was not written" in stderr
    assert not list(output.parent.iterdir())


def test_an_interrupt_that_a_library_turns_into_an_error_is_one(scene, output, monkeypatch):
    def broken(*given, **more):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise RuntimeError("no compiled object") from None

    monkeypatch.setattr("fastimg._fuse_files.fuse_scene", broken)
    result = run(*scene.inputs, "-o", output)
    assert result.exit_code == 130
    assert "was not written" in result.output
    assert not list(output.parent.iterdir())


def test_standard_output_has_nothing_but_the_summary(scene, output):
    command = [sys.executable, "-m", "fastimg.cli", "fuse", *map(str, scene.inputs), "-o", str(output)]
    done = subprocess.run([*command, "--iterations", "2"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{output}: 24×20 pixels, 9 bands, float32, hmwb\n"
    assert done.stderr == ""
    assert np.load(output).shape == (24, 20, 9)
