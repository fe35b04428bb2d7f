"""Sub-pixel registration by cross-correlation.

The whole-pixel peak of the cross-correlation comes from FFTs, and is refined by a matrix-multiplication DFT
of its neighbourhood [1]_; with masks, by the masked normalised cross-correlation [2]_.

References
----------
.. [1] M. Guizar-Sicairos, S. T. Thurman, J. R. Fienup, "Efficient subpixel image registration algorithms",
   Optics Letters 33, 156-158 (2008). :doi:`10.1364/OL.33.000156`
.. [2] D. Padfield, "Masked object registration in the Fourier domain", IEEE Transactions on Image Processing
   21, 2706-2718 (2012). :doi:`10.1109/TIP.2011.2181402`
"""

from fastimg.registration._masked import cross_correlate_masked
from fastimg.registration._phase_correlation import phase_cross_correlation
from fastimg.registration._shift import apply_shift
from fastimg.registration._stack import StackShifts, register_stack
from fastimg.registration._upsampling import upsampled_dft

__all__ = [
    "StackShifts",
    "apply_shift",
    "cross_correlate_masked",
    "phase_cross_correlation",
    "register_stack",
    "upsampled_dft",
]
