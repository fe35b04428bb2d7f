"""Ptychography: from diffraction patterns at overlapping positions to an image of the object.

The extended ptychographic iterative engine (ePIE) and its regularised form (rPIE) [2]_ with one or several
mutually incoherent modes of the illumination (M-ePIE, M-rPIE), sub-pixel positions and their refinement
[1]_, and virtual experiments.

References
----------
.. [1] F. Guzzi, G. Kourousias, F. Billè, R. Pugliese, A. Gianoncelli, S. Carrato, "A modular software
   framework for the design and implementation of ptychography algorithms", PeerJ Computer Science 8, e1036
   (2022).
   :doi:`10.7717/peerj-cs.1036`
.. [2] A. Maiden, D. Johnson, P. Li, "Further improvements to the ptychographical iterative engine", Optica 4,
   736-745 (2017). :doi:`10.1364/OPTICA.4.000736`
"""

from fastimg.ptychography._errors import object_error, position_error
from fastimg.ptychography._positions import raster_positions, spiral_positions
from fastimg.ptychography._probes import gaussian_probe, probe_modes, zone_plate_probe
from fastimg.ptychography._reconstruct import IterationState, reconstruct
from fastimg.ptychography._reconstruction import Reconstruction
from fastimg.ptychography._refinement import PositionRefinement
from fastimg.ptychography._scan import Scan
from fastimg.ptychography._simulate import simulate

__all__ = [
    "IterationState",
    "PositionRefinement",
    "Reconstruction",
    "Scan",
    "gaussian_probe",
    "object_error",
    "position_error",
    "probe_modes",
    "raster_positions",
    "reconstruct",
    "simulate",
    "spiral_positions",
    "zone_plate_probe",
]
