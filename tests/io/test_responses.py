"""Spectral responses of files: matrices as they are, and tables of curves at the wavelengths of a cube."""

import h5py
import numpy as np
import pytest
import scipy.io

from fastimg.io import read_spectral_response

pytestmark = pytest.mark.host_only

MATRIX = np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.1, 0.4, 0.5]])
TABLE = "nm, pan, blue, red\n400, 1, 1, 0\n500, 1, 1, 0\n600, 1, 0, 1\n700, 1, 0, 1\n"
WAVELENGTHS = [450.0, 520.0, 550.0, 650.0]
# blue falls and red rises from 500 to 600 nm
CURVES = np.array([[1, 0.8, 0.5, 0], [0, 0.2, 0.5, 1]])
EXPECTED = CURVES / CURVES.sum(axis=1, keepdims=True)


def save(path, matrix):
    if path.suffix in (".csv", ".txt"):
        np.savetxt(path, matrix, delimiter="," if path.suffix == ".csv" else " ")
    elif path.suffix == ".npy":
        np.save(path, matrix)
    elif path.suffix == ".npz":
        np.savez(path, response=matrix)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {"response": matrix})
    else:
        with h5py.File(path, "w") as file:
            file["response"] = matrix
    return path


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".npy", ".npz", ".mat", ".h5"])
def test_a_matrix_stays_as_it_is(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", 3 * MATRIX)
    found = read_spectral_response(path, shape=(2, 4))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, 3 * MATRIX)
    # wavelengths that are known do no harm
    np.testing.assert_array_equal(read_spectral_response(path, shape=(2, 4), wavelengths=WAVELENGTHS), found)


@pytest.mark.parametrize("columns", [[2, 3], ["blue", "red"], ["blue", 3]])
def test_curves_of_a_table_are_interpolated_and_sum_to_1(tmp_path, columns):
    (tmp_path / "a.csv").write_text(TABLE)
    found = read_spectral_response(tmp_path / "a.csv", shape=(2, 4), wavelengths=WAVELENGTHS, columns=columns)
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-14)


@pytest.mark.parametrize(
    "text",
    [
        TABLE.replace(",", ";"),
        TABLE.replace(", ", "\t"),
        TABLE.replace(",", " "),
        "# of a camera\n\n" + TABLE,
        TABLE.replace("nm, pan", "wave length, p a n"),
        "\ufeff" + TABLE,
    ],
)
def test_texts_may_be_written_in_many_ways(tmp_path, text):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    found = read_spectral_response(tmp_path / "a.txt", shape=(2, 4), wavelengths=WAVELENGTHS, columns=[2, 3])
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-14)


def test_micrometres_are_known_by_their_size(tmp_path):
    (tmp_path / "a.txt").write_text("0.4 1 0\n0.5 1 0\n0.6 0 1\n0.7 0 1\n")
    found = read_spectral_response(tmp_path / "a.txt", shape=(2, 4), wavelengths=WAVELENGTHS)
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-12)


def test_noise_below_0_does_not_count(tmp_path):
    (tmp_path / "a.txt").write_text("400 1\n500 -0.01\n600 0\n")
    found = read_spectral_response(tmp_path / "a.txt", shape=(1, 2), wavelengths=[400, 500])
    np.testing.assert_array_equal(found, [[1, 0]])


def test_a_response_that_lies_mostly_elsewhere_is_warned_of(tmp_path):
    (tmp_path / "a.txt").write_text("400 1\n500 1\n600 1\n700 1\n800 1\n")
    with pytest.warns(UserWarning, match="75 % of the response of multispectral band 1 lie outside"):
        read_spectral_response(tmp_path / "a.txt", shape=(1, 3), wavelengths=[400, 450, 500])


def test_as_many_curves_as_there_are_are_taken_where_any_number_will_do(tmp_path):
    (tmp_path / "a.csv").write_text(TABLE)
    found = read_spectral_response(tmp_path / "a.csv", shape=(None, 3), wavelengths=[450, 520, 650])
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found[1], np.array([1, 0.8, 0]) / 1.8, rtol=1e-14)
    np.savetxt(tmp_path / "b.txt", MATRIX)
    np.testing.assert_array_equal(read_spectral_response(tmp_path / "b.txt", shape=(None, 4)), MATRIX)


@pytest.mark.filterwarnings("ignore:93 % of the response")
def test_a_response_that_does_not_reach_the_bands_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text(TABLE)
    with pytest.raises(
        ValueError, match=r"a.csv: the response of multispectral band 2, .* 400 to 700 nm, is 0"
    ):
        read_spectral_response(tmp_path / "a.csv", shape=(2, 2), wavelengths=[410, 420], columns=[2, 3])


def test_the_ikonos_table_gives_four_bands_of_a_cube(data_dir):
    path = data_dir / "hyperspectral" / "ikonos_spec_resp.npz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    wavelengths = np.linspace(430, 832, 93)
    found = read_spectral_response(path, shape=(4, 93), wavelengths=wavelengths, columns=[2, 3, 4, 5])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    # blue, green, red, near infrared
    middles = found @ wavelengths
    assert (np.abs(middles - [480, 550, 665, 800]) < 30).all()
    with pytest.raises(ValueError, match=r"has 5 responses for 4 multispectral bands; .* of 1 to 5"):
        read_spectral_response(path, shape=(4, 93), wavelengths=wavelengths)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            TABLE,
            {},
            "a.csv is a table over wavelengths, but those of the 4 hyperspectral bands are not known",
        ),
        (TABLE, {"wavelengths": WAVELENGTHS}, r"3 responses for 2 .* of 1 to 3 \(pan, blue, red\)"),
        (TABLE, {"wavelengths": WAVELENGTHS, "columns": [4]}, "has no column 4; accepted are 1 to 3"),
        (TABLE, {"wavelengths": WAVELENGTHS, "columns": ["green"]}, "has no column green"),
        (TABLE, {"wavelengths": WAVELENGTHS, "columns": [1]}, "1 columns are named for 2 multispectral"),
        (TABLE, {"wavelengths": [1, 2], "columns": [1, 2]}, r"wavelengths have the shape \(2,\)"),
        ("1 2\n3 4\n5 6 7\n", {}, "a.csv, line 3: 3 numbers; the lines before have 2"),
        ("1 2\nx y\n", {}, "a.csv, line 2: 'x y' are no numbers"),
        ("nothing here", {}, "a.csv holds no numbers"),
        ("1 2 3 4\n1 nan 3 4\n", {}, "a.csv holds NaN"),
        ("1 2 3 4\n0 0 0 0\n", {}, "no response in row 2"),
        ("1 2 3 4\n0 0 -1 0\n", {}, "holds negative numbers"),
        ("2 1\n1 2\n1 2\n1 2\n", {}, r"4 × 2 numbers \(it is transposed\); accepted are 2 × 4"),
    ],
)
def test_wrong_responses_are_refused(tmp_path, text, options, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_spectral_response(tmp_path / "a.csv", shape=(2, 4), **options)


def test_wrong_files_are_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"a.npy cannot be read as a NumPy file"):
        read_spectral_response(tmp_path / "a.npy", shape=(2, 4))
    np.savez(tmp_path / "a.npz", one=MATRIX, two=MATRIX)
    with pytest.raises(ValueError, match=r"holds several: one .* such as a.npz:one"):
        read_spectral_response(tmp_path / "a.npz", shape=(2, 4))
    np.testing.assert_array_equal(read_spectral_response(f"{tmp_path}/a.npz:two", shape=(2, 4)), MATRIX)
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"a.csv is no text"):
        read_spectral_response(tmp_path / "a.csv", shape=(2, 4))
    (tmp_path / "a.xyz").touch()
    with pytest.raises(ValueError, match=r"accepted for a response are .csv"):
        read_spectral_response(tmp_path / "a.xyz", shape=(2, 4))
    with pytest.raises(FileNotFoundError, match=r"none.csv"):
        read_spectral_response(tmp_path / "none.csv", shape=(2, 4))
