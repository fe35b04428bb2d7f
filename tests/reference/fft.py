"""The Fourier transforms, by SciPy, which keeps single precision single."""

import scipy.fft


def fft2(x, norm=None, overwrite_x=False):
    return scipy.fft.fft2(x, axes=(-2, -1), norm=norm, overwrite_x=overwrite_x)


def ifft2(x, norm=None, overwrite_x=False):
    return scipy.fft.ifft2(x, axes=(-2, -1), norm=norm, overwrite_x=overwrite_x)


def fftn(x, s=None, axes=None, norm=None, overwrite_x=False):
    return scipy.fft.fftn(x, s=s, axes=axes, norm=norm, overwrite_x=overwrite_x)


def ifftn(x, s=None, axes=None, norm=None, overwrite_x=False):
    return scipy.fft.ifftn(x, s=s, axes=axes, norm=norm, overwrite_x=overwrite_x)


def rfftn(x, s=None, axes=None, norm=None):
    return scipy.fft.rfftn(x, s=s, axes=axes, norm=norm)


def irfftn(x, s=None, axes=None, norm=None):
    return scipy.fft.irfftn(x, s=s, axes=axes, norm=norm)


def next_fast_len(n):
    return scipy.fft.next_fast_len(n)
