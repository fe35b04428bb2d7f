"""
A cube out of two images
========================

A hyperspectral image has all bands and few pixels, a multispectral one all pixels and few bands.
:func:`~fastimg.fusion.hmwb` fuses them: the cube is the barycenter of what each of them says of it.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from fastimg import fusion, metrics

# %%
# A scene whose truth is known. A photograph says where five materials are, each with a random smooth
# spectrum, and the light; a second one, of gravel, how much of a sixth is everywhere between them.

rng = np.random.default_rng(0)
photograph = skimage.data.coffee()[8:392, 44:556].reshape(96, 4, 128, 4, 3).mean(axis=(1, 3)) / 255
gravel = skimage.data.gravel()[:384, :512].reshape(96, 4, 128, 4).mean(axis=(1, 3)) / 255
materials = np.array(
    [[0.1, 0.05, 0.05], [0.45, 0.2, 0.05], [0.85, 0.5, 0.2], [0.3, 0.3, 0.3], [0.9, 0.9, 0.9]]
)
squares = ((photograph[:, :, None] - materials) ** 2).sum(axis=-1)
abundances = np.exp(-squares / 0.03) + 1e-9
abundances *= (1 - 0.5 * gravel[..., None]) / abundances.sum(axis=-1, keepdims=True)
abundances = np.dstack([abundances, 0.5 * gravel])

wavelengths = np.linspace(400, 900, 64)


def waves():
    """Return six sines of random phase, of half a period to one and a half."""
    return np.sin(2 * np.pi * (rng.random((6, 1)) + rng.uniform(0.5, 1.5, (6, 1)) * np.linspace(0, 1, 64)))


spectra = 0.5 + 0.4 * waves() * waves()
light = 0.3 + photograph.mean(axis=-1, keepdims=True)
truth = ((abundances @ spectra) * light).astype(np.float32)

# %%
# What two sensors make of it: four broad channels on all pixels, and all bands on every fourth pixel,
# blurred. Both with noise.

ratio = 4
response = np.array([np.exp(-(((wavelengths - middle) / 50) ** 4)) for middle in (450, 550, 660, 820)])
response /= response.sum(axis=1, keepdims=True)
h, m = fusion.simulate_pair(
    truth, response, ratio=ratio, blur=fusion.starck_murtagh(), snr_h=30, snr_m=40, rng=0
)
print(f"truth {truth.shape}, hyperspectral {h.shape}, multispectral {m.shape}")

# %%
# The ways to fuse. ``spectral_inverse`` says how spectra are made of the four channels: by the
# pseudo-inverse of the response, which has not seen any spectrum, or by regression, which has seen those
# of the hyperspectral image. ``weight`` is that of the multispectral image.

sensors = {"spectral_response": response, "ratio": ratio}
cubes = {
    "interpolated": fusion.upsample(h, ratio),
    "arithmetic mean": fusion.arithmetic_mean(h, m, **sensors),
    "HMWB": fusion.hmwb(h, m, **sensors),
    "HMWB, regression": fusion.hmwb(h, m, **sensors, spectral_inverse="regression", weight=0.5),
    "GSA": fusion.gsa(h, m, ratio=ratio, blur=fusion.starck_murtagh()),
    "CNMF": fusion.cnmf(h, m, **sensors, blur=fusion.starck_murtagh()),
}
for name, cube in cubes.items():
    print(
        f"{name:17} RMSE {metrics.rmse(cube, truth):.4f}, spectral angle {metrics.sam(cube, truth):.2f}°, "
        f"ERGAS {metrics.ergas(cube, truth, ratio):.2f}, "
        f"correlation {metrics.cross_correlation(cube, truth):.4f}"
    )

# %%
# HMWB is better than the means of the same two estimates. CNMF, which takes every pixel for a mixture of
# a few spectra, is better than HMWB, above all on a scene that is made so.

shown = [np.abs(wavelengths - at).argmin() for at in (820, 660, 550)]
images = {"truth": truth, "hyperspectral": h, "multispectral": m[..., [3, 2, 1]]}
images |= {name: cubes[name] for name in ("arithmetic mean", "HMWB, regression", "CNMF")}
white = np.percentile(truth, 99)
figure, axes = plt.subplots(2, 3, figsize=(10, 5.4), layout="constrained")
for axis, (name, image) in zip(axes.flat, images.items(), strict=True):
    bands = shown if image.shape[-1] > 3 else slice(None)
    axis.imshow(np.clip(image[..., bands] / white, 0, 1), interpolation="nearest")
    axis.set_title(name)
    axis.axis("off")
plt.show()

# %%
# The quality depends on how many iterations there are. A callback can look at the cube on its way.


def errors(**settings):
    """Return the RMSE after each iteration."""
    found = []
    fusion.hmwb(
        h, m, **sensors, **settings, callback=lambda state: found.append(metrics.rmse(state.fused, truth))
    )
    return found


traces = {
    "pinv, λ = 0.1": errors(),
    "regression, λ = 0.1": errors(spectral_inverse="regression"),
    "regression, λ = 0.5": errors(spectral_inverse="regression", weight=0.5),
}
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for name, trace in traces.items():
    axes[0].loglog(np.arange(1, len(trace) + 1), trace, label=name)
for name, line in (("interpolated", ":"), ("arithmetic mean", "--"), ("CNMF", "-.")):
    axes[0].axhline(metrics.rmse(cubes[name], truth), color="gray", linestyle=line, label=name)
axes[0].set(xlabel="iterations", ylabel="RMSE")
axes[0].legend(fontsize=8)
worst = np.unravel_index(((cubes["interpolated"] - truth) ** 2).sum(axis=-1).argmax(), truth.shape[:2])
axes[1].plot(wavelengths, truth[worst], color="gray", linewidth=3, label="truth")
for name in ("interpolated", "arithmetic mean", "HMWB, regression", "CNMF"):
    axes[1].plot(wavelengths, cubes[name][worst], label=name)
axes[1].set(xlabel="wavelength / nm", title="where interpolation is worst")
axes[1].legend(fontsize=8)
plt.show()
