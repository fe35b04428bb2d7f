"""PNG files sample by sample: up to 16 bits of gray or of colours, and what else a file says of its image.

Pillow, which reads the other pictures, cuts colours of 16 bits to 8, and no longer tells samples of 4 bits
from those of 8. Reference: PNG specification, third edition, https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastimg.io._atomic import replaced_when_whole

__all__ = ["PNGImage", "depth_of", "read_png", "write_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Samples of a pixel and depths for each type of colour
_GRAY, _COLOURS, _PALETTE, _GRAY_ALPHA, _COLOURS_ALPHA = 0, 2, 3, 4, 6
_SAMPLES = {_GRAY: 1, _COLOURS: 3, _PALETTE: 1, _GRAY_ALPHA: 2, _COLOURS_ALPHA: 4}
_DEPTHS = {
    _GRAY: (1, 2, 4, 8, 16),
    _COLOURS: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GRAY_ALPHA: (8, 16),
    _COLOURS_ALPHA: (8, 16),
}
_TYPES = {1: _GRAY, 2: _GRAY_ALPHA, 3: _COLOURS, 4: _COLOURS_ALPHA}

# Chunks that do not depend on the depth of the samples, by where they have to stand
_BEFORE_PIXELS = (b"cHRM", b"gAMA", b"iCCP", b"sRGB", b"cICP", b"pHYs")
_ANYWHERE = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")

# First row, first column, and steps of the seven passes of an interlaced image
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@dataclass(frozen=True, eq=False)
class PNGImage:
    """What a PNG holds.

    Attributes
    ----------
    samples : ndarray of uint8 or uint16, (H, W, C)
        C is 1 for gray, 3 for colours, 2 and 4 for those with alpha; a palette is resolved into colours.
    depth : int
        Bits of a sample: 1, 2, 4, 8 or 16.
    chunks : tuple of (bytes, bytes)
        Type and contents of the chunks that say more of the image: colour space, resolution, texts.
    """

    samples: NDArray[np.unsignedinteger]
    depth: int
    chunks: tuple[tuple[bytes, bytes], ...] = ()


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour_type: int
    compression: int
    filtering: int
    interlaced: int


def depth_of(path: str | os.PathLike[str]) -> int | None:
    """Return the bits of a sample, or None if the file does not begin as a PNG does."""
    with Path(path).open("rb") as file:
        start = file.read(25)
    return start[24] if start.startswith(_SIGNATURE) and len(start) == 25 else None


def read_png(path: str | os.PathLike[str]) -> PNGImage:
    """Read a PNG.

    Parameters
    ----------
    path : path-like
        The file. Of an animation, the first image is read.

    Returns
    -------
    PNGImage

    Raises
    ------
    ValueError
        If the file is damaged or no PNG; the message names it.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_png(path, np.arange(6, dtype=np.uint16).reshape(2, 3))
    >>> read_png(path).samples[..., 0]
    array([[0, 1, 2],
           [3, 4, 5]], dtype=uint16)
    """
    content = Path(path).read_bytes()
    try:
        return _decode(content)
    except (ValueError, struct.error, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as a PNG: {error}") from error


def write_png(
    path: str | os.PathLike[str],
    samples: NDArray[np.unsignedinteger],
    *,
    chunks: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    """Write a PNG of 8 or 16 bits; all of it or nothing.

    Parameters
    ----------
    path : path-like
        The file to be written. An existing file is replaced.
    samples : ndarray of uint8 or uint16, (H, W) or (H, W, C)
        C is 1 to 4, as in `PNGImage`.
    chunks : tuple of (bytes, bytes), optional
        As in `PNGImage`.

    Raises
    ------
    ValueError
        If ``samples`` has another dtype or shape.
    """
    samples = np.asarray(samples)
    pixels = samples[..., None] if samples.ndim == 2 else samples
    kinds = (np.dtype(np.uint8), np.dtype(np.uint16))
    if pixels.dtype not in kinds or pixels.ndim != 3 or pixels.shape[-1] not in _TYPES or 0 in pixels.shape:
        raise ValueError(
            f"samples has shape {samples.shape} and dtype {samples.dtype}; accepted are uint8 and uint16 of "
            "shape (H, W) or (H, W, 1 to 4)"
        )
    height, width, count = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, _TYPES[count], 0, 0, 0)
    parts = [
        _SIGNATURE,
        _chunk(b"IHDR", header),
        *(_chunk(*chunk) for chunk in chunks if chunk[0] in _BEFORE_PIXELS),
        _chunk(b"IDAT", zlib.compress(_filtered(pixels), 6)),
        *(_chunk(*chunk) for chunk in chunks if chunk[0] in _ANYWHERE),
        _chunk(b"IEND", b""),
    ]
    with replaced_when_whole(path) as unfinished:
        unfinished.write_bytes(b"".join(parts))


def _chunk(kind: bytes, contents: bytes) -> bytes:
    return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))


def _filtered(pixels: NDArray[np.unsignedinteger]) -> bytes:
    """Each row as its differences from the one above, which compress well where an image is smooth."""
    big = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = np.frombuffer(big.tobytes(), np.uint8).reshape(len(pixels), -1)
    filtered = np.full((len(rows), 1 + rows.shape[1]), 2, np.uint8)
    filtered[:, 1:] = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    return filtered.tobytes()


def _decode(content: bytes) -> PNGImage:
    chunks = list(_chunks(content))
    found = dict(reversed(chunks))  # the first of its type
    if not chunks or chunks[0][0] != b"IHDR":
        raise ValueError("it has no header")
    header = _Header(*struct.unpack(">IIBBBBB", found[b"IHDR"]))
    if header.depth not in _DEPTHS.get(header.colour_type, ()) or 0 in header[:2] or any(header[4:6]):
        raise ValueError("its header is wrong")
    packed = b"".join(contents for kind, contents in chunks if kind == b"IDAT")
    needed = sum(_bytes_of(header, *_shape(header, each)) for each in _passes(header))
    # Bounded, so that a few bytes cannot fill the memory with more than the header announces
    raw = zlib.decompressobj().decompress(packed, min(needed, sys.maxsize))
    if len(raw) < needed:
        raise ValueError("its pixels are cut short")
    samples = _pixels(header, raw)
    if header.colour_type == _PALETTE:
        samples = _resolved(samples, found.get(b"PLTE", b""), found.get(b"tRNS"))
    elif b"tRNS" in found:
        samples = _with_alpha(samples, np.frombuffer(found[b"tRNS"], ">u2"), header.depth)
    depth = 8 if header.colour_type == _PALETTE else header.depth
    kept = tuple(chunk for chunk in chunks if chunk[0] in _BEFORE_PIXELS + _ANYWHERE)
    return PNGImage(samples, depth, kept)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not content.startswith(_SIGNATURE):
        raise ValueError("it does not begin as a PNG does")
    place = len(_SIGNATURE)
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        if place + 12 + length > len(content):
            break
        kind, contents = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        (crc,) = struct.unpack_from(">I", content, place + 8 + length)
        if crc != zlib.crc32(kind + contents):
            raise ValueError(f"its chunk {kind.decode('ascii', 'replace')} is damaged")
        yield kind, contents
        if kind == b"IEND":
            return
        place += 12 + length
    raise ValueError("the file is cut short")


def _passes(header: _Header) -> tuple[tuple[int, int, int, int], ...]:
    return _ADAM7 if header.interlaced else ((0, 0, 1, 1),)


def _shape(header: _Header, each: tuple[int, int, int, int]) -> tuple[int, int]:
    """Rows and columns of one pass."""
    row, column, down, across = each
    return -(-(header.height - row) // down), -(-(header.width - column) // across)


def _bytes_of(header: _Header, height: int, width: int) -> int:
    if height <= 0 or width <= 0:
        return 0
    return height * (1 + -(-width * header.depth * _SAMPLES[header.colour_type] // 8))


def _pixels(header: _Header, raw: bytes) -> NDArray[np.unsignedinteger]:
    """Samples (H, W, C) out of the decompressed bytes."""
    count = _SAMPLES[header.colour_type]
    dtype = np.uint16 if header.depth == 16 else np.uint8
    image = np.empty((header.height, header.width, count), dtype)
    place = 0
    for each in _passes(header):
        height, width = _shape(header, each)
        size = _bytes_of(header, height, width)
        if not size:
            continue
        rows = np.frombuffer(raw, np.uint8, size, place).reshape(height, -1)
        place += size
        samples = _unpacked(_unfiltered(rows, max(1, count * header.depth // 8)), header.depth, width * count)
        row, column, down, across = each
        image[row::down, column::across] = samples.reshape(height, width, count)
    return image


def _unpacked(rows: NDArray[np.uint8], depth: int, length: int) -> NDArray[np.unsignedinteger]:
    """Samples of each row out of its bytes."""
    if depth == 16:
        return rows.view(">u2").astype(np.uint16)
    if depth == 8:
        return rows
    bits = np.unpackbits(rows, axis=1).reshape(len(rows), -1, depth)
    return (bits @ (1 << np.arange(depth)[::-1])).astype(np.uint8)[:, :length]


def _unfiltered(rows: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Undo the filters; a byte needs those before it, above it, and before that one.

    All rows are worked on at once, each one pixel behind the row above it.
    """
    filters, height = rows[:, 0], len(rows)
    if filters.max() > 4:
        raise ValueError(f"its rows have the unknown filter {filters.max()}")
    pixels = rows[:, 1:].reshape(height, -1, step)
    width = pixels.shape[1]
    # A pixel of zeros before each row, and a row of them above the first
    image = np.zeros((height + 1, width + 1, step), np.int16)
    weights = np.zeros((height, 4, 1), np.int16)
    weights[np.arange(height)[filters > 0], filters[filters > 0] - 1] = 1
    for diagonal in range(height + width - 1):
        first, last = max(0, diagonal - width + 1), min(height, diagonal + 1)
        row = np.arange(first, last)
        column = diagonal - row
        before, above, corner = image[row + 1, column], image[row, column + 1], image[row, column]
        to_before, to_above = np.abs(above - corner), np.abs(before - corner)
        to_corner = np.abs(before + above - 2 * corner)
        nearest = np.where(to_above <= to_corner, above, corner)
        nearest = np.where((to_before <= to_above) & (to_before <= to_corner), before, nearest)
        weight = weights[first:last]
        predicted = before * weight[:, 0] + above * weight[:, 1]
        predicted += ((before + above) >> 1) * weight[:, 2] + nearest * weight[:, 3]
        image[row + 1, column + 1] = (pixels[row, column] + predicted) & 255
    return image[1:, 1:].astype(np.uint8).reshape(height, -1)


def _resolved(
    index: NDArray[np.unsignedinteger], palette: bytes, transparency: bytes | None
) -> NDArray[np.unsignedinteger]:
    """Colours of a palette, with alpha where the palette has it."""
    colours = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    if index.max() >= len(colours):
        raise ValueError("its palette lacks colours")
    if transparency is not None:
        alpha = np.full((len(colours), 1), 255, np.uint8)
        alpha[: len(transparency), 0] = np.frombuffer(transparency, np.uint8)[: len(colours)]
        colours = np.concatenate([colours, alpha], axis=1)
    return colours[index[..., 0]]


def _with_alpha(
    samples: NDArray[np.unsignedinteger], transparent: NDArray[np.unsignedinteger], depth: int
) -> NDArray[np.unsignedinteger]:
    """Add the alpha of the one colour that is transparent."""
    if len(transparent) != samples.shape[-1]:
        raise ValueError("its transparent colour is wrong")
    seen = (samples != transparent).any(axis=-1, keepdims=True)
    return np.concatenate([samples, seen.astype(samples.dtype) * (2**depth - 1)], axis=-1)
