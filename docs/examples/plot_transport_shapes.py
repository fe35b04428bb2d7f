"""
Between shapes
==============

The mean of the pixels of two shapes shows both of them, half as dark. Their barycenter of optimal transport
is a shape between them: mass is moved, not faded. :func:`~fastimg.transport.barycenter` finds it.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from skimage.transform import resize

from fastimg.transport import barycenter, transport_distance

# %%
# Four shapes, as measures: nothing is negative, and each has the mass 1.

size = 80
y, x = np.mgrid[1.3 : -1.3 : size * 1j, -1.3 : 1.3 : size * 1j]
horse = resize((skimage.data.horse() == 0).astype(float), (60, 70))
shapes = {
    "horse": np.pad(horse, ((10, 10), (5, 5))),
    "ring": np.abs(np.hypot(x, y) - 0.8) < 0.25,
    "heart": (x**2 + y**2 - 1) ** 3 < x**2 * y**3,
    "disks": np.hypot(np.abs(x) - 0.7, np.abs(y) - 0.7) < 0.35,
}
shapes = {name: shape / shape.sum() for name, shape in shapes.items()}
pair = [shapes["horse"], shapes["ring"]]

# %%
# The regularisation blurs: ``sigma`` is the width of the kernel, in pixels. With ``debiased=True`` its
# blur is left out.

ways = {
    "sigma = 6": {"sigma": 6.0},
    "sigma = 3": {"sigma": 3.0},
    "sigma = 3, debiased": {"sigma": 3.0, "debiased": True},
}
weights = (0, 0.25, 0.5, 0.75, 1)
rows = {"mean": [(1 - t) * pair[0] + t * pair[1] for t in weights]}
for name, settings in ways.items():
    rows[name] = [barycenter(pair, weights=[1 - t, t], iterations=200, **settings) for t in weights]

figure, axes = plt.subplots(4, 5, figsize=(9, 7.6), layout="constrained")
for line, (name, images) in zip(axes, rows.items(), strict=True):
    for axis, image in zip(line, images, strict=True):
        axis.imshow(image, cmap="gray_r", vmin=0)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(name)
plt.show()

# %%
# The wider the kernel, the fewer iterations are needed. ``tol`` says how far what is moved from the two
# shapes may disagree, as a part of the mass.

for sigma in (12.0, 6.0, 3.0):
    _, info = barycenter(pair, sigma=sigma, iterations=2000, tol=1e-3, return_info=True)
    print(f"sigma = {sigma:2.0f}: {info.iterations} iterations, range of the scalings e^{info.log_range:.0f}")

# %%
# With more than two measures the weights are barycentric coordinates. Here are 25 barycenters of the four
# shapes, which are in the corners.

figure, axes = plt.subplots(5, 5, figsize=(7, 7), layout="constrained")
for (row, col), axis in np.ndenumerate(axes):
    down, right = row / 4, col / 4
    corners = [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]
    image = barycenter(list(shapes.values()), weights=corners, sigma=3.0, iterations=100, debiased=True)
    axis.imshow(image, cmap="gray_r", vmin=0)
    axis.axis("off")
plt.show()

# %%
# How far the shapes are from each other is the Sinkhorn divergence, here in squared pixels: the mean of
# the squared distance over which mass is moved. One call takes all pairs.

sigma, all_shapes = 3.0, np.array(list(shapes.values()))
divergences = transport_distance(
    all_shapes[:, None], all_shapes, sigma=[sigma, sigma], gamma=2 * sigma**2, debiased=True, tol=1e-6
)
for name, line in zip(shapes, divergences.round(1) + 0.0, strict=True):
    print(f"{name:6}", *(f"{value:6.1f}" for value in line))
