"""Registration by cross-correlation, in plain NumPy.

B is the number of pairs, H and W the image's height and width; T a real dtype, C the complex one of the same
precision. Where an input has a leading axis of 1 it is the same for every pair.
"""

import numpy as np


def pack_pairs(reference, moving, weight, packed, energy):
    """Put a pair of real images into one complex image, so that one FFT transforms both."""
    reference, moving = weight * reference, weight * moving
    pixels = weight.size
    energy[:, 0] = pixels * np.sum(np.square(reference, dtype=np.float64), axis=(1, 2))
    energy[:, 1] = pixels * np.sum(np.square(moving, dtype=np.float64), axis=(1, 2))
    packed.real = reference
    packed.imag = _scale(energy)[:, None, None] * moving


def cross_power_packed(packed_freq, energy, phase, product):
    """Separate the spectra of two packed real images by their Hermitian symmetry, and multiply them."""
    mirrored = np.conj(np.roll(packed_freq[:, ::-1, ::-1], (1, 1), axis=(1, 2)))
    reference_freq = (packed_freq + mirrored) / 2
    moving_freq = (packed_freq - mirrored) / (2j * _scale(energy)[:, None, None])
    product[:] = _cross_power(reference_freq, moving_freq, phase, product.real.dtype)
    # what is left of an empty image after the separation is rounding, whose phase would be normalised
    product[np.any(energy == 0, axis=1)] = 0


def cross_power(reference_freq, moving_freq, phase, product, energy):
    """Multiply one spectrum by the conjugate of the other, and sum the squares of both."""
    energy[:, 0] = _sum_of_squares(reference_freq)
    energy[:, 1] = _sum_of_squares(moving_freq)
    product[:] = _cross_power(reference_freq, moving_freq, phase, product.real.dtype)


def correlation_peak(correlation, peak):
    """Find the flat index of the largest modulus."""
    peak[:] = np.argmax(np.abs(correlation.reshape(len(correlation), -1).astype(np.complex128)), axis=1)


def correlate(reference, moving, weight, phase, product, peak, energy):
    """Cross-correlate weighted images, and find the whole-pixel peak."""
    axes = (1, 2)
    reference_freq = np.fft.fft2(weight * reference.astype(product.dtype), axes=axes)
    moving_freq = np.fft.fft2(weight * moving.astype(product.dtype), axes=axes)
    cross_power(reference_freq, moving_freq, phase, product, energy)
    correlation_peak(np.fft.ifft2(product, axes=axes), peak)


def refine_peak(product, peak, upsample_factor, shift, value):
    """Search scikit-image's grid around the whole-pixel peak, by the inverse DFT at each of its points."""
    height, width = product.shape[1:]
    for pair, pixel in enumerate(np.stack(np.unravel_index(peak, (height, width)), axis=1)):
        rows = _candidates(pixel[0], height, upsample_factor)
        columns = _candidates(pixel[1], width, upsample_factor)
        correlation = _inverse_dft(rows, height) @ product[pair] @ _inverse_dft(columns, width).T
        row, column = np.unravel_index(np.argmax(np.abs(correlation)), correlation.shape)
        shift[pair] = rows[row], columns[column]
        value[pair] = correlation[row, column]


def matrix_dft(data, positions, out):
    """Evaluate the DFT along the middle axis at any positions, in pixels."""
    frequencies = np.fft.fftfreq(data.shape[1])
    out[:] = np.exp(-2j * np.pi * positions[:, :, None] * frequencies) @ data


def fourier_shift(spectrum, shift, out):
    """Multiply a spectrum by the phase ramp that moves its image by ``shift`` pixels."""
    rows = np.fft.fftfreq(spectrum.shape[1])[:, None] * shift[:, 0, None, None]
    columns = np.fft.fftfreq(spectrum.shape[2]) * shift[:, 1, None, None]
    out[:] = spectrum * np.exp(-2j * np.pi * (rows + columns))


def _scale(energy):
    """Bring the moving image to the reference's energy, so that neither is lost in the other's rounding."""
    usable = np.all(energy > 0, axis=1)
    return np.sqrt(np.divide(energy[:, 0], energy[:, 1], where=usable, out=np.ones(len(energy))))


def _cross_power(reference_freq, moving_freq, phase, dtype):
    product = reference_freq * np.conj(moving_freq)
    if phase:
        product = product / np.maximum(np.abs(product), 100 * np.finfo(dtype).eps)
    return product


def _sum_of_squares(spectrum):
    return np.sum(np.abs(spectrum.astype(np.complex128)) ** 2, axis=(1, 2))


def _candidates(pixel, length, upsample_factor):
    """scikit-image's grid along one axis: 1.5 pixels wide in steps of 1/upsample_factor."""
    if length == 1:
        return np.zeros(1)
    signed = pixel if pixel <= length // 2 else pixel - length
    start = np.round(signed * upsample_factor) / upsample_factor
    if upsample_factor == 1:
        return np.array([start])
    region = int(np.ceil(1.5 * upsample_factor))
    return start + (np.arange(region) - region // 2) / upsample_factor


def _inverse_dft(positions, length):
    return np.exp(2j * np.pi * np.outer(positions, np.fft.fftfreq(length)))
