"""
From two bits to eight: plate and membrane
==========================================

The two test functions of the paper, cut to four levels. :func:`~fastimg.dequantization.dequantize` finds the
smooth image behind them: a bended plate continues slopes beyond the last contour, and so finds summits and
valleys. A membrane, whose slope is least, is flat there.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastimg.dequantization import dequantize, distance_interpolation

# %%
# A Gaussian and Rosenbrock's function as 8-bit images, and their two highest bits.

size, bits = 128, 2
y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
gaussian = np.exp(-2 * (x**2 + y**2))
rosenbrock = 100 * (2 * y + 1 - (1.5 * x) ** 2) ** 2 + (1 - 1.5 * x) ** 2
originals = {
    name: np.trunc(255 * values / values.max())
    for name, values in (("Gaussian", gaussian), ("Rosenbrock", rosenbrock))
}

# %%
# In units of the 8-bit image, a code stands for 64 values, so the edges of its bin are half a unit below the
# lowest and half a unit above the highest of them.

edges = 64 * np.arange(2**bits + 1) - 0.5


def restored(codes):
    """Return what each way makes of the codes, in 8-bit units."""
    return {
        "two bits": 64.0 * codes,
        "distance interpolation": distance_interpolation(codes, levels=edges),
        "membrane": dequantize(codes, levels=edges, model="membrane"),
        "plate": dequantize(codes, levels=edges),
    }


def psnr(original, found):
    """Return the peak signal-to-noise ratio in dB."""
    return 20 * np.log10(255 / np.sqrt(np.mean((original - found) ** 2)))


results = {name: restored(image.astype(np.uint8) >> 6) for name, image in originals.items()}
for name, ways in results.items():
    for way, found in ways.items():
        print(f"{name}, {way}: {psnr(originals[name], found):.1f} dB")

# %%
# Below them the middle row of each image: what lies between the two dotted steps is what the codes allow.

figure, axes = plt.subplots(3, 5, figsize=(11, 7), layout="constrained")
for row, (name, ways) in zip(axes, results.items(), strict=False):
    for axis, (way, image) in zip(row, {name: originals[name], **ways}.items(), strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(way, fontsize=9)
        axis.axis("off")
for axis in axes[2]:
    axis.remove()
section = figure.add_subplot(axes[2, 0].get_gridspec()[2, :])
middle, ways = size // 2, results["Gaussian"]
for shift in (0, 64):
    section.step(np.arange(size), ways["two bits"][middle] + shift, "k:", linewidth=0.8, where="mid")
for way in ("distance interpolation", "membrane", "plate"):
    section.plot(ways[way][middle], label=way)
section.plot(originals["Gaussian"][middle], "k", linewidth=0.8, label="original")
section.legend(fontsize=8)
section.set(xlabel="column", ylabel="value", title="Gaussian, middle row")
plt.show()
