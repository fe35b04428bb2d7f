"""CXI files: what is written where, what is read of files from elsewhere, and what is refused."""

import h5py
import numpy as np
import pytest

from fastimg.io import CXIScan, read_cxi, write_cxi

pytestmark = pytest.mark.host_only

DETECTOR = "entry_1/instrument_1/detector_1"
SOURCE = "entry_1/instrument_1/source_1"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.cxi"


@pytest.fixture
def foreign(path):
    """Return a function that writes a file of the least that a scan needs, and more by its paths."""

    def write(frames, translation=None, **datasets):
        with h5py.File(path, "w") as file:
            file["entry_1/data_1/data"] = frames
            file["entry_1/data_1/translation"] = (
                np.zeros((len(frames), 3)) if translation is None else translation
            )
            for name, value in datasets.items():
                group = SOURCE if name in ("energy", "wavelength", "illumination") else DETECTOR
                file[f"{group}/{name}"] = value
        return path

    return write


def full(rng):
    return CXIScan(
        intensities=rng.poisson(3, (4, 6, 6)).astype(np.float32),
        translation=rng.normal(size=(4, 3)),
        wavelength=1.5e-10,
        distance=4.2,
        x_pixel_size=55e-6,
        y_pixel_size=55e-6,
        mask=rng.random((6, 6)) < 0.7,
        basis_vectors=np.array([[0, -55e-6, 0], [-55e-6, 0, 0]]),
        probe=rng.normal(size=(2, 6, 6, 2)) @ [1, 1j],
        propagator="near-field",
        focus_distance=0.1,
    )


def test_what_is_written_is_read(path, rng):
    scan = full(rng)
    write_cxi(path, scan)
    read = read_cxi(path)
    for name in CXIScan.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(read, name), getattr(scan, name))


def test_what_is_written_is_cxi_1_6(path, rng):
    scan = full(rng)
    write_cxi(path, scan)
    with h5py.File(path) as file:
        assert file["cxi_version"][()] == 160
        assert file["number_of_entries"][()] == 1
        assert file[f"{DETECTOR}/data"].attrs["axes"] == "translation:y:x"
        for link in ("entry_1/data_1/data", "entry_1/data_1/translation", f"{DETECTOR}/translation"):
            assert isinstance(file.get(link, getlink=True), h5py.SoftLink)
        assert file["entry_1/data_1/data"] == file[f"{DETECTOR}/data"]
        np.testing.assert_array_equal(file["entry_1/sample_1/geometry_1/translation"], scan.translation)
        # joules
        assert file[f"{SOURCE}/energy"][()] == pytest.approx(6.62607015e-34 * 299792458 / 1.5e-10)
        mask = file[f"{DETECTOR}/mask"]
        assert mask.dtype == np.uint32
        np.testing.assert_array_equal(mask[()] == 0, scan.mask)
        # what silx and napari open first
        signal = file[file.attrs["default"]]
        while "signal" not in signal.attrs:
            signal = signal[signal.attrs["default"]]
        assert signal[signal.attrs["signal"]].shape == (4, 6, 6)


@pytest.mark.parametrize("compression", ["lzf", "gzip"])
def test_frames_can_be_compressed(path, compression):
    write_cxi(path, CXIScan(np.ones((9, 64, 64), np.float32), np.zeros((9, 3))), compression=compression)
    assert path.stat().st_size < 9 * 64 * 64
    np.testing.assert_array_equal(read_cxi(path).intensities, 1)


def test_a_write_that_fails_leaves_the_old_file(path, rng):
    write_cxi(path, full(rng))
    with pytest.raises(TypeError):
        write_cxi(path, CXIScan(np.ones((2, 4, 4)), [object()]))
    assert len(read_cxi(path).intensities) == 4
    assert [file.name for file in path.parent.iterdir()] == ["scan.cxi"]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", "float32"),
        ("int32", "float32"),
        ("uint64", "float32"),
        (">f4", "float32"),
        ("f8", "float64"),
    ],
)
def test_counts_become_floats(foreign, rng, dtype, expected):
    frames = rng.integers(0, 100, (3, 4, 4)).astype(dtype)
    read = read_cxi(foreign(frames)).intensities
    assert read.dtype == expected
    np.testing.assert_array_equal(read, frames)


@pytest.mark.parametrize(
    ("size", "center", "rows", "columns"),
    [
        (None, None, (0, 8), (1, 9)),  # the largest around the middle, [4, 5]
        (4, None, (2, 6), (3, 7)),
        (5, None, (2, 7), (3, 8)),
        (None, (2, 6), (0, 5), (4, 9)),  # odd, because the upper edge is 2 pixels away
        (None, (3.6, 6.2), (0, 8), (2, 10)),
        (2, (7, 9), (6, 8), (8, 10)),
    ],
)
def test_the_centre_of_the_square_comes_to_its_middle(foreign, rng, size, center, rows, columns):
    frames = rng.random((3, 8, 10))
    bits = (rng.random((3, 8, 10)) < 0.3).astype(np.uint16) * 512
    scan = read_cxi(foreign(frames, mask=bits), size=size, center=center)
    square = np.s_[:, slice(*rows), slice(*columns)]
    np.testing.assert_array_equal(scan.intensities, frames[square])
    np.testing.assert_array_equal(scan.mask, bits[square] == 0)


@pytest.mark.parametrize("frames", [slice(2, None), slice(None, -1), slice(1, 9, 3), slice(-2, None)])
def test_some_frames_are_read(foreign, rng, frames):
    counts, places = rng.random((7, 4, 4)), rng.random((7, 3))
    mask = (rng.random((7, 4, 4)) < 0.3).astype(int)
    scan = read_cxi(foreign(counts, places, mask=mask), frames=frames)
    np.testing.assert_array_equal(scan.intensities, counts[frames])
    np.testing.assert_array_equal(scan.translation, places[frames])
    np.testing.assert_array_equal(scan.mask, mask[frames] == 0)


def test_frames_are_read_in_parts(foreign, rng, monkeypatch):
    monkeypatch.setattr("fastimg.io._cxi_datasets._PART_BYTES", 3 * 4 * 4 * 8)
    counts = rng.random((11, 4, 4))
    np.testing.assert_array_equal(read_cxi(foreign(counts)).intensities, counts)
    np.testing.assert_array_equal(
        read_cxi(foreign(counts), frames=slice(1, None, 2)).intensities, counts[1::2]
    )


@pytest.mark.parametrize("shape", [(5, 3), (5, 2), (3, 5), (2, 5)])
def test_translations_of_two_or_three_coordinates_are_read_either_way_up(foreign, rng, shape):
    places = rng.random(shape)
    rows = places if len(places) == 5 else places.T
    read = read_cxi(foreign(np.ones((5, 4, 4)), places)).translation
    assert read.shape == (5, 3)
    np.testing.assert_array_equal(read[:, : rows.shape[1]], rows)


def test_the_wavelength_comes_from_the_energy_too(foreign):
    frames = np.ones((2, 4, 4))
    joules = 8000 * 1.602176634e-19
    expected = 6.62607015e-34 * 299792458 / joules
    assert read_cxi(foreign(frames, energy=joules)).wavelength == pytest.approx(expected)
    assert read_cxi(foreign(frames, energy=np.full(2, joules))).wavelength == pytest.approx(expected)
    assert read_cxi(foreign(frames, energy=1.0, wavelength=2e-10)).wavelength == 2e-10
    assert read_cxi(foreign(frames)).wavelength is None


def test_units_that_a_file_names_are_heeded(foreign):
    path = foreign(np.ones((2, 4, 4)), np.ones((2, 3)), energy=8.0, distance=2000.0)
    with h5py.File(path, "a") as file:
        file[f"{SOURCE}/energy"].attrs["units"] = "keV"
        file[f"{DETECTOR}/distance"].attrs["units"] = np.bytes_("mm")
        file["entry_1/data_1/translation"].attrs["units"] = "um"
    scan = read_cxi(path)
    assert scan.wavelength == pytest.approx(1.5498e-10, rel=1e-4)
    assert scan.distance == 2.0
    np.testing.assert_allclose(scan.translation, 1e-6)
    with h5py.File(path, "a") as file:
        file[f"{DETECTOR}/distance"].attrs["units"] = "furlong"
    with pytest.raises(ValueError, match=r"detector_1/distance is in 'furlong'"):
        read_cxi(path)


def test_negative_counts_are_an_error_or_clipped(foreign):
    frames = np.ones((3, 4, 4))
    frames[1, 2, 3] = -0.5
    path = foreign(frames)
    with pytest.raises(
        ValueError, match=r"scan\.cxi, /entry_1/data_1/data has negative, .* in frame 1; clip=True"
    ):
        read_cxi(path)
    np.testing.assert_array_equal(read_cxi(path, clip=True).intensities, np.maximum(frames, 0))


def test_counts_that_were_not_measured_may_be_anything(foreign):
    frames, bits = np.ones((3, 4, 4)), np.zeros((4, 4), int)
    frames[1, 2, 3], bits[2, 3] = np.nan, 1
    with pytest.raises(ValueError, match=r"data has negative, NaN or infinite counts .* in frame 1"):
        read_cxi(foreign(frames))
    assert np.isnan(read_cxi(foreign(frames, mask=bits)).intensities[1, 2, 3])


def test_a_probe_of_another_size_is_left_out(foreign, rng):
    probe = rng.normal(size=(8, 8)) + 0j
    path = foreign(np.ones((2, 8, 8)), illumination=probe)
    np.testing.assert_array_equal(read_cxi(path).probe, probe)
    assert read_cxi(path, size=4).probe is None


def test_a_file_cut_short_is_named(path, rng):
    write_cxi(path, full(rng))
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"scan\.cxi.* cannot be read"):
            read_cxi(path)


def test_a_chunk_that_is_damaged_is_named_by_its_dataset(path, rng):
    scan = CXIScan(rng.poisson(1, (4, 64, 64)).astype(np.float32), np.zeros((4, 3)))
    write_cxi(path, scan, compression="gzip")
    with h5py.File(path) as file:
        chunk = file[f"{DETECTOR}/data"].id.get_chunk_info(2)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"scan\.cxi, /entry_1/instrument_1/detector_1/data cannot be read"):
        read_cxi(path)


def test_a_missing_file_is_an_os_error(path):
    with pytest.raises(FileNotFoundError):
        read_cxi(path)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {"entry_1/data_1/data": None},
            {},
            "has no entry_1/instrument_1/detector_1/data; it is not a CXI file",
        ),
        ({"entry_1/data_1/data": np.ones((3, 4))}, {}, r"data has shape \(3, 4\) and dtype float64"),
        (
            {"entry_1/data_1/data": np.ones((3, 4, 4), complex)},
            {},
            "dtype complex128; accepted are real frames",
        ),
        ({"entry_1/data_1/data": np.ones((0, 4, 4))}, {}, r"shape \(0, 4, 4\)"),
        ({"entry_1/data_1/translation": None}, {}, "has no entry_1/sample_1/geometry_1/translation"),
        (
            {"entry_1/data_1/translation": np.ones((4, 3))},
            {},
            r"translation has shape \(4, 3\); accepted is \(3, 3\)",
        ),
        ({"entry_1/data_1/translation": np.full((3, 3), np.nan)}, {}, "translation contains NaN"),
        ({f"{DETECTOR}/mask": np.ones((4, 5))}, {}, r"mask has shape \(4, 5\)"),
        ({f"{DETECTOR}/distance": np.nan}, {}, "distance is .*nan.*; accepted is a finite number"),
        ({f"{DETECTOR}/distance": [1.0, 2.0]}, {}, "the same for all frames"),
        ({f"{DETECTOR}/distance": "far"}, {}, "distance is .*; accepted is a finite number"),
        (
            {f"{DETECTOR}/basis_vectors": np.zeros((2, 3))},
            {},
            r"basis_vectors has shape \(2, 3\); accepted are two",
        ),
        ({f"{SOURCE}/energy": 8000.0}, {}, "energy is 8000, which is no photon's energy in joules"),
        ({}, {"size": 5}, r"size is 5; accepted around the center \(2, 2\) is at most 4 pixels"),
        ({}, {"size": 0}, "size is 0"),
        ({}, {"center": (4, 9)}, r"center is \(4, 9\), beyond the frames of 4 × 4"),
        ({}, {"frames": slice(5, None)}, "accepted are rising slices of the 3 frames"),
        ({}, {"frames": slice(None, None, -1)}, "accepted are rising slices of the 3 frames"),
    ],
)
def test_what_is_wrong_is_named(foreign, change, options, message):
    path = foreign(np.ones((3, 4, 4)))
    with h5py.File(path, "a") as file:
        for name, value in change.items():
            if name in file:
                del file[name]
            if value is not None:
                file[name] = value
    with pytest.raises(ValueError, match=message):
        read_cxi(path, **options)
