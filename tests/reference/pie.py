"""Ptychography by (M-)rPIE mini-batches, in plain NumPy.

B positions of a batch, J positions of the scan, M probe modes, N × N pixels a frame, H × W pixels of the
object; T a real dtype, C the complex one of the same precision. A box is the N × N crop of the object at
``corner``; the probe's frame is moved by ``fraction`` inside it. Where an input has a leading axis (1|B), 1
means the same for every position; (0|…) means that there is none. Frequencies are in the order of the FFT.
Equations: Guzzi et al., PeerJ Computer Science 8, e1036 (2022).
"""

import numpy as np

from tests.reference import fft

# The smallest modelled intensity that counts
TINY = 1e-30

# Where the illumination is weaker than this part of its maximum, a box hardly counts for its shift
DIM = 0.01


def workspace(probe, batch, subpixel, near_field):
    """Memory that ``project`` uses again at each call; here none."""
    return None


def place_boxes(position, selection, last_row, last_column, subpixel, corner, fraction):
    """Part positions into whole pixels inside the object and fractions within ± 1/2."""
    limit = np.array([last_row, last_column])
    corner[:] = np.clip(np.rint(position[selection]), 0, limit)
    fraction[:] = np.clip(position[selection] - corner, -0.5, 0.5) if subpixel else 0


def shift_modes(spectrum, fraction, out):
    """Multiply the spectra of the modes by the ramp of each position."""
    out[:] = spectrum * _ramp(fraction, spectrum.shape[-1])[:, None]


def unshift_modes(spectrum, fraction, out):
    """Sum over the batch, each position's spectra multiplied by the opposite ramp."""
    out[:] = np.sum(spectrum * np.conj(_ramp(fraction, spectrum.shape[-1]))[:, None], axis=0)


def probe_power(probe, power, power_peak):
    """Intensity of the illumination, summed over the modes, and its maximum."""
    power[:] = np.sum(np.abs(probe) ** 2, axis=1)
    power_peak[:] = power.max(axis=(1, 2))


def exit_waves(object, probe, corner, waves, object_peak):
    """Equation 1: probe times object, and the maximum of |object|² in each box."""
    boxes = _boxes(object, corner, probe.shape[-1])
    waves[:] = probe * boxes[:, None]
    object_peak[:] = np.max(np.abs(boxes) ** 2, axis=(1, 2))


def apply_transfer(waves, transfer, conjugate):
    """Multiply spectra by a transfer function, or by its conjugate."""
    waves *= np.conj(transfer) if conjugate else transfer


def mode_intensity(waves, intensity):
    """Equation 4: the intensities of incoherent modes add up."""
    intensity[:] = np.sum(np.abs(waves) ** 2, axis=1)


def modulus(waves, intensity, selection, mask, model, error):
    """Equation 7: give the waves the measured modulus; leave them alone where nothing was measured."""
    modelled = np.sum(np.abs(waves) ** 2, axis=1)
    if len(model):
        model[:] = modelled
    measured = _measured(mask, selection, modelled.shape)
    amplitude = np.sqrt(np.where(measured, intensity[selection], 0))
    waves *= np.where(measured, amplitude / np.sqrt(modelled + TINY), 1)[:, None]
    error[:] = np.sum(
        np.where(measured, amplitude - np.sqrt(modelled), 0) ** 2, axis=(1, 2), dtype=np.float64
    )


def object_numerator(waves, probe, numerator):
    """The sum over modes of the exit waves times the conjugate probe."""
    numerator[:] = np.sum(waves * np.conj(probe), axis=1)


def probe_differences(waves, object, probe, corner):
    """In place: change of the exit waves, times the conjugate object."""
    boxes = _boxes(object, corner, probe.shape[-1])[:, None]
    waves[:] = (waves - probe * boxes) * np.conj(boxes)


def sum_probe_changes(waves, object, probe, corner, numerator):
    """The numerator of equation 5, summed over the batch."""
    waves = waves.copy()
    probe_differences(waves, object, probe, corner)
    numerator[:] = waves.sum(axis=0)


def sum_probe_weights(object, corner, object_peak, beta, weight):
    """The denominator of equation 5, summed over the batch."""
    boxes = _boxes(object, corner, weight.shape[-1])
    weight[:] = np.sum(beta * object_peak[:, None, None] + (1 - beta) * np.abs(boxes) ** 2, axis=0)


def project(
    object,
    probe,
    corner,
    fraction,
    intensity,
    selection,
    mask,
    transfer,
    beta,
    work,
    numerator,
    power,
    power_peak,
    probe_numerator,
    probe_weight,
    model,
    error,
):
    """Project a batch onto the measured moduli, and sum what the updates of object and probe need."""
    shifted = probe[None]
    if len(fraction):
        spectrum = np.empty((len(corner), *probe.shape), probe.dtype)
        shift_modes(fft.fft2(probe), fraction, spectrum)
        shifted = fft.ifft2(spectrum).astype(probe.dtype)
    probe_power(shifted, power, power_peak)
    waves = np.empty((len(corner), *probe.shape), probe.dtype)
    object_peak = np.empty(len(corner), power.dtype)
    exit_waves(object, shifted, corner, waves, object_peak)
    waves = fft.fft2(waves, norm="ortho")
    if len(transfer):
        apply_transfer(waves, transfer, False)
        waves = fft.ifft2(waves, norm="ortho")
    modulus(waves, intensity, selection, mask, model, error)
    if len(transfer):
        waves = fft.fft2(waves, norm="ortho")
        apply_transfer(waves, transfer, True)
    waves = fft.ifft2(waves, norm="ortho")
    object_numerator(waves, shifted, numerator)
    if not len(probe_numerator):
        return
    sum_probe_weights(object, corner, object_peak, beta, probe_weight)
    if len(fraction):
        probe_differences(waves, object, shifted, corner)
        unshift_modes(fft.fft2(waves), fraction, probe_numerator)
        probe_numerator[:] = fft.ifft2(probe_numerator)
    else:
        sum_probe_changes(waves, object, shifted, corner, probe_numerator)


def object_update(object, corner, numerator, power, power_peak, alpha, gamma, atomic):
    """Equation 6, numerators and denominators summed over the boxes that cover a pixel."""
    size = numerator.shape[-1]
    total, weight = np.zeros(object.shape, np.complex128), np.zeros(object.shape)
    covered = np.zeros(object.shape)
    for b, (row, column) in enumerate(corner):
        box = slice(row, row + size), slice(column, column + size)
        own = min(b, len(power) - 1)
        total[box] += numerator[b]
        covered[box] += power[own]
        weight[box] += gamma * power_peak[own] + (1 - gamma) * power[own]
    lit = weight > 0
    object[lit] += alpha * (total - object * covered)[lit] / weight[lit]


def probe_update(probe, numerator, weight, alpha):
    """Equation 5, summed over a batch."""
    probe += alpha * np.divide(numerator, weight, out=np.zeros_like(numerator), where=weight > 0)


def signal_boxes(object, corner, numerator, power, power_peak, alpha, gamma, current, updated):
    """Each box before and after its own update (equation 6), less the mean, in the illumination's window.

    The window is power / (power + 0.01 power_peak): flat where there is light, since its slope times a change
    of the box's brightness looks like a shift. The mean is that of the box before the update, in the window.
    """
    boxes = _boxes(object, corner, numerator.shape[-1])
    weight = gamma * power_peak[:, None, None] + (1 - gamma) * power
    change = alpha * (numerator - boxes * power) / np.where(weight > 0, weight, 1)
    window = power / np.maximum(power + DIM * power_peak[:, None, None], TINY)
    mean = np.sum(boxes * window, axis=(1, 2)) / np.maximum(np.sum(window, axis=(1, 2)), TINY)
    centred = boxes - mean[:, None, None]
    current[:] = centred * window
    updated[:] = (centred + change) * window


def detector_boxes(model, intensity, selection, mask, modelled, measured):
    """Amplitudes on the detector less their means, modelled and measured, zero where nothing was measured."""
    known = _measured(mask, selection, model.shape)
    counts = np.maximum(np.sum(known, axis=(1, 2), dtype=np.float64), 1)[:, None, None]
    for out, values in ((modelled, model), (measured, intensity[selection])):
        amplitude = np.sqrt(np.where(known, values, 0))
        mean = np.sum(amplitude, axis=(1, 2), keepdims=True, dtype=np.float64) / counts
        out[:] = np.where(known, amplitude - mean, 0)


def gradient_shift(object, corner, numerator, power, shift):
    """The shift of each box that lowers the change of its exit waves most, one Gauss-Newton step per axis.

    With g the gradient of the box (central differences, one-sided at the border):
    shift = - Re Σ conj(g) (numerator - box power) / Σ |g|² power.
    """
    boxes = _boxes(object, corner, numerator.shape[-1])
    change = numerator - boxes * power
    for axis in (0, 1):
        gradient = np.gradient(boxes, axis=axis + 1)
        slope = np.sum(np.real(np.conj(gradient) * change), axis=(1, 2), dtype=np.float64)
        curvature = np.sum(np.abs(gradient) ** 2 * power, axis=(1, 2), dtype=np.float64)
        shift[:, axis] = -slope / np.where(curvature > 0, curvature, 1)


def move_positions(position, selection, shift, gain, adam, max_step, first, second, count, last):
    """Move positions against their shifts: by Adam's rule (Kingma and Ba, 2015) or in proportion."""
    shift = np.where(np.isfinite(shift), shift, 0)  # not finite where a reconstruction diverges
    last[selection] = shift
    step = gain * shift
    if adam:
        count[selection] += 1
        first[selection] = 0.9 * first[selection] + 0.1 * shift
        second[selection] = 0.999 * second[selection] + 0.001 * shift**2
        age = count[selection][:, None]
        mean = first[selection] / (1 - 0.9**age)
        step = gain * mean / (np.sqrt(second[selection] / (1 - 0.999**age)) + 1e-8)
    position[selection] -= np.clip(step, -max_step, max_step)


def gram(modes, out):
    """Inner products of the modes, the first one conjugated."""
    flat = modes.reshape(len(modes), -1).astype(np.complex128)
    out[:] = np.conj(flat) @ flat.T


def mix_modes(modes, matrix, out):
    """Linear combinations of the modes, a row of the matrix each."""
    out[:] = np.tensordot(matrix, modes, axes=1)


def dose(corner, power, out):
    """Add the illumination of each box."""
    size = power.shape[-1]
    for b, (row, column) in enumerate(corner):
        out[row : row + size, column : column + size] += power[min(b, len(power) - 1)]


def _ramp(fraction, size):
    cycles = np.fft.fftfreq(size) * fraction[:, :, None]
    return np.exp(-2j * np.pi * (cycles[:, 0, :, None] + cycles[:, 1, None, :]))


def _boxes(object, corner, size):
    return np.stack([object[row : row + size, column : column + size] for row, column in corner])


def _measured(mask, selection, shape):
    if not len(mask):
        return np.ones(shape, bool)
    return np.broadcast_to((mask if len(mask) == 1 else mask[selection]) != 0, shape)
