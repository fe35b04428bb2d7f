"""The command: what it prints, what it writes, and how it refuses."""

import csv
import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import fastimg
from fastimg import _environment, _warmup
from fastimg.cli import main
from fastimg.io import read_images, write_image
from fastimg.registration import apply_shift

pytestmark = pytest.mark.host_only

pytest.importorskip("tifffile")

SHIFTS = np.array([[1.25, -3.5], [-2.0, 0.75]])


@pytest.fixture
def files(tmp_path):
    """Write a reference and a stack of two images that are shifted against it."""
    reference = np.random.default_rng(0).standard_normal((64, 64))
    write_image(tmp_path / "reference.tif", reference)
    write_image(tmp_path / "moving.tif", apply_shift(reference, -SHIFTS))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def shifts_of(rows):
    return np.array([[float(row["shift_row"]), float(row["shift_column"])] for row in rows])


def test_the_version_is_printed():
    assert run("--version").output == f"fastimg, version {fastimg.__version__}\n"


def test_info_names_versions_threads_and_the_cache(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(
        _environment, "cuda_devices", lambda: {"devices": [], "reason": "CuPy is not installed"}
    )
    output = run("info").output
    assert f"numpy        {np.__version__}" in output
    assert f"{fastimg.get_num_threads()} of" in output
    assert "CUDA         none (CuPy is not installed)" in output
    assert "numba cache" in output


def test_info_says_that_the_threading_layer_cannot_be_loaded(monkeypatch):
    monkeypatch.setattr(_environment, "cuda_devices", lambda: {"devices": [], "reason": "none"})

    def fail():
        raise ValueError("No threading layer could be loaded.\nHINT:\nIntel TBB is required")

    monkeypatch.setattr("numba.get_num_threads", fail)
    result = run("info")
    assert result.exit_code == 0
    assert "Numba can load no layer to run them on: No threading layer could be loaded. HINT" in result.output


def test_info_lists_devices(monkeypatch):
    device = {"name": "Example", "compute_capability": "9.0", "memory_bytes": 2**34}
    monkeypatch.setattr(_environment, "cuda_devices", lambda: {"devices": [device], "reason": None})
    assert "CUDA 0       Example, sm 9.0, 16.0 GiB" in run("info").output


def test_info_as_json_holds_the_same_facts(monkeypatch):
    monkeypatch.setattr(_environment, "cuda_devices", lambda: {"devices": [], "reason": "none"})
    facts = json.loads(run("info", "--json").output)
    assert facts["versions"]["fastimg"] == fastimg.__version__
    assert facts["processor"]["simd_bits"] in (64, 128, 256, 512)
    assert set(facts["caches"]["numba"]) == {"folder", "files", "bytes"}


def test_without_cupy_the_reason_is_given(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = _environment.cuda_devices()
    assert found["devices"] == []
    assert "pip install" in found["reason"]


def test_warmup_leaves_compiled_kernels_in_the_cache(monkeypatch):
    monkeypatch.setattr(_warmup, "SIZES", (64,))
    monkeypatch.setattr(_warmup, "DTYPES", ("float32",))
    result = run("warmup", "registration")
    assert result.exit_code == 0
    assert "registration: " in result.output
    assert _environment.caches()["numba"]["files"] > 0


def test_warmup_covers_every_size_with_one_mode_and_several_and_moving_positions():
    labels = [step.label for step in _warmup.steps(("ptychography",))]
    assert len(labels) == 12
    assert labels[0] == "ptychography 64² 1 modes, whole pixels"
    assert labels[-1] == "ptychography 256² 3 modes, sub-pixel, refinement"
    assert {step.label.split()[0] for step in _warmup.steps()} == set(_warmup.STEPS)


def test_warmup_covers_every_size_with_a_plate_and_a_membrane():
    labels = [step.label for step in _warmup.steps(("dequantization",))]
    assert len(labels) == 8
    assert labels[0] == "dequantization 64² plate"
    assert labels[-1] == "dequantization 512² membrane"


def test_after_the_warmup_of_dequantization_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(_warmup, "SIZES", (32,))
    assert run("warmup", "dequantization").exit_code == 0
    again = run("warmup", "dequantization")
    assert "dequantization: 0 files added" in again.output


@pytest.mark.parametrize("system", ["transport", "fusion"])
def test_after_the_warmup_of_transport_and_fusion_nothing_is_compiled(system):
    assert run("warmup", system).exit_code == 0
    assert f"{system}: 0 files added" in run("warmup", system).output


def test_after_the_warmup_of_ptychography_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(_warmup, "FRAME_SIZES", (16,))
    monkeypatch.setattr(_warmup, "MODES", (2,))
    assert run("warmup", "ptychography").exit_code == 0
    again = run("warmup", "ptychography")
    assert "ptychography: 0 files added" in again.output


def test_kernels_of_other_sources_are_removed_from_the_cache_and_nothing_else(tmp_path):
    stay, other = "0123456789ab", "fedcba987654"
    kept = [
        f"_fft.fft2.{stay}-7.py311.nbi",
        f"_fft.fft2.{stay}pf-7.py311.1.nbc",
        f"_fft.{other}.fft2-7.py311.nbi",  # not where the digest is
        f"_fft.fft2.{other}-7.py311.txt",
        "_fft.fft2-7.py311.nbi",
        "_fft.fft2.0123456789-7.py311.nbi",
    ]
    removed = [
        f"_fft.fft2.{other}-7.py311.nbi",
        f"_fft.fft2.{other}-7.py311.12.nbc",
        f"_fft.fft2.{other}f-7.py313t.1.nbc",
    ]
    for name in (*kept, *removed):
        (tmp_path / name).touch()
    assert _environment.remove_stale_kernels(tmp_path, stay) == 3
    assert {path.name for path in tmp_path.iterdir()} == set(kept)


def test_shifts_are_written_as_csv(files):
    result = run("register", files / "reference.tif", files / "moving.tif", "-o", files / "shifts.csv")
    assert result.exit_code == 0, result.output
    rows = rows_of((files / "shifts.csv").read_text())
    assert list(rows[0]) == ["file", "index", "shift_row", "shift_column", "error", "phasediff"]
    assert [(Path(row["file"]).name, row["index"]) for row in rows] == [
        ("moving.tif", "0"),
        ("moving.tif", "1"),
    ]
    np.testing.assert_allclose(shifts_of(rows), SHIFTS, atol=0.011)


def test_numbers_have_no_more_digits_than_their_precision(files):
    images = read_images(files / "moving.tif").astype(np.float32)
    write_image(files / "single.tif", images)
    write_image(files / "target.tif", read_images(files / "reference.tif")[0].astype(np.float32))
    rows = rows_of(run("register", files / "target.tif", files / "single.tif").stdout)
    # two decimals are the grid of 1/100 pixel
    assert all(
        len(row[name].partition(".")[2]) <= 2 for row in rows for name in ("shift_row", "shift_column")
    )
    assert all(float(row["error"]) == float(str(np.float32(row["error"]))) for row in rows)


def test_shifts_go_to_standard_output_by_default(files):
    result = run("register", files / "reference.tif", files / "moving.tif", "--upsample-factor", 1)
    np.testing.assert_allclose(shifts_of(rows_of(result.stdout)), SHIFTS, atol=0.51)


def test_several_files_and_datasets_are_registered_in_order(files):
    with h5py.File(files / "scan.h5", "w") as file:
        file["entry/data"], file["dark"] = read_images(files / "moving.tif"), np.zeros((2, 2))
    result = run(
        "register", files / "reference.tif", files / "moving.tif", files / "scan.h5",
        "--dataset", "entry/data", "--normalization", "phase",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(
        shifts_of(rows_of(result.stdout)), np.concatenate([SHIFTS, SHIFTS]), atol=0.011
    )


def test_registered_images_lie_on_the_reference(files):
    folder = files / "registered"
    result = run("register", files / "reference.tif", files / "moving.tif", "--apply", folder)
    assert result.exit_code == 0, result.output
    registered = read_images(folder / "moving_registered.tif")
    reference = read_images(files / "reference.tif")
    # the Nyquist frequency of an even size, 3 % of the energy of white noise, does not survive two shifts
    assert np.sqrt(np.mean((registered - reference) ** 2)) < 0.3 * reference.std()


def refused(files, *arguments):
    """Run ``register`` with an output that must not appear, and return the message."""
    before = set(files.rglob("*"))
    result = run("register", *arguments, "-o", files / "shifts.csv", "--apply", files / "registered")
    assert result.exit_code == 2, result.output
    assert set(files.rglob("*")) == before
    return result.output


def test_images_of_another_shape_are_refused_and_nothing_is_written(files):
    write_image(files / "small.tif", np.ones((32, 32)))
    message = refused(files, files / "reference.tif", files / "moving.tif", files / "small.tif")
    assert "small.tif holds images of shape (32, 32)" in message


def test_pixels_that_are_not_finite_are_refused(files):
    write_image(files / "nan.tif", np.full((64, 64), np.nan))
    assert "nan.tif holds NaN" in refused(files, files / "reference.tif", files / "nan.tif")


def test_a_reference_of_several_images_is_refused(files):
    message = refused(files, files / "moving.tif", files / "reference.tif")
    assert "holds 2 images; accepted is one" in message


def test_files_of_one_name_whose_registered_images_would_collide_are_refused(files):
    (files / "more").mkdir()
    write_image(files / "more/moving.tif", np.ones((64, 64)))
    message = refused(files, files / "reference.tif", files / "moving.tif", files / "more/moving.tif")
    assert "have the same name" in message


def test_a_dataset_without_an_hdf5_file_is_refused(files):
    message = refused(files, files / "reference.tif", files / "moving.tif", "--dataset", "entry/data")
    assert "dataset is 'entry/data', but no file is HDF5" in message


def test_a_folder_that_was_there_stays_after_a_failure(files):
    (files / "registered").mkdir()
    write_image(files / "small.tif", np.ones((32, 32)))
    refused(files, files / "reference.tif", files / "small.tif")
    assert (files / "registered").is_dir()


def test_a_damaged_file_is_refused(files):
    (files / "damaged.tif").write_bytes(b"no image")
    assert "damaged.tif cannot be read" in refused(files, files / "reference.tif", files / "damaged.tif")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.tif", "missing.tif"], "does not exist"),
        (["--upsample-factor", "0.5"], "is not in the range"),
        (["--normalization", "other"], "is not one of"),
    ],
)
def test_wrong_options_are_usage_errors(arguments, message):
    result = run("register", *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_an_output_folder_that_does_not_exist_is_refused(files):
    result = run("register", files / "reference.tif", files / "moving.tif", "-o", files / "no/shifts.csv")
    assert result.exit_code == 2
    assert "does not exist" in result.output


def test_a_report_that_cannot_be_written_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("fastimg.demo.registration.write", lambda advance: pytest.fail("work was begun"))
    (tmp_path / "file").touch()
    result = run("demo", "-o", tmp_path / "file" / "report")
    assert result.exit_code == 2
    assert "the report cannot be written to the folder" in result.output


def test_an_unknown_system_is_refused_by_the_demo(tmp_path):
    result = run("demo", "ptychoscopy", "-o", tmp_path / "report")
    assert result.exit_code == 2
    assert not (tmp_path / "report").exists()
