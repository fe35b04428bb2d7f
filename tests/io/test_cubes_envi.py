"""Cubes of ENVI: every order, type and byte order of samples, headers with what others write, and damage."""

import numpy as np
import pytest

from fastimg.io import create_cube, open_cube

pytestmark = pytest.mark.host_only

spectral = pytest.importorskip("spectral", reason="needs spectral, of fastimg[io]")
from spectral.io import envi  # noqa: E402

CUBE = np.random.default_rng(0).integers(0, 120, (6, 5, 4))
HEADER = """ENVI
description = {{ a scene }}
samples = 5
lines = 6
bands = 4
header offset = {offset}
file type = ENVI Standard
data type = {kind}
interleave = {order}
byte order = {byte_order}
{more}
"""
AXES = {"bil": (0, 2, 1), "bip": (0, 1, 2), "bsq": (2, 0, 1)}
KINDS = {
    1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip


def scene(folder, *, kind=12, order="bil", byte_order=0, offset=0, more="", suffix=".img", header=HEADER):
    """Write header and samples without any library."""
    dtype = (">" if byte_order else "<") + KINDS.get(kind, "u2")
    samples = CUBE.astype(dtype).transpose(AXES.get(order.lower(), AXES["bil"]))
    (folder / f"scene{suffix}").write_bytes(b"\0" * offset + samples.tobytes())
    fields = {"kind": kind, "order": order, "byte_order": byte_order, "offset": offset, "more": more}
    (folder / "scene.hdr").write_text(header.format(**fields))
    return folder / "scene.hdr"


@pytest.mark.parametrize("byte_order", [0, 1])
@pytest.mark.parametrize("order", ["bil", "bip", "BSQ"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_all_orders_and_types_of_samples_are_read(tmp_path, kind, order, byte_order):
    path = scene(tmp_path, kind=kind, order=order, byte_order=byte_order, offset=16)
    with open_cube(path) as cube:
        assert cube.dtype == np.dtype(KINDS[kind])
        assert cube.dtype.isnative
        np.testing.assert_array_equal(cube.read(), CUBE)
        np.testing.assert_array_equal(cube[1:3, 2:], CUBE[1:3, 2:])
    # as the library itself reads it
    np.testing.assert_array_equal(np.asarray(envi.open(str(path)).open_memmap(interleave="bip")), CUBE)


@pytest.mark.parametrize("suffix", ["", ".dat", ".raw", ".IMG", ".bil"])
def test_header_and_samples_find_each_other(tmp_path, suffix):
    scene(tmp_path, suffix=suffix)
    with open_cube(tmp_path / "scene.hdr") as cube:
        np.testing.assert_array_equal(cube.read(), CUBE)
    if suffix:
        with open_cube(tmp_path / f"scene{suffix}") as cube:
            np.testing.assert_array_equal(cube.read(), CUBE)


def test_a_header_may_keep_the_suffix_of_the_samples(tmp_path):
    scene(tmp_path).rename(tmp_path / "scene.img.hdr")
    for name in ("scene.img", "scene.img.hdr"):
        with open_cube(tmp_path / name) as cube:
            np.testing.assert_array_equal(cube.read(), CUBE)


@pytest.mark.parametrize(
    ("units", "factor"),
    [("Nanometers", 1), ("Micrometers", 1e-3), ("um", 1e-3), ("Unknown", 1), ("Unknown", 1e-3)],
)
def test_wavelengths_are_in_nanometres(tmp_path, units, factor):
    numbers = ", ".join(str(w * factor) for w in (430, 520, 610, 700))
    more = f"wavelength units = {units}\nwavelength = {{ {numbers} }}\nData Ignore Value = -1"
    with open_cube(scene(tmp_path, more=more)) as cube:
        np.testing.assert_allclose(cube.wavelengths, [430, 520, 610, 700], rtol=1e-12)
        assert cube.nodata == -1


def test_other_units_are_no_wavelengths(tmp_path):
    more = "wavelength units = Wavenumber\nwavelength = {1, 2, 3, 4}"
    assert open_cube(scene(tmp_path, more=more)).wavelengths is None
    assert open_cube(scene(tmp_path, more="wavelength = {1, 2, 3}")).wavelengths is None
    assert open_cube(scene(tmp_path, more="wavelength = {a, b, c, d}")).wavelengths is None


def test_what_the_library_writes_is_read_and_the_other_way_round(tmp_path):
    envi.save_image(
        str(tmp_path / "theirs.hdr"), CUBE.astype(np.float32), interleave="bip",
        metadata={"wavelength": [1.0, 2.0, 3.0, 4.0], "wavelength units": "Micrometers"},
    )  # fmt: skip
    with open_cube(tmp_path / "theirs.hdr") as cube:
        np.testing.assert_array_equal(cube.read(), CUBE)
        with create_cube(tmp_path / "ours.hdr", cube.shape, like=cube, bands_like=cube) as writer:
            writer[:] = cube[:]
    ours = envi.open(str(tmp_path / "ours.hdr"))
    np.testing.assert_array_equal(np.asarray(ours.load()), CUBE)
    assert ours.metadata["interleave"] == "bip"
    assert ours.bands.centers == [1000, 2000, 3000, 4000]


def test_place_and_bands_of_a_header_go_to_the_next(tmp_path):
    more = (
        "map info = {UTM, 1.5, 1.5, 500010.0, 4000020.0, 20.0, 20.0, 32, North, WGS-84, units=Meters}\n"
        "band names = {a, b, c, d}\nreflectance scale factor = 10000\nfwhm = {5, 5, 5, 5}"
    )
    with open_cube(scene(tmp_path, more=more)) as cube:
        assert cube.crs == "EPSG:32632"
        assert cube.transform == (20.0, 0.0, 500000.0, 0.0, -20.0, 4000030.0)
        with create_cube(tmp_path / "new.hdr", cube.shape, like=cube, bands_like=cube) as writer:
            writer[:] = cube[:]
    with open_cube(tmp_path / "new.hdr") as new:
        assert (new.crs, new.transform) == (cube.crs, cube.transform)
        assert new.extras["envi"] == cube.extras["envi"]
    # and to a GeoTIFF, where rasterio is
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, of fastimg[io]")
    with (
        open_cube(tmp_path / "new.hdr") as cube,
        create_cube(tmp_path / "a.tif", cube.shape, like=cube) as writer,
    ):
        writer[:] = cube[:].astype(np.float32)
    with rasterio.open(tmp_path / "a.tif") as file, rasterio.open(tmp_path / "new.img") as same:
        assert file.crs.to_epsg() == same.crs.to_epsg() == 32632
        assert file.transform == same.transform


def test_a_turned_place_is_that_of_gdal(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, of fastimg[io]")
    more = "map info = {UTM, 1, 1, 500000.0, 4000000.0, 20.0, 10.0, 32, South, WGS-84, rotation=30.0}"
    with open_cube(scene(tmp_path, more=more)) as cube, rasterio.open(tmp_path / "scene.img") as file:
        np.testing.assert_allclose(cube.transform, tuple(file.transform)[:6], rtol=1e-12)
        assert cube.crs == f"EPSG:{file.crs.to_epsg()}"


def test_samples_that_end_too_early_are_refused_when_opened(tmp_path):
    path = scene(tmp_path)
    data = tmp_path / "scene.img"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"scene.img has 239 bytes; its header scene.hdr asks for 240"):
        open_cube(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": 6}, "has data type 6; accepted are 1, 2, 3"),
        ({"order": "bxx"}, "has interleave 'bxx'; accepted are bil, bip, bsq"),
        ({"header": HEADER.replace("bands = 4", "")}, "lacks bands"),
        ({"header": HEADER.replace("bands = 4", "bands = many")}, "cannot be understood"),
        ({"header": HEADER.replace("bands = 4", "bands = 0")}, "accepted are positive numbers"),
        ({"header": "no header"}, "scene.hdr is no ENVI header"),
        ({"header": "ENVI\nwavelength = {{ 1, 2"}, "scene.hdr is no ENVI header"),
    ],
)
def test_wrong_headers_are_named(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        open_cube(scene(tmp_path, **settings))


def test_missing_halves_are_named(tmp_path):
    path = scene(tmp_path)
    (tmp_path / "scene.img").rename(tmp_path / "other.img")
    with pytest.raises(FileNotFoundError, match=r"no file of samples stands beside .*scene.hdr"):
        open_cube(path)
    with pytest.raises(ValueError, match=r"other.img has no ENVI header other.hdr beside it"):
        open_cube(tmp_path / "other.img")
