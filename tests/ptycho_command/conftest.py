"""A small scan with wrong positions, and where results go."""

import pytest

from tests.ptycho_command import simulate_small


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_small(tmp_path_factory.mktemp("scan"))


@pytest.fixture
def scan(simulated):
    return simulated / "scan.cxi"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "result.h5"
