"""Images whose shift is known, for the tests of registration."""

import numpy as np


def band_limited(rng, shape, *, is_complex=False, cutoff=0.4):
    """A random image without the Nyquist frequencies, which a real image cannot keep under a shift."""
    values = rng.normal(size=shape) + (1j * rng.normal(size=shape) if is_complex else 0)
    spectrum = np.fft.fftn(values)
    for axis, length in enumerate(shape):
        inside = np.abs(np.fft.fftfreq(length)) <= cutoff
        spectrum *= inside.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    image = np.fft.ifftn(spectrum)
    return image if is_complex else image.real


def moved(image, shift):
    """The image shifted periodically by its Fourier series, in double precision."""
    spectrum = np.fft.fftn(image)
    for axis, distance in enumerate(shift):
        ramp = np.exp(-2j * np.pi * np.fft.fftfreq(image.shape[axis]) * distance)
        spectrum = spectrum * ramp.reshape([-1 if other == axis else 1 for other in range(image.ndim)])
    result = np.fft.ifftn(spectrum)
    return result if np.iscomplexobj(image) else result.real


def precision_of(dtype):
    """The real dtype in which results for images of ``dtype`` come."""
    return np.empty(0, dtype).real.dtype
