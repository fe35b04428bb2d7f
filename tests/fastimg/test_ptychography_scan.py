"""``Scan``: what it takes, what it refuses, selections, geometry, CXI files."""

import dataclasses
import tracemalloc

import h5py
import numpy as np
import pytest

from fastimg.ptychography import Scan, gaussian_probe, probe_modes
from fastimg.ptychography._propagators import scan_transfer
from tests.fastimg.ptychography_data import siemens_star

LENGTHS = {"wavelength": 1.5e-10, "distance": 2.0, "detector_pixel": 75e-6}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def make(rng, to_device):
    """Return a function that makes a scan of 5 frames of 8 × 8 pixels."""

    def scan(frames=5, size=8, **given):
        counts = rng.poisson(5.0, (frames, size, size)).astype(np.float32)
        arrays = {"intensities": counts, "positions": rng.uniform(0, 20, (frames, 2))} | given
        return Scan(**{k: to_device(v) if isinstance(v, np.ndarray | list) else v for k, v in arrays.items()})

    return scan


def test_float_frames_are_not_copied(to_device, xp):
    counts = to_device(np.ones((3, 8, 8), np.float32))
    scan = Scan(counts, to_device(np.zeros((3, 2))))
    assert scan.intensities is counts
    assert xp.shares_memory(scan[1:].intensities, counts)
    assert Scan(counts.astype("f8"), to_device(np.zeros((3, 2)))).intensities.dtype == np.float64


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint32", "int64", "float16"])
def test_integers_become_float32(to_device, to_host, dtype):
    counts = np.arange(3 * 16).reshape(3, 4, 4).astype(dtype)
    scan = Scan(to_device(counts), to_device(np.zeros((3, 2), np.float32)))
    assert scan.intensities.dtype == np.float32
    assert scan.positions.dtype == np.float64
    np.testing.assert_array_equal(to_host(scan.intensities), counts)


def test_lists_and_strided_read_only_byte_swapped_frames_are_taken(rng):
    frames = rng.random((6, 4, 4)).astype(">f8")
    frames.flags.writeable = False
    scan = Scan(frames[::-2], [[0, 0], [1, 2], [3, 4]])
    assert scan.intensities.dtype == np.dtype("f8")
    assert scan.intensities.flags.c_contiguous
    np.testing.assert_array_equal(scan.intensities, frames[::-2])
    assert Scan(frames.tolist(), np.zeros((6, 2))).intensities.dtype == np.float64


@pytest.mark.parametrize("size", [8, 9])
def test_centered_frames_are_those_of_an_fft(rng, to_device, to_host, size):
    frames, mask = rng.integers(0, 9, (3, size, size), np.uint16), rng.random((size, size)) < 0.8
    scan = Scan.centered(to_device(frames), to_device(np.zeros((3, 2))), mask=to_device(mask), **LENGTHS)
    assert scan.intensities.dtype == np.float32
    np.testing.assert_array_equal(to_host(scan.intensities), np.fft.ifftshift(frames, axes=(1, 2)))
    np.testing.assert_array_equal(to_host(scan.mask), np.fft.ifftshift(mask))
    assert scan.wavelength == LENGTHS["wavelength"]


def test_a_near_field_has_no_zero_frequency_to_be_moved(rng):
    with pytest.raises(ValueError, match="a near field has no zero frequency"):
        Scan.centered(rng.random((3, 8, 8)), np.zeros((3, 2)), propagator="near-field", **LENGTHS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1])
def test_wrong_counts_are_named_unless_they_were_not_measured(make, rng, to_host, bad):
    counts = rng.random((5, 8, 8))
    counts[3, 2, 1] = bad
    with pytest.raises(ValueError, match=r"intensities has negative, NaN or infinite counts .* in frame 3"):
        make(intensities=counts)
    mask = np.ones((8, 8), bool)
    with pytest.raises(ValueError, match="in frame 3"):
        make(intensities=counts, mask=mask)
    mask[2, 1] = False
    np.testing.assert_array_equal(to_host(make(intensities=counts, mask=mask).intensities), counts)
    every = np.ones((5, 8, 8), bool)
    every[3, 2, 1] = False
    make(intensities=counts, mask=every)
    every[[3, 4], 2, 1] = True, False
    with pytest.raises(ValueError, match="in frame 3"):
        make(intensities=counts, mask=every)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"intensities": np.ones((5, 8, 9))}, r"intensities has shape \(5, 8, 9\); accepted is \(J, N, N\)"),
        ({"intensities": np.ones((8, 8))}, r"intensities has shape \(8, 8\)"),
        ({"intensities": np.ones((0, 8, 8))}, r"intensities has shape \(0, 8, 8\)"),
        ({"positions": np.ones((4, 2))}, r"positions has shape \(4, 2\); accepted is \(5, 2\)"),
        ({"positions": np.ones((5, 3))}, r"positions has shape \(5, 3\)"),
        ({"positions": np.full((5, 2), np.nan)}, "positions contains NaN"),
        ({"mask": np.ones((8, 9), bool)}, r"mask has shape \(8, 9\); accepted are \(8, 8\) and \(5, 8, 8\)"),
        ({"mask": np.zeros((8, 8), bool)}, "mask is False everywhere"),
        ({"probe": np.ones((7, 7))}, r"probe has shape \(1, 7, 7\)"),
        ({"probe": np.full((8, 8), np.inf)}, "probe contains NaN or infinity"),
        ({"wavelength": 0}, "wavelength is 0"),
        ({"distance": -1.0}, "distance is -1.0"),
        ({"detector_pixel": np.inf}, "detector_pixel is inf"),
        ({"propagator": "fresnel"}, "propagator is 'fresnel'; accepted are 'far-field' and 'near-field'"),
        ({"propagator": "near-field"}, "wavelength is None; accepted for the near field"),
        ({"focus_distance": 0.1}, "focus_distance is 0.1 and propagator 'far-field'"),
        ({"propagator": "near-field", **LENGTHS, "focus_distance": 0.0}, "focus_distance is 0.0"),
        ({"propagator": "near-field", **LENGTHS, "focus_distance": -1.5}, "focus_distance is -1.5"),
    ],
)
def test_what_is_wrong_is_named(make, given, message):
    with pytest.raises(ValueError, match=message):
        make(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"intensities": np.ones((5, 8, 8), complex)}, "intensities has dtype complex128"),
        ({"mask": np.ones((8, 8), np.uint8)}, "mask has dtype uint8; accepted is bool"),
        ({"wavelength": "1e-10"}, "wavelength is '1e-10'"),
        ({"propagator": "near-field", **LENGTHS, "focus_distance": "1"}, "focus_distance is '1'"),
    ],
)
def test_wrong_types_are_named(make, given, message):
    with pytest.raises(TypeError, match=message):
        make(**given)


def test_masked_arrays_are_refused():
    with pytest.raises(TypeError, match="intensities is a masked array"):
        Scan(np.ma.ones((3, 8, 8)), np.zeros((3, 2)))


def test_data_does_not_move_to_a_gpu_unasked(xp, to_device):
    if xp is np:
        pytest.skip("there is one kind of array")
    with pytest.raises(TypeError, match="intensities on a GPU but positions on the CPU"):
        Scan(to_device(np.ones((3, 8, 8))), np.zeros((3, 2)))


def test_a_scan_moves_when_it_is_told_to(make, xp, to_host):
    probe = probe_modes(gaussian_probe(8, 3), 2)
    scan = make(mask=np.eye(8) == 0, probe=probe, **LENGTHS)
    host = scan.to(np)
    assert host.namespace is np
    assert scan.to(xp) is scan
    back = host.to(xp)
    for name in ("intensities", "positions", "mask", "probe"):
        assert type(getattr(back, name)) is xp.ndarray
        np.testing.assert_array_equal(to_host(getattr(back, name)), getattr(host, name))
    assert back.object_pixel == scan.object_pixel


@pytest.mark.parametrize(
    "selection",
    [
        slice(1, 4),
        slice(None, None, 2),
        slice(None, None, -1),
        [3, 0],
        np.array([-1, 2]),
        [True, False] * 2 + [True],
    ],
)
def test_a_selection_is_a_scan_of_these_frames(make, to_host, selection):
    mask = np.random.default_rng(1).random((5, 8, 8)) < 0.9
    scan = make(mask=mask, **LENGTHS)
    chosen, index = scan[selection], np.arange(5)[selection]
    for name in ("intensities", "positions", "mask"):
        array = getattr(chosen, name)
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(to_host(array), to_host(getattr(scan, name))[index])
    assert len(chosen) == len(index)
    assert chosen.detector_pixel == scan.detector_pixel


def test_a_selection_on_the_device_is_taken_too(make, to_device, to_host):
    scan = make()
    np.testing.assert_array_equal(
        to_host(scan[to_device(np.array([4, 1]))].positions), to_host(scan.positions)[[4, 1]]
    )


@pytest.mark.parametrize(
    ("selection", "error", "message"),
    [
        (3, TypeError, "the selection is 3; accepted are slices"),
        ([0.5], TypeError, "accepted are slices"),
        ([5], IndexError, "frames beyond the 5"),
        ([], IndexError, "none of the 5 frames"),
        (slice(9, None), IndexError, "none of the 5 frames"),
        ([True, False], IndexError, "2 truth values; accepted are 5"),
    ],
)
def test_a_selection_of_nothing_is_refused(make, selection, error, message):
    with pytest.raises(error, match=message):
        make()[selection]


def test_a_loop_over_a_scan_gives_scans_of_one_frame(make):
    assert [len(frame) for frame in make()] == [1] * 5


def test_the_smallest_object_holds_every_box_whatever_the_origin(make):
    places = np.array([[0.4, 3.0], [7.6, 1.0], [2.0, 10.4]])
    assert make(frames=3, positions=places).object_shape == (8 + 8, 9 + 8)
    assert make(frames=3, positions=places - [100, 50]).object_shape == (8 + 8, 9 + 8)


def test_the_object_pixel_follows_from_the_geometry(make):
    assert make().object_pixel is None
    assert make(**LENGTHS).object_pixel == pytest.approx(1.5e-10 * 2 / (8 * 75e-6))
    near = {**LENGTHS, "propagator": "near-field"}
    assert make(**near).object_pixel == 75e-6
    assert make(**near, focus_distance=0.5).object_pixel == pytest.approx(75e-6 / 5)
    # a beam that converges far behind the detector makes the frame smaller than the sample
    assert make(**near, focus_distance=-8.0).object_pixel == pytest.approx(75e-6 / 0.75)


def test_a_scan_cannot_be_changed_but_replaced(make):
    scan = make(**LENGTHS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        scan.distance = 3.0
    assert dataclasses.replace(scan, distance=4.0).object_pixel == pytest.approx(2 * scan.object_pixel)


def test_only_the_near_field_has_a_transfer_function(make, xp, to_host):
    none = scan_transfer(make())
    assert none.shape == (0, 8, 8)
    assert none.dtype == np.complex64
    near = make(intensities=np.ones((5, 8, 8)), propagator="near-field", **LENGTHS)
    transfer = scan_transfer(near)
    assert type(transfer) is xp.ndarray
    assert transfer.shape == (1, 8, 8)
    assert transfer.dtype == np.complex128
    np.testing.assert_allclose(abs(to_host(transfer)), 1)


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("modes", [1, 3])
def test_a_file_gives_back_the_scan(make, tmp_path, rng, modes, compression):
    mask = rng.random((5, 8, 8)) < 0.9
    probe = probe_modes(gaussian_probe(8, 3, curvature=1), modes)
    scan = make(mask=mask, probe=probe, **LENGTHS)
    scan.to_cxi(tmp_path / "scan.cxi", compression=compression)
    read = Scan.from_cxi(tmp_path / "scan.cxi")
    host = scan.to(np)
    for name in ("intensities", "mask", "probe"):
        found, expected = getattr(read, name), getattr(host, name)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(read.positions, host.positions, rtol=1e-14)
    for name in ("wavelength", "distance", "detector_pixel", "propagator", "focus_distance"):
        assert getattr(read, name) == getattr(scan, name)


def test_a_file_gives_back_a_near_field_scan(make, tmp_path):
    near = {"propagator": "near-field", "focus_distance": 0.25, **LENGTHS}
    scan = make(intensities=np.random.default_rng(0).random((5, 8, 8)), **near)
    scan.to_cxi(tmp_path / "scan.cxi")
    read, host = Scan.from_cxi(tmp_path / "scan.cxi"), scan.to(np)
    np.testing.assert_array_equal(read.intensities, host.intensities)
    np.testing.assert_allclose(read.positions, host.positions, rtol=1e-14)
    assert (read.propagator, read.focus_distance) == ("near-field", 0.25)
    assert read.object_pixel == scan.object_pixel


def test_a_file_holds_metres(make, tmp_path):
    with pytest.raises(ValueError, match="distance, detector_pixel of the scan is None"):
        make(wavelength=1e-10).to_cxi(tmp_path / "scan.cxi")
    assert not list(tmp_path.iterdir())


def foreign_file(path, frames, translation, **more):
    """Write what somebody else might."""
    with h5py.File(path, "w") as file:
        file["entry_1/data_1/data"] = frames
        file["entry_1/data_1/translation"] = translation
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["distance"], detector["x_pixel_size"], detector["y_pixel_size"] = 2.0, 75e-6, 75e-6
        file["entry_1/instrument_1/source_1/energy"] = 1.986445857e-25 / 1.5e-10
        for name, value in more.items():
            file[name.replace("__", "/")] = value
    return path


@pytest.mark.host_only
def test_the_translation_of_the_sample_moves_the_beam_the_other_way(tmp_path):
    pixel = 1.5e-10 * 2 / (8 * 75e-6)
    # a sample moved up by two pixels and to the left by one, as seen downstream
    translation = np.array([[0, 0, 0], [1, 2, 0]]) * pixel
    path = foreign_file(tmp_path / "scan.cxi", np.ones((2, 8, 8)), translation)
    np.testing.assert_allclose(Scan.from_cxi(path).positions, [[0, 0], [2, 1]], atol=1e-6)
    for axes, second in {("y", "x"): [2, 1], ("-y", "x"): [-2, 1], ("x", "-y"): [1, -2]}.items():
        np.testing.assert_allclose(Scan.from_cxi(path, axes=axes).positions[1], second, atol=1e-6)


@pytest.mark.host_only
def test_basis_vectors_tell_how_the_detector_is_turned(tmp_path):
    pixel = 1.5e-10 * 2 / (8 * 75e-6)
    translation = np.array([[0, 0, 0], [1, 2, 0]]) * pixel
    # a detector that is read from the bottom up, column by column
    basis = np.array([[-75e-6, 0, 0], [0, 75e-6, 0]])
    path = foreign_file(
        tmp_path / "scan.cxi",
        np.ones((2, 8, 8)),
        translation,
        entry_1__instrument_1__detector_1__basis_vectors=basis,
    )
    np.testing.assert_allclose(Scan.from_cxi(path).positions[1], [1, -2], atol=1e-6)


@pytest.mark.host_only
def test_a_square_around_the_direct_beam_is_cut_out(tmp_path, rng):
    frames = rng.integers(0, 100, (3, 20, 30), np.uint16)
    bits = (rng.random((20, 30)) < 0.1).astype(np.uint32) * 4
    path = foreign_file(
        tmp_path / "scan.cxi", frames, np.zeros((3, 3)), entry_1__instrument_1__detector_1__mask=bits
    )
    scan = Scan.from_cxi(path, size=8, center=(9, 17), frames=slice(1, None))
    square = np.s_[..., 5:13, 13:21]
    np.testing.assert_array_equal(np.fft.fftshift(scan.intensities, axes=(1, 2)), frames[1:][square])
    np.testing.assert_array_equal(np.fft.fftshift(scan.mask), bits[square] == 0)
    # the direct beam comes to the corner
    np.testing.assert_array_equal(scan.intensities[:, 0, 0], frames[1:, 9, 17])
    # the object pixel is that of the cut
    assert scan.object_pixel == pytest.approx(1.5e-10 * 2 / (8 * 75e-6))


@pytest.mark.host_only
def test_what_a_file_lacks_can_be_given(tmp_path):
    path = foreign_file(tmp_path / "scan.cxi", np.ones((2, 8, 8)), np.zeros((2, 3)))
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/source_1/energy"]
    with pytest.raises(
        ValueError, match=r"scan\.cxi does not tell wavelength; accepted is wavelength=… in metres"
    ):
        Scan.from_cxi(path)
    assert Scan.from_cxi(path, wavelength=2e-10, distance=3.0).object_pixel == pytest.approx(
        2e-10 * 3 / (8 * 75e-6)
    )
    with pytest.raises(TypeError, match="unexpected argument 'energy'"):
        Scan.from_cxi(path, energy=1)
    with pytest.raises(ValueError, match=r"axes is \('y', 'y'\)"):
        Scan.from_cxi(path, axes=("y", "y"))


@pytest.mark.host_only
def test_oblong_pixels_are_refused(tmp_path):
    path = foreign_file(tmp_path / "scan.cxi", np.ones((2, 8, 8)), np.zeros((2, 3)))
    with h5py.File(path, "a") as file:
        file["entry_1/instrument_1/detector_1/y_pixel_size"][()] = 50e-6
    with pytest.raises(ValueError, match=r"has pixels of 7.5e-05 × 5e-05 m; accepted are square pixels"):
        Scan.from_cxi(path)


@pytest.mark.host_only
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_frames_are_in_memory_once(tmp_path, dtype):
    path = foreign_file(tmp_path / "scan.cxi", np.ones((400, 128, 128), dtype), np.zeros((400, 3)))
    Scan.from_cxi(path, frames=slice(2))  # imports
    tracemalloc.start()
    scan = Scan.from_cxi(path)
    peak = tracemalloc.get_traced_memory()[1]
    scan.to_cxi(tmp_path / "again.cxi")
    whole = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # one block of 32 MiB more than the frames
    assert peak < scan.intensities.nbytes + (36 << 20)
    assert whole < scan.intensities.nbytes + (68 << 20)


@pytest.mark.host_only
def test_measured_frames_make_a_scan(data_dir):
    frames, positions, probe = siemens_star(data_dir)
    scan = Scan(frames, positions, probe=probe)
    assert scan.intensities is frames
    assert (len(scan), scan.probe.shape) == (516, (1, 128, 128))
    # the zero frequency is in the corner
    mean = frames.mean(axis=0)
    assert mean[:8, :8].mean() > 100 * mean[56:72, 56:72].mean()
