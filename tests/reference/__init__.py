"""Plain NumPy versions of the kernels, written for reading: what the twins are tested against."""
