"""
Refine the positions of a scan
==============================

The stage was off by more than a pixel, and so is the beam: its defocus is taken to be 14 µm, and was 20 µm.
:func:`~fastimg.ptychography.reconstruct` finds object, beam and positions together.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from skimage.transform import resize

from fastimg.ptychography import (
    PositionRefinement,
    object_error,
    position_error,
    raster_positions,
    reconstruct,
    simulate,
    zone_plate_probe,
)

# %%
# A virtual experiment: two photographs as the sample, soft X-rays behind a zone plate, 100 frames.

size, photons, pixel = 64, 5e6, 20e-9
amplitude, phase = (
    resize(image / 255, (150, 150), anti_aliasing=True)
    for image in (skimage.data.camera(), skimage.data.gravel())
)
truth = ((0.4 + 0.6 * amplitude) * np.exp(2j * phase)).astype(np.complex64)


def beam(defocus):
    """Return the beam behind the zone plate's focus."""
    return zone_plate_probe(
        size, pixel, wavelength=1.24e-9, diameter=240e-6, outermost_zone=50e-9, central_stop=80e-6,
        defocus=defocus, photons=photons,
    )  # fmt: skip


rng = np.random.default_rng(1)
positions = raster_positions((10, 10), 7, jitter=1.75, rng=rng) + 10
scan = simulate(truth, beam(20e-6), positions, photons=photons, rng=rng)

# %%
# The reconstruction gets other positions than the experiment had, and another beam. Positions are kept, or
# refined by the gradient of the misfit, the default, or by cross-correlation of the object's boxes.

commanded = positions + rng.normal(0, 1.5 / np.sqrt(2), positions.shape)
inexact = replace(scan, positions=commanded, probe=beam(14e-6))
refinements = {
    "kept": None,
    "refined by the gradient": PositionRefinement(),
    "refined by correlation": PositionRefinement(signal="object"),
}
results = {
    name: reconstruct(inexact, position_refinement=refinement) for name, refinement in refinements.items()
}
for name, result in results.items():
    print(
        f"positions {name}: {position_error(result.positions, positions):.3f} px RMS from the true ones, "
        f"misfit {result.history['error'][-1]:.4f}, error of the object {object_error(result, truth):.3f}"
    )
kept, refined, _ = results.values()

# %%
# The misfit goes down to about what photon noise leaves, N / (2 √counts). That is a sign of right positions
# which needs no truth.

noise = size / (2 * np.sqrt(photons))
figure, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
for name, result in (("kept", kept), ("refined", refined)):
    axes[0].semilogy(result.history["error"], label=f"positions {name}")
axes[0].axhline(noise, color="black", linewidth=0.7, linestyle="dashed", label="photon noise")
axes[0].set(xlabel="iteration", title="misfit")
axes[0].legend(fontsize=7)

# %%
# A translation of all positions cannot be known: the mean is taken off before they are compared.


def centred(places):
    """Subtract the mean."""
    return places - places.mean(axis=0)


for places, marker, name in ((commanded, "x", "commanded"), (refined.positions, ".", "refined")):
    axes[1].plot(*centred(places).T[::-1], marker, markersize=4, label=name)
axes[1].plot(*centred(positions).T[::-1], "o", markersize=7, fillstyle="none", color="gray", label="true")
axes[1].set(xlim=(-36, 0), ylim=(0, -36), aspect="equal", title="positions / px")
axes[1].legend(fontsize=7, loc="lower left")

for axis, (name, result) in zip(axes[2:], (("kept", kept), ("refined", refined)), strict=True):
    rows, columns = (slice(35 - start, 115 - start) for start in result.origin)
    image = result.object[rows, columns]
    axis.imshow(np.abs(image), cmap="gray", vmin=0.3 * np.abs(image).max())
    axis.set_title(f"|O|, positions {name}")
    axis.axis("off")
plt.show()
