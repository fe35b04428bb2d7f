"""
Register a whole series
=======================

A camera drifts while it takes 400 noisy frames. One call of :func:`~fastimg.registration.register_stack`
registers all of them to the first, and their mean after registration has the detail that the plain mean has
lost.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from fastimg.registration import apply_shift, register_stack

# %%
# The drift is a random walk of some pixels. Each frame is the scene, shifted by it, cropped, with noise
# of half the contrast.

rng = np.random.default_rng(0)
scene = skimage.data.moon().astype(np.float32)
drift = np.cumsum(rng.normal(0, 0.25, (400, 2)), axis=0)
drift -= drift[0]
middle = (slice(160, 288), slice(200, 328))
frames = np.stack([apply_shift(scene, shift)[middle] for shift in drift])
frames += rng.normal(0, 0.5 * frames[0].std(), frames.shape).astype(np.float32)

# %%
# The window is an argument, so nothing has to be copied. The mean is subtracted first, because a bright
# window would correlate with itself at no shift. With this much noise the plain cross-correlation
# (``normalization=None``, the default) does better than the phase correlation.

profile = np.minimum(1, np.minimum(np.arange(128), np.arange(128)[::-1]) / 16)
window = np.outer(profile, profile).astype(np.float32)
centred = frames - frames.mean(axis=(1, 2), keepdims=True)
found = register_stack(centred[0], centred, upsample_factor=100, weight=window)
error = np.linalg.norm(found.shift + drift, axis=1)
print(f"median error {np.median(error):.3f} px, largest {error.max():.3f} px")

# %%
# The shifts bring the frames back; here is the drift as measured, and what the mean gains.

registered = apply_shift(frames, found.shift)

figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
for number, name in enumerate(("rows", "columns")):
    axes[0].plot(-found.shift[:, number], ".", markersize=3, label=f"{name}, measured")
    axes[0].plot(drift[:, number], "k", linewidth=0.5)
axes[0].set(xlabel="frame", title="drift / px")
axes[0].legend(fontsize=7)
pictures = (frames[0], frames.mean(axis=0), registered.mean(axis=0))
limits = np.quantile(pictures[1], (0.001, 0.999))
for axis, image, title in zip(axes[1:], pictures, ("one frame", "mean", "registered mean"), strict=True):
    axis.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1])
    axis.set_title(title)
    axis.axis("off")
plt.show()
