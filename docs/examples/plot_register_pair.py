"""
Register two photographs
========================

A photograph is shifted by a fraction of a pixel, by its Fourier transform, and cropped, as if it had been
taken twice. :func:`~fastimg.registration.phase_cross_correlation` finds the shift, and
:func:`~fastimg.registration.apply_shift` undoes it.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from fastimg.registration import apply_shift, phase_cross_correlation

# %%
# Two exposures of one scene. What leaves the crop at one edge does not come back at the other.

scene = skimage.data.camera().astype(np.float32)
true_shift = np.array([2.37, -4.81])
moved_scene = apply_shift(scene, -true_shift)
middle = (slice(128, 384), slice(160, 416))
reference, moving = scene[middle], moved_scene[middle]

# %%
# Edges do not match, so both images lose their mean and are faded out towards the border by a window;
# without it, the jump from the last column to the first would weigh in the correlation.

hann = np.hanning(258)[1:-1].astype(np.float32)
window = np.outer(hann, hann)


def windowed(image):
    """Subtract the mean and multiply by the window."""
    return (image - image.mean()) * window


shift, error, phasediff = phase_cross_correlation(windowed(reference), windowed(moving), upsample_factor=100)
print(f"true shift     {true_shift}")
print(f"measured shift {shift.round(2)}")

# %%
# After the shift has been applied, what is left are the parts that only one of the crops has seen: the shift
# is cyclic, so they are at the border.

registered = apply_shift(moving, shift)
before, after = moving - reference, registered - reference
spread = 3 * before.std()

figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
for axis, image, title in zip(
    axes, (reference, moving, before, after), ("reference", "moving", "before", "after"), strict=True
):
    limits = {"vmin": -spread, "vmax": spread} if image is before or image is after else {}
    axis.imshow(image, cmap="gray", **limits)
    axis.set_title(title)
    axis.axis("off")
plt.show()
