"""Package metadata; build settings and tools are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "fastimg/__init__.py").read_text(), re.M)[1]

# Wheels of TBB are for Linux on x86 (and Windows); Numba does without
TBB = "tbb>=2021.6; sys_platform == 'linux' and platform_machine == 'x86_64'"

EXTRAS = {
    "cuda12x": ["cupy-cuda12x[ctk]>=13.4"],
    "cuda13x": ["cupy-cuda13x[ctk]>=13.6"],
    "fast": [TBB],
    "io": [
        "astropy>=6",
        "nibabel>=5",
        "spectral>=0.23",
        "rasterio>=1.3",
        "imageio>=2.31",
        "tifffile>=2023.7",
    ],
    "plot": ["matplotlib>=3.8"],
    "dask": ["dask[array,distributed]>=2024.1", "zarr>=2.17"],
    "fusion": ["scikit-image>=0.24"],
    "demo": ["scikit-image>=0.24", "imageio>=2.31", "tifffile>=2023.7", "matplotlib>=3.8", "jinja2>=3.1"],
    "bench": ["asv>=0.6", "virtualenv>=20", "scikit-image>=0.24", "POT>=0.9.5", "pytest>=8"],
    "docs": [
        "sphinx>=7.2",
        "pydata-sphinx-theme>=0.15",
        "numpydoc>=1.7",
        "sphinx-gallery>=0.16",
        "sphinx-copybutton>=0.5",
        "myst-parser>=3",
        "matplotlib>=3.8",
        "scikit-image>=0.24",
    ],
}
EXTRAS["test"] = [
    "setuptools>=77",
    "pytest>=8",
    "pytest-xdist>=3.5",
    "hypothesis>=6.100",
    "build>=1.2",
    "ruff>=0.14",
    "mypy>=1.14",
    "types-tqdm",
    TBB,
    "cuda-bindings>=13",
    "nvidia-cuda-nvrtc>=13",
    "nvidia-cuda-cuobjdump>=13",
    "rasterio>=1.3",
    "spectral>=0.23",
    "POT>=0.9.7",
    *EXTRAS["demo"],
]
EXTRAS["all"] = sorted({need for name, needs in EXTRAS.items() if "cuda" not in name for need in needs})

setup(
    name="fastimg",
    version=VERSION,
    description="Hand-written CPU and CUDA kernels for computational imaging, with a NumPy-compatible API",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="BSD-3-Clause",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Operating System :: MacOS",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
    # kernels/ is a top-level folder of the repository and installs as fastimg.kernels
    package_dir={"fastimg": "fastimg", "fastimg.kernels": "kernels"},
    packages=[
        *find_packages(include=["fastimg", "fastimg.*"]),
        "fastimg.kernels",
        *(f"fastimg.kernels.{name}" for name in find_packages("kernels")),
    ],
    package_data={
        "fastimg": ["py.typed", "**/*.html.j2"],
        "fastimg.kernels": ["include/*.cuh", "include/*.h"],
        "fastimg.kernels.cuda": ["*.cu"],
    },
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.12",
        "numba>=0.60",
        "h5py>=3.10",
        "tqdm>=4.65",
        "click>=8.1",
        "lazy-loader>=0.4",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["fastimg = fastimg.cli:main"]},
)
