"""Fusion of a hyperspectral and a multispectral image of one scene.

The cube with the spectra of the one and the detail of the other as a Wasserstein barycenter (HMWB) [1]_;
beside it the plain means, component substitution (GSA) [2]_ and coupled non-negative matrix factorisation
(CNMF) [3]_; the operators they share, and virtual experiments. Cubes are (rows, cols, bands).

References
----------
.. [1] J. Mifdal, B. Coll, N. Courty, J. Froment, B. Vedel, "Hyperspectral and multispectral Wasserstein
   barycenter for image fusion", IGARSS 2017, 3373-3376. https://hal.science/hal-01620601
.. [2] B. Aiazzi, S. Baronti, M. Selva, "Improving component substitution pansharpening through multivariate
   regression of MS + Pan data", IEEE Transactions on Geoscience and Remote Sensing 45, 3230-3239 (2007).
   :doi:`10.1109/TGRS.2007.901007`
.. [3] N. Yokoya, T. Yairi, A. Iwasaki, "Coupled nonnegative matrix factorization unmixing for hyperspectral
   and multispectral data fusion", IEEE Transactions on Geoscience and Remote Sensing 50, 528-537 (2012).
   :doi:`10.1109/TGRS.2011.2161320`
"""

from fastimg.fusion._blur import starck_murtagh
from fastimg.fusion._cnmf import cnmf
from fastimg.fusion._denoise import denoise_total_variation, denoise_wiener
from fastimg.fusion._gsa import gsa
from fastimg.fusion._hmwb import hmwb
from fastimg.fusion._info import FusionInfo, FusionState
from fastimg.fusion._means import arithmetic_mean, geometric_mean
from fastimg.fusion._scene import SceneInfo, fuse_scene
from fastimg.fusion._simulate import resample_response, simulate_pair
from fastimg.fusion._spatial_inverse import upsample
from fastimg.fusion._spectral_inverse import spectral_inverse
from fastimg.fusion._widths import kernel_widths

__all__ = [
    "FusionInfo",
    "FusionState",
    "SceneInfo",
    "arithmetic_mean",
    "cnmf",
    "denoise_total_variation",
    "denoise_wiener",
    "fuse_scene",
    "geometric_mean",
    "gsa",
    "hmwb",
    "kernel_widths",
    "resample_response",
    "simulate_pair",
    "spectral_inverse",
    "starck_murtagh",
    "upsample",
]
