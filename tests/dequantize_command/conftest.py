"""An image of a smooth signal, and where the result goes."""

import numpy as np
import pytest

from fastimg.io import write_png
from tests.dequantize_command import smooth_signal


@pytest.fixture
def signal():
    return smooth_signal()


@pytest.fixture
def image(signal):
    """Codes of 8 bits of a dark and smooth signal."""
    return np.floor(64 * signal).astype(np.uint8)


@pytest.fixture
def source(tmp_path, image):
    write_png(tmp_path / "image.png", image)
    return tmp_path / "image.png"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "result.png"
