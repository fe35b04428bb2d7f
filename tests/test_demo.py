"""The demo: a small run writes a whole report, and what it writes is what was measured."""

import json
import re
from functools import partial

import numpy as np
import pytest

pytest.importorskip("skimage")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from fastimg import demo
from fastimg._timing import Timing, interleaved, median_ratio
from fastimg.demo import _plain_dequantization, _plain_fusion, _plain_ptychography, _plain_registration
from fastimg.demo import dequantization as dequantization_chapter
from fastimg.demo import fusion as fusion_chapter
from fastimg.demo import ptychography as ptychography_chapter
from fastimg.demo import registration as chapter
from fastimg.demo._dequantization_images import METHODS, function_example, score, sky_example
from fastimg.demo._fusion_scene import RATIO, SNR_H, SNR_M, scene, shapes
from fastimg.demo._photographs import PHOTOGRAPHS, shifted_photographs
from fastimg.fusion import simulate_pair, starck_murtagh, upsample
from fastimg.metrics import rmse, sam

pytestmark = pytest.mark.host_only

FEW = ("camera", "coffee")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Run the demo on few photographs, once."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        small = partial(chapter.write, photographs=FEW, shifts_per_photograph=2, rounds=2)
        patch.setattr(chapter, "write", small)
        return demo.run(["registration"], folder)


def test_the_report_needs_no_other_file(report):
    html = report.read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 3
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_pictures_and_figures_stand_beside_the_report(report):
    pictures = {path.name for path in (report.parent / "pictures").iterdir()}
    assert pictures == {"registration-pairs.png", "registration-scatter.png", "registration-noise.png"}
    figures = json.loads((report.parent / "report.json").read_text())["systems"]["registration"]
    assert figures["photographs"] == list(FEW)
    assert set(figures["times_as_fast"]) >= {"plain NumPy", "phase_cross_correlation"}


def test_the_error_in_the_report_is_the_distance_from_the_truth(report):
    figures = json.loads((report.parent / "report.json").read_text())["systems"]["registration"]
    measured = np.array(figures["measured_shift"]["phase"])
    distance = np.linalg.norm(measured - figures["true_shift"], axis=-1)
    for level, error in enumerate(figures["error_px"]["phase"]):
        # shifts are rounded to four digits in the file
        assert error["max"] == pytest.approx(distance[level].max(), abs=2e-4)
    # without noise: half a step of the grid each way, and what the crop's edges leave
    assert figures["error_px"]["phase"][0]["max"] < 0.03


def test_the_plain_version_agrees_with_the_library(report):
    figures = json.loads((report.parent / "report.json").read_text())["systems"]["registration"]
    assert max(figures["agreement_px"].values()) <= 0.011 * 2**0.5


def test_every_photograph_is_large_enough_and_needs_no_download():
    experiment = shifted_photographs(PHOTOGRAPHS, shifts_per_photograph=1, noise=(0.0,))
    assert experiment.reference.shape == (1, len(PHOTOGRAPHS), 1, 128, 128)
    assert (experiment.reference.std(axis=(-2, -1)) > 0).all()


def test_noise_has_the_level_that_is_named():
    experiment = shifted_photographs(FEW, shifts_per_photograph=1, noise=(0.0, 0.2))
    clean, noisy = experiment.reference
    level = (noisy - clean).std(axis=(-2, -1)) / clean.std(axis=(-2, -1))
    np.testing.assert_allclose(level, 0.2, rtol=0.05)


def test_the_plain_version_finds_whole_and_fractional_shifts():
    image = np.random.default_rng(0).standard_normal((33, 35))
    rows, columns = np.fft.fftfreq(33)[:, None], np.fft.fftfreq(35)
    moving = np.fft.ifft2(np.fft.fft2(image) * np.exp(2j * np.pi * (1.25 * rows - 3.5 * columns)))
    np.testing.assert_allclose(_plain_registration.register(image, moving), [1.25, -3.5], atol=1e-12)


@pytest.mark.parametrize("systems", [[], ["registration", "alchemy"]])
def test_unknown_systems_are_refused(systems, tmp_path):
    with pytest.raises(ValueError, match="accepted are one or several of registration"):
        demo.run(systems, tmp_path)


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"scikit-image and matplotlib and jinja2.*fastimg\[demo\]"):
        demo.run(["registration"], tmp_path)


@pytest.fixture(scope="module")
def ptychography_report(tmp_path_factory):
    """Run the demo of ptychography on a small scan, once."""
    folder = tmp_path_factory.mktemp("ptychography")
    with pytest.MonkeyPatch.context() as patch:
        small = partial(ptychography_chapter.write, size=32, shape=(6, 6), iterations=60, rounds=2)
        patch.setattr(ptychography_chapter, "write", small)
        return demo.run(["ptychography"], folder)


def test_the_chapter_on_ptychography_is_whole(ptychography_report):
    html = ptychography_report.read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 5
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html)
    names = ("experiment", "object", "positions", "probe", "misfit")
    pictures = {path.name for path in (ptychography_report.parent / "pictures").iterdir()}
    assert pictures == {f"ptychography-{name}.png" for name in names}


def test_errors_of_ptychography_in_the_report_are_those_from_the_truth(ptychography_report):
    report = json.loads((ptychography_report.parent / "report.json").read_text())
    figures = report["systems"]["ptychography"]
    true = np.array(figures["true_position"])
    for name, key in (("given positions", "given_position"), ("refined, gradient", "found_position")):
        difference = figures[key] - true
        difference -= difference.mean(axis=0)
        distance = np.sqrt((difference**2).sum(axis=1).mean())
        assert figures["position_error_px"][name] == pytest.approx(distance, abs=2e-4)
    # even this small scan shows what refinement does
    for key in ("object_error", "position_error_px"):
        assert figures[key]["refined, gradient"] < 0.9 * figures[key]["given positions"]
        assert figures[key]["true positions"] < figures[key]["refined, gradient"]
    assert all(len(misfit) == 60 for misfit in figures["misfit"].values())
    assert set(figures["times_as_fast"]) >= {"plain NumPy", "reconstruct, 1 thread"}
    # the same order in double precision: rounding only
    assert figures["relative_difference_from_plain_numpy"] < 1e-7


def test_the_plain_engine_keeps_the_truth_and_moves_towards_it():
    rng = np.random.default_rng(0)
    truth = np.exp(1j * rng.random((20, 20)))
    probe = np.exp(1j * rng.random((2, 16, 16)))
    corners = np.array([[0, 0], [0, 4], [4, 0], [4, 4]])
    boxes = [truth[row : row + 16, column : column + 16] for row, column in corners]
    intensities = np.array([(abs(np.fft.fft2(probe * box, norm="ortho")) ** 2).sum(axis=0) for box in boxes])
    object, kept = truth.copy(), probe.copy()
    _plain_ptychography.iterate(object, kept, intensities, corners, range(4))
    np.testing.assert_allclose(object, truth, atol=1e-12)
    np.testing.assert_allclose(kept, probe, atol=1e-12)
    object = truth + 0.1 * rng.standard_normal(truth.shape)
    before = np.linalg.norm(object - truth)
    for _ in range(20):
        _plain_ptychography.iterate(object, kept, intensities, corners, range(4))
    assert np.linalg.norm(object - truth) < 0.7 * before


@pytest.fixture(scope="module")
def dequantization_report(tmp_path_factory):
    """Run the demo of de-quantization on small images, once."""
    folder = tmp_path_factory.mktemp("dequantization")
    with pytest.MonkeyPatch.context() as patch:
        small = partial(dequantization_chapter.write, sky_size=96, function_size=32, rounds=2)
        patch.setattr(dequantization_chapter, "write", small)
        return demo.run(["dequantization"], folder)


def test_the_chapter_on_dequantization_is_whole(dequantization_report):
    html = dequantization_report.read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 5
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html)
    names = ("sky", "profile", "functions", "quality", "time")
    pictures = {path.name for path in (dequantization_report.parent / "pictures").iterdir()}
    assert pictures == {f"dequantization-{name}.png" for name in names}


def test_figures_of_dequantization_in_the_report_are_measured(dequantization_report):
    report = json.loads((dequantization_report.parent / "report.json").read_text())
    figures = report["systems"]["dequantization"]
    example = function_example("Rosenbrock", 3, 32)
    for way in ("zero padding", "plate"):
        psnr, _ = score(example, METHODS[way](example))
        assert figures["psnr_ssim"]["Rosenbrock"]["3"][way][0] == pytest.approx(psnr, abs=0.01)
    # of two bits without noise the plate makes most, and noise is what relaxed bins are for
    for name in ("Gaussian", "Rosenbrock"):
        by_way = figures["psnr_ssim"][name]["2"]
        assert max(by_way, key=lambda way: by_way[way][0]) == "plate"
    assert (
        figures["psnr_ssim"]["sky"]["4"]["plate, relaxed"][0] > figures["psnr_ssim"]["sky"]["4"]["plate"][0]
    )
    assert max(figures["energy_above_minimum"].values()) <= dequantization_chapter.GAP
    assert figures["rms_difference_from_plain_numpy"] < 0.05
    assert set(figures["times_as_fast"]) >= {"plain NumPy", "dequantize, 1 thread"}


def test_zero_padding_gives_the_figures_of_the_paper():
    # table 1: PSNR and SSIM to four digits
    table = {
        ("Gaussian", 2): (17.0239, 0.4174), ("Gaussian", 3): (23.0882, 0.7585),
        ("Gaussian", 5): (35.6112, 0.9831), ("Rosenbrock", 2): (19.3146, 0.3118),
        ("Rosenbrock", 3): (24.5547, 0.5317), ("Rosenbrock", 5): (36.4029, 0.8999),
    }  # fmt: skip
    for (name, bits), expected in table.items():
        example = function_example(name, bits)
        assert score(example, METHODS["zero padding"](example)) == pytest.approx(expected, abs=6e-5)


def test_the_foreground_of_the_sky_does_not_count():
    example = sky_example(4)
    assert 0.1 < example.left.mean() < 0.4
    values = METHODS["middle of the bins"](example)
    psnr, _ = score(example, values)
    values[:, example.left] = 255
    assert score(example, values)[0] == psnr


def test_the_plain_iteration_lowers_the_energy_within_the_bins():
    lower = function_example("Gaussian", 3).codes[0].astype(float)
    energies = []

    def look(values):
        assert ((lower <= values) & (values <= lower + 1)).all()
        energies.append(_plain_dequantization.bending_energy(values))
        return len(energies) == 20

    _plain_dequantization.iterate(lower, lower + 1, 1000, coarse_steps=100, callback=look, every=5)
    assert len(energies) == 20
    assert (np.diff(energies) < 0).all()


@pytest.fixture(scope="module")
def fusion_report(tmp_path_factory):
    """Run the demo of transport and fusion on a small scene, once."""
    folder = tmp_path_factory.mktemp("fusion")
    with pytest.MonkeyPatch.context() as patch:
        small = partial(
            fusion_chapter.write, shape=(48, 64), bands=32, shape_sizes=(32, 48), iterations=30, rounds=2
        )
        patch.setattr(fusion_chapter, "write", small)
        return demo.run(["fusion"], folder)


def test_the_chapter_on_fusion_is_whole(fusion_report):
    html = fusion_report.read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 5
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html)
    names = ("angles", "colours", "iterations", "shapes", "spectra")
    pictures = {path.name for path in (fusion_report.parent / "pictures").iterdir()}
    assert pictures == {f"fusion-{name}.png" for name in names}


def test_figures_of_fusion_in_the_report_are_measured(fusion_report):
    figures = json.loads((fusion_report.parent / "report.json").read_text())["systems"]["fusion"]
    seen, scores = scene((48, 64), 32), figures["scores"]
    coarse = upsample(seen.hyperspectral, RATIO)
    assert scores["hyperspectral, interpolated"]["sam"] == pytest.approx(sam(coarse, seen.cube))
    relative = rmse(coarse, seen.cube) / seen.cube.mean()
    assert scores["hyperspectral, interpolated"]["rmse"] == pytest.approx(relative)
    # the barycenter is better than the means of the same estimates, by whatever measure
    for name in ("arithmetic mean", "geometric mean"):
        assert scores[fusion_chapter.PAPER]["rmse"] < scores[name]["rmse"]
        assert scores[fusion_chapter.PAPER]["sam"] < scores[name]["sam"]
    for name, (iterations, errors) in figures["rmse_after_iterations"].items():
        assert iterations[-1] == 30
        assert errors[-1] == pytest.approx(scores[name]["rmse"], rel=1e-6)


def test_plain_numpy_and_the_library_find_the_same_barycenters(fusion_report):
    figures = json.loads((fusion_report.parent / "report.json").read_text())["systems"]["fusion"]
    assert len(figures["rms_difference_from_plain_numpy"]) == 3
    for differences in figures["rms_difference_from_plain_numpy"].values():
        for name, difference in differences.items():
            assert difference < (1e-10 if "float64" in name else 1e-5)
    for ratios in figures["times_as_fast"].values():
        assert set(ratios) >= {"plain NumPy, float64", "fastimg, float64, 1 thread"}


def test_both_images_are_the_scene_with_the_noise_that_is_named():
    seen = scene((48, 64), 16)
    assert seen.cube.shape == (48, 64, 16)
    assert seen.cube.dtype == np.float32
    assert seen.cube.min() > 0
    assert seen.cube.max() < 2
    clean = simulate_pair(seen.cube, seen.response, ratio=RATIO, blur=starck_murtagh())
    for image, expected, decibels in zip(
        (seen.hyperspectral, seen.multispectral), clean, (SNR_H, SNR_M), strict=True
    ):
        ratio = np.mean(expected**2, axis=(0, 1)) / np.mean((image - expected) ** 2, axis=(0, 1))
        # of 192 samples a band, the variance is known to a tenth
        assert 10 * np.log10(ratio.mean()) == pytest.approx(decibels, abs=1)


def test_shapes_are_measures_of_mass_one():
    for shape in shapes(50):
        assert shape.shape == (50, 50)
        assert shape.min() == 0
        assert shape.sum() == pytest.approx(1)


def test_the_plain_barycenter_has_the_marginals_of_a_barycenter():
    rng = np.random.default_rng(0)
    measures = rng.random((2, 6, 5, 4)) + 0.1
    measures /= measures.sum(axis=(1, 2, 3), keepdims=True)
    mean = _plain_fusion.barycenter(measures, [[0, 0, 1.0], [0.8, 0.8, 0]], [0.3, 0.7], 1000)
    # the first kernel moves mass along the last axis, the second in the plane only
    np.testing.assert_allclose(mean.sum(axis=2), measures[0].sum(axis=2), rtol=1e-12)
    np.testing.assert_allclose(mean.sum(axis=(0, 1)), measures[1].sum(axis=(0, 1)), rtol=1e-12)


def test_candidates_take_turns():
    order = []
    timings = interleaved(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")},
        rounds=3,
        seconds_per_sample=0.0,
    )
    # two calls each to warm up and to estimate, then in turns
    assert "".join(order)[4:] == "ababab"
    assert all(len(timing.samples) == 3 for timing in timings.values())


def test_a_ratio_is_taken_within_each_round():
    slow, fast = Timing((2.0, 40.0, 6.0), 1), Timing((1.0, 10.0, 3.0), 1)
    assert median_ratio(slow, fast) == 2.0
