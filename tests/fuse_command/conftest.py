"""Files of a small scene, as two sensors see it, and where the result goes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastimg.fusion import simulate_pair
from fastimg.io import create_cube

WAVELENGTHS = np.linspace(450, 850, 9)


@dataclass(frozen=True)
class Scene:
    """A cube, the pair of images, the response, and the files of all of them."""

    folder: Path
    cube: Any
    hyperspectral: Any
    multispectral: Any
    response: Any

    def file(self, name):
        return self.folder / f"{name}.npz"

    @property
    def inputs(self):
        """Arguments of the command."""
        return self.file("hs"), self.file("ms"), "--response", self.folder / "response.csv", "--no-denoise"


@pytest.fixture
def scene(tmp_path):
    y, x = np.mgrid[:24, :20]
    patches = np.stack(
        [np.exp(-((y - 9) ** 2 + (x - 7) ** 2) / 40), (x + y) % 8 > 3, np.full(x.shape, 0.3)], -1
    )
    spectra = 100 + 50 * np.sin(np.outer([1, 2, 3], np.arange(9)) / 3)
    cube = (patches @ spectra).astype(np.float32)
    response = np.repeat(np.eye(3), 3, axis=1) / 3
    pair = simulate_pair(cube, response, ratio=4, snr_h=40, snr_m=40, rng=0)
    folder = tmp_path / "in"
    folder.mkdir()
    made = Scene(folder, cube, *pair, response)
    for name, values in (("cube", cube), ("hs", pair[0]), ("ms", pair[1])):
        wavelengths = None if name == "ms" else WAVELENGTHS
        with create_cube(made.file(name), values.shape, wavelengths=wavelengths) as writer:
            writer[:] = values
    np.savetxt(folder / "response.csv", response, delimiter=",")
    return made


@pytest.fixture
def output(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "fused.npy"
