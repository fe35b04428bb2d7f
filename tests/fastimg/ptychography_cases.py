"""A small virtual experiment, and a plain reconstruction of it to compare with."""

import numpy as np
from scipy import ndimage

from fastimg.ptychography import Scan, gaussian_probe, probe_modes, raster_positions, simulate

SIZE = 16


def smooth_object(rng, shape=(44, 46)):
    amplitude, phase = (ndimage.gaussian_filter(rng.normal(size=shape), 1.5, mode="wrap") for _ in "ab")
    return (0.8 + 0.08 * amplitude / amplitude.std()) * np.exp(0.5j * phase / phase.std())


def experiment(
    *, modes=1, whole=False, photons=1e6, precision="float32", grid=(6, 6), step=3, margin=3, seed=3
):
    """Return a scan whose probe is the true one, and the object."""
    rng = np.random.default_rng(seed)
    truth = smooth_object(rng).astype(np.result_type(precision, np.complex64))
    positions = raster_positions(grid, step, jitter=0 if whole else 1.0, rng=rng) + margin
    probe = gaussian_probe(SIZE, 7, curvature=2, dtype=truth.dtype)
    if modes > 1:
        probe = probe_modes(probe, modes)
    return simulate(truth, probe, positions, photons=photons, rng=rng), truth


def with_wrong_probe(scan, factor=1.1):
    """The same scan with a start probe of another width, as strong as the true one."""
    probe = gaussian_probe(SIZE, 7 * factor, curvature=1.8, dtype=scan.probe.dtype)
    probe *= np.sqrt((abs(scan.probe) ** 2).sum() / (abs(probe) ** 2).sum())
    return Scan(scan.intensities, scan.positions, mask=scan.mask, probe=probe)


def plain_epie(scan, shape, iterations, order, alpha, modes_start):
    """Maiden and Rodenburg's ePIE (with Thibault and Menzel's modes) position by position, whole pixels."""
    image, probe = np.ones(shape, np.complex128), modes_start.astype(np.complex128)
    for iteration in range(iterations):
        for j in order(iteration):
            row, column = np.rint(scan.positions[j]).astype(int)
            box = image[row : row + SIZE, column : column + SIZE]
            waves = probe * box
            spectra = np.fft.fft2(waves, norm="ortho")
            modelled = np.sqrt(np.sum(np.abs(spectra) ** 2, axis=0))
            change = np.fft.ifft2(spectra * np.sqrt(scan.intensities[j]) / modelled, norm="ortho") - waves
            power = np.sum(np.abs(probe) ** 2, axis=0)
            new = box + alpha * np.sum(change * np.conj(probe), axis=0) / power.max()
            if iteration:
                probe = probe + alpha * change * np.conj(box) / np.max(np.abs(box) ** 2)
            image[row : row + SIZE, column : column + SIZE] = new
    return image, probe
