"""
A sky behind something
======================

A sky of eight levels behind the silhouette of a horse. The sky is one smooth surface, of which the horse is
no part: with a mask, :func:`~fastimg.dequantization.dequantize` passes behind it.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from skimage.transform import resize

from fastimg.dequantization import dequantize, textured_regions

# %%
# The sky gets brighter towards the horizon and where the sun has set, from 0 to 8 levels; the horse is black.

height, width = 240, 320
y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
sky = 1.2 + 3.6 * y**1.5 + 2.4 * np.exp(-4 * ((x - 0.7) ** 2 + (y - 1) ** 2))
horse = resize(skimage.data.horse() == 0, (height - 40, width - 40), order=0)
horse = np.pad(horse, 20)
codes = np.where(horse, 0, np.floor(sky)).astype(np.uint8)

# %%
# Without a mask the plate bends down to the horse, and there is a halo around it. Neighbours that differ by
# more than one level are no work of quantization: ``textured_regions`` finds the outline. Here the horse
# itself is known, too.

outline = textured_regions(codes)
results = {
    "no mask": dequantize(codes, bits=3),
    "outline masked": dequantize(codes, bits=3, mask=outline),
    "horse masked": dequantize(codes, bits=3, mask=horse),
    "horse cut out": dequantize(codes, bits=3, mask=horse, mask_mode="cut"),
}

# %%
# Masked pixels are what they were. The sky next to the horse tells the ways apart.

near = textured_regions(horse.astype(np.uint8), threshold=0, dilation=8) & ~horse
for name, found in results.items():
    error = found - sky
    print(
        f"{name}: {np.sqrt(np.mean(error[~horse] ** 2)):.3f} levels RMS in the sky, "
        f"{np.sqrt(np.mean(error[near & ~outline] ** 2)):.3f} next to the horse"
    )

figure, axes = plt.subplots(2, 3, figsize=(11, 5.6), layout="constrained")
shown = {"codes": codes + 0.5, "no mask": results["no mask"], "horse masked": results["horse masked"]}
for axis, (name, image) in zip(axes[0], shown.items(), strict=True):
    axis.imshow(image, cmap="gray", vmin=0, vmax=8)
    axis.set_title(name)
for axis, name in zip(axes[1], ("no mask", "outline masked", "horse masked"), strict=True):
    error = np.where(horse, np.nan, results[name] - sky)
    axis.imshow(error, cmap="RdBu", vmin=-0.3, vmax=0.3)
    axis.set_title(f"error, {name}")
for axis in axes.flat:
    axis.axis("off")
plt.show()
