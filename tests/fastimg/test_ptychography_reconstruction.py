"""Results in files and pictures."""

import pickle

import h5py
import numpy as np
import pytest

from fastimg.ptychography import PositionRefinement, Reconstruction, reconstruct
from tests.fastimg.ptychography_cases import experiment, with_wrong_probe


@pytest.fixture(scope="module")
def found(xp):
    scan = with_wrong_probe(experiment()[0]).to(xp)
    return reconstruct(scan, modes=2, iterations=3, position_refinement=PositionRefinement(start=1))


def test_a_file_gives_back_everything(found, to_host, tmp_path):
    assert found.save(tmp_path / "result.h5") == tmp_path / "result.h5"
    read = Reconstruction.load(tmp_path / "result.h5")
    for name in ("object", "probe", "positions", "dose"):
        expected = to_host(getattr(found, name))
        np.testing.assert_array_equal(getattr(read, name), expected)
        assert getattr(read, name).dtype == expected.dtype
    assert read.origin == found.origin
    assert read.object_pixel is found.object_pixel is None
    assert dict(read.parameters) == dict(found.parameters)
    assert {name: list(values) for name, values in read.history.items()} == {
        name: list(values) for name, values in found.history.items()
    }
    assert set(read.state) == set(found.state)


def test_viewers_find_plottable_data(found, tmp_path):
    found.save(tmp_path / "result.h5")
    with h5py.File(tmp_path / "result.h5") as file:
        entry = file[file.attrs["default"]]
        assert entry.attrs["NX_class"] == "NXentry"
        for name in (entry.attrs["default"], "probe"):
            group = entry[name]
            assert group.attrs["NX_class"] == "NXdata"
            signal = group[group.attrs["signal"]]
            axes = group.attrs["axes"]
            assert [len(group[axis]) for axis in axes] == list(signal.shape)
            assert all(group[axis].attrs["units"] == "pixel" for axis in axes if axis != "mode")
            np.testing.assert_array_equal(signal[()], np.abs(group["complex"][()]))


@pytest.mark.host_only
def test_a_file_cut_in_half_is_told(found, tmp_path):
    path = found.save(tmp_path / "result.h5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"result\.h5 is not a whole HDF5 file"):
        Reconstruction.load(path)


@pytest.mark.host_only
def test_other_files_are_told(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["data"] = 1
    with pytest.raises(ValueError, match=r"other\.h5 is not a reconstruction"):
        Reconstruction.load(path)
    for name, value in (("entry", 1), ("entry/program_name", 2), ("entry/history", 3)):
        with h5py.File(path, "w") as file:
            file[name] = value
        with pytest.raises(ValueError, match=r"other\.h5 is not a reconstruction"):
            Reconstruction.load(path)
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        Reconstruction.load(tmp_path / "nothing.h5")


@pytest.mark.host_only
def test_an_interrupted_write_leaves_the_old_file(found, tmp_path, monkeypatch):
    path = found.save(tmp_path / "result.h5")
    before = path.read_bytes()
    monkeypatch.setattr(np, "angle", None)  # fails while the object is written
    with pytest.raises(TypeError):
        found.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["result.h5"]


def test_a_plot_shows_object_modes_and_error(found, tmp_path):
    pytest.importorskip("matplotlib")
    figure = found.plot()
    titles = [axis.get_title() for axis in figure.axes]
    assert {"amplitude", "phase (rad)"} <= set(titles)
    assert sum(title.startswith("mode") for title in titles) == 2
    figure.savefig(tmp_path / "result.png", dpi=20)


def test_a_result_describes_itself(found):
    assert "2 modes of 16², 36 positions, 3 iterations, error" in repr(found)


@pytest.mark.host_only
def test_a_result_can_be_sent_to_another_process(found):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).object, found.object)


@pytest.mark.host_only
def test_a_result_cannot_be_changed_by_accident(found):
    with pytest.raises(AttributeError):
        found.object = 1
