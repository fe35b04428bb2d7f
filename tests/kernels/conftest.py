"""Fixtures of the kernels' tests."""

import numpy as np
import pytest


class Changed:
    """An argument that a kernel changes in place."""

    def __init__(self, array):
        self.array = array


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def call_family(kernels, xp, to_device, to_host):
    """Return a caller of one family's kernels.

    It takes inputs from the host and outputs as (shape, dtype), and returns these and what was ``Changed``.
    """

    def caller(family):
        def call(name, *arguments):
            places, outputs = [], []
            for argument in arguments:
                if isinstance(argument, np.ndarray):
                    places.append(to_device(argument))
                elif isinstance(argument, tuple):
                    places.append(xp.empty(*argument))
                    outputs.append(places[-1])
                elif isinstance(argument, Changed):
                    places.append(to_device(argument.array.copy()))
                    outputs.append(places[-1])
                else:
                    places.append(argument)
            assert getattr(getattr(kernels, family), name)(*places) is None
            return [to_host(output) for output in outputs]

        return call

    return caller


@pytest.fixture
def call(call_family, request):
    """The caller of the family that the test module names in ``FAMILY``."""
    return call_family(request.module.FAMILY)
