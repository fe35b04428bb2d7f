"""PNG files: samples of any depth come out as they are, and what says more of the image stays with it."""

import struct
import zlib

import numpy as np
import pytest

from fastimg.io import read_images
from fastimg.io.images import LUMINANCE
from fastimg.io.png import _ADAM7, read_png, write_png

RNG = np.random.default_rng(0)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, COLOURS, PALETTE = 0, 2, 3


def chunk(kind, contents):
    return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))


def encoded(width, height, depth, colour_type, rows, *, interlaced=0, before=b""):
    """Write a PNG by hand, out of rows that bear their filter."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    return (
        SIGNATURE
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def unfiltered(samples):
    """Bytes of rows with filter 0."""
    big = samples.astype(samples.dtype.newbyteorder(">"))
    return b"".join(b"\0" + row.tobytes() for row in big)


def paeth(before, above, corner):
    guess = int(before) + int(above) - int(corner)
    return min((before, above, corner), key=lambda value: abs(guess - int(value)))


def filtered(samples, filters):
    """Bytes of rows, each with the filter that is given, byte by byte as the specification words them."""
    big = samples.astype(samples.dtype.newbyteorder(">"))
    height, width, count = samples.shape
    step = count * samples.itemsize
    rows = np.zeros((height + 1, width * step + step), np.uint8)
    rows[1:, step:] = np.frombuffer(big.tobytes(), np.uint8).reshape(height, -1)
    out = bytearray()
    for y, kind in zip(range(1, height + 1), filters, strict=True):
        out.append(kind)
        for x in range(step, rows.shape[1]):
            before, above, corner = rows[y, x - step], rows[y - 1, x], rows[y - 1, x - step]
            guess = (0, before, above, (int(before) + int(above)) // 2, paeth(before, above, corner))[kind]
            out.append((int(rows[y, x]) - int(guess)) % 256)
    return bytes(out)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_samples_come_back(tmp_path, dtype, count):
    samples = RNG.integers(0, np.iinfo(dtype).max, (5, 7, count), dtype, endpoint=True)
    write_png(tmp_path / "image.png", samples)
    read = read_png(tmp_path / "image.png")
    assert read.samples.dtype == dtype
    assert read.depth == 8 * samples.itemsize
    np.testing.assert_array_equal(read.samples, samples)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (10, 1), (1, 9), (10, 6)])
def test_every_filter_is_undone(tmp_path, dtype, count, size):
    samples = RNG.integers(0, np.iinfo(dtype).max, (*size, count), dtype, endpoint=True)
    rows = filtered(samples, RNG.permutation(np.arange(size[0]) % 5))
    kind = {1: GRAY, 3: COLOURS}[count]
    (tmp_path / "image.png").write_bytes(encoded(size[1], size[0], 8 * samples.itemsize, kind, rows))
    np.testing.assert_array_equal(read_png(tmp_path / "image.png").samples, samples)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (8, 8), (13, 10)])
def test_an_interlaced_image_is_put_together(tmp_path, size):
    samples = RNG.integers(0, 2**16, (*size, 3), np.uint16)
    passes = (samples[row::down, column::across] for row, column, down, across in _ADAM7)
    rows = b"".join(unfiltered(each) for each in passes if each.size)
    (tmp_path / "image.png").write_bytes(encoded(size[1], size[0], 16, COLOURS, rows, interlaced=1))
    np.testing.assert_array_equal(read_png(tmp_path / "image.png").samples, samples)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_small_samples_keep_their_depth(tmp_path, depth):
    samples = RNG.integers(0, 2**depth, (4, 11), np.uint8)
    bits = (samples[..., None] >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(4, -1), axis=1)
    (tmp_path / "image.png").write_bytes(encoded(11, 4, depth, GRAY, unfiltered(rows)))
    read = read_png(tmp_path / "image.png")
    assert read.depth == depth
    np.testing.assert_array_equal(read.samples[..., 0], samples)


@pytest.mark.parametrize("transparency", [b"", chunk(b"tRNS", b"\x00\x80")])
def test_a_palette_becomes_colours(tmp_path, transparency):
    palette = RNG.integers(0, 256, (4, 3), np.uint8)
    index = RNG.integers(0, 4, (3, 4), np.uint8)
    before = chunk(b"PLTE", palette.tobytes()) + transparency
    (tmp_path / "image.png").write_bytes(encoded(4, 3, 8, PALETTE, unfiltered(index), before=before))
    read = read_png(tmp_path / "image.png")
    np.testing.assert_array_equal(read.samples[..., :3], palette[index])
    if transparency:
        np.testing.assert_array_equal(read.samples[..., 3], np.array([0, 128, 255, 255])[index])


def test_a_transparent_colour_becomes_alpha(tmp_path):
    samples = RNG.integers(0, 2, (4, 5, 3), np.uint16) * 1000
    before = chunk(b"tRNS", struct.pack(">HHH", 1000, 0, 0))
    (tmp_path / "image.png").write_bytes(encoded(5, 4, 16, COLOURS, unfiltered(samples), before=before))
    read = read_png(tmp_path / "image.png").samples
    np.testing.assert_array_equal(read[..., 3] == 0, (samples == (1000, 0, 0)).all(axis=-1))


def test_colour_space_and_texts_are_kept_and_the_depth_of_the_old_samples_is_not(tmp_path):
    kept = ((b"gAMA", struct.pack(">I", 45455)), (b"tEXt", b"Author\0someone"))
    before = b"".join(chunk(*each) for each in kept) + chunk(b"sBIT", b"\x05")
    (tmp_path / "old.png").write_bytes(encoded(2, 1, 8, GRAY, b"\0\1\2", before=before))
    read = read_png(tmp_path / "old.png")
    assert read.chunks == kept
    write_png(tmp_path / "new.png", read.samples.astype(np.uint16), chunks=read.chunks)
    assert read_png(tmp_path / "new.png").chunks == kept


def test_other_programs_read_what_is_written(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    samples = RNG.integers(0, 256, (9, 8, 4), np.uint8)
    write_png(tmp_path / "image.png", samples)
    np.testing.assert_array_equal(imageio.imread(tmp_path / "image.png"), samples)
    write_png(tmp_path / "deep.png", samples[..., 0].astype(np.uint16) * 200)
    np.testing.assert_array_equal(
        imageio.imread(tmp_path / "deep.png"), samples[..., 0].astype(np.uint16) * 200
    )


def test_what_other_programs_write_is_read(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    samples = np.cumsum(RNG.integers(0, 9, (40, 30, 3)), axis=0).astype(np.uint8)  # several filters
    imageio.imwrite(tmp_path / "image.png", samples)
    np.testing.assert_array_equal(read_png(tmp_path / "image.png").samples, samples)


def test_colours_of_16_bits_keep_them_in_gray_images(tmp_path):
    samples = RNG.integers(0, 2**16, (5, 7, 3), np.uint16)
    write_png(tmp_path / "colours.png", samples)
    np.testing.assert_allclose(
        read_images(tmp_path / "colours.png")[0], samples @ np.asarray(LUMINANCE), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin as a PNG"),
        (SIGNATURE, "the file is cut short"),
        *(
            (
                encoded(3, 2, 8, GRAY, bytes(8))[:-cut],
                "image.png cannot be read as a PNG: the file is cut short",
            )
            for cut in (1, 6, 12, 20)
        ),
        (encoded(3, 2, 8, GRAY, bytes(7)), "pixels are cut short"),
        (encoded(2**31 - 1, 2**31 - 1, 16, COLOURS, bytes(8)), "pixels are cut short"),
        (encoded(3, 2, 7, GRAY, bytes(8)), "header is wrong"),
        (encoded(3, 0, 8, GRAY, bytes(8)), "header is wrong"),
        (encoded(3, 2, 8, GRAY, b"\5" + bytes(7)), "unknown filter 5"),
        (encoded(1, 1, 8, PALETTE, b"\0\1", before=chunk(b"PLTE", bytes(3))), "palette lacks colours"),
        (encoded(3, 2, 8, GRAY, bytes(8)).replace(b"IHDR", b"IHDS"), "chunk IHDS is damaged"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    (tmp_path / "image.png").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_png(tmp_path / "image.png")


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 2)), np.zeros((2, 2, 5), np.uint8), np.zeros((0, 2), np.uint8)]
)
def test_samples_that_a_png_cannot_hold_are_refused(tmp_path, samples):
    with pytest.raises(ValueError, match="accepted are uint8 and uint16"):
        write_png(tmp_path / "image.png", samples)
    assert not list(tmp_path.iterdir())
