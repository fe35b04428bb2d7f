"""
A virtual experiment in partly coherent light
=============================================

Two photographs become the amplitude and the phase of a sample. A defocused zone plate illuminates it at 144
overlapping places, in light that is a mixture of two modes, and photons are counted. The reconstruction
starts from a beam with a wrong defocus: once with one mode, once with two.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from skimage.transform import resize

from fastimg.ptychography import (
    object_error,
    probe_modes,
    raster_positions,
    reconstruct,
    simulate,
    zone_plate_probe,
)

# %%
# The sample, and the geometry of the experiment: soft X-rays of 1 keV, frames of 64 × 64 pixels. In the far
# field they set the pixel of the object.

shape = (160, 160)
amplitude, phase = (
    resize(image / 255, shape, anti_aliasing=True) for image in (skimage.data.camera(), skimage.data.gravel())
)
truth = ((0.4 + 0.6 * amplitude) * np.exp(2j * phase)).astype(np.complex64)

size, photons = 64, 5e6
geometry = {"wavelength": 1.24e-9, "distance": 0.1, "detector_pixel": 96e-6}
pixel = geometry["wavelength"] * geometry["distance"] / (size * geometry["detector_pixel"])


def beam(defocus):
    """Return the beam behind the zone plate's focus."""
    return zone_plate_probe(
        size, pixel, wavelength=geometry["wavelength"], diameter=240e-6, outermost_zone=50e-9,
        central_stop=80e-6, defocus=defocus, photons=photons,
    )  # fmt: skip


# %%
# A raster of 12 × 12 positions, each a little off it, so that nothing has the period of the raster. 30 % of
# the power is in a second mode. The scan holds Poisson-distributed counts.

positions = raster_positions((12, 12), 7, jitter=1.75, rng=0) + 6
modes = probe_modes(beam(20e-6), 2, power=(0.7, 0.3))
scan = simulate(truth, modes, positions, photons=photons, rng=0, **geometry)
print(scan)

# %%
# Two modes explain the frames down to the photon noise, one mode does not.

noise = size / (2 * np.sqrt(photons))
results = {count: reconstruct(scan, modes=count, probe=beam(14e-6)) for count in (1, 2)}
for count, result in results.items():
    print(
        f"{count} modes: misfit {result.history['error'][-1]:.3f}, noise about {noise:.3f}, "
        f"error of the object {object_error(result, truth):.3f}"
    )
powers = (np.abs(results[2].probe) ** 2).sum(axis=(1, 2))
print("powers of the modes", (powers / powers.sum()).round(2))

# %%
# The well-lit part of the object, and the modes. Everything has an arbitrary phase, which the mean of the
# object fixes here.

figure, axes = plt.subplots(2, 4, figsize=(10, 5.2), layout="constrained")
inside = slice(30, 130)
rows = {"truth": truth[inside, inside]}
for count, result in results.items():
    first, last = (30 - np.array(result.origin)), (130 - np.array(result.origin))
    rows[f"{count} mode{'s' * (count > 1)}"] = result.object[first[0] : last[0], first[1] : last[1]]
for column, (name, image) in enumerate(rows.items()):
    image = image * np.exp(-1j * np.angle(image.mean()))
    for axis, part, what in zip(
        axes[:, column], (np.abs(image), np.angle(image)), ("|O|", "phase"), strict=True
    ):
        axis.imshow(part, cmap="gray")
        axis.set_title(f"{name}, {what}")
        axis.axis("off")
for axis, mode, number in zip(axes[:, 3], results[2].probe, (1, 2), strict=True):
    axis.imshow(np.abs(mode), cmap="magma")
    axis.set_title(f"mode {number} of the beam")
    axis.axis("off")
plt.show()
