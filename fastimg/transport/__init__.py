"""Entropy-regularised optimal transport on grids.

The kernels are Gaussians that act axis by axis, so a Sinkhorn iteration is a few convolutions [1]_:
barycenters of images and volumes [2]_, without the blur of the regularisation where asked for [3]_, and
distances with their gradients.

References
----------
.. [1] J. Solomon, F. de Goes, G. Peyré, M. Cuturi, A. Butscher, A. Nguyen, T. Du, L. Guibas, "Convolutional
   Wasserstein distances: efficient optimal transportation on geometric domains", ACM Transactions on
   Graphics 34, 66 (2015). :doi:`10.1145/2766963`
.. [2] J.-D. Benamou, G. Carlier, M. Cuturi, L. Nenna, G. Peyré, "Iterative Bregman projections for
   regularized transportation problems", SIAM Journal on Scientific Computing 37, A1111-A1138 (2015).
   :doi:`10.1137/141000439`
.. [3] H. Janati, M. Cuturi, A. Gramfort, "Debiased Sinkhorn barycenters", Proceedings of the 37th
   International Conference on Machine Learning, PMLR 119, 4692-4701 (2020).
"""

from fastimg.transport._barycenter import barycenter
from fastimg.transport._convolve import gaussian_convolve
from fastimg.transport._distance import transport_distance
from fastimg.transport._info import BarycenterInfo, BarycenterState, DistanceInfo
from fastimg.transport._pot import convolutional_barycenter2d, convolutional_barycenter2d_debiased

__all__ = [
    "BarycenterInfo",
    "BarycenterState",
    "DistanceInfo",
    "barycenter",
    "convolutional_barycenter2d",
    "convolutional_barycenter2d_debiased",
    "gaussian_convolve",
    "transport_distance",
]
