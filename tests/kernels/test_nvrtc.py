"""Every CUDA source compiles for every supported architecture, within what it says it uses."""

import dataclasses

import pytest

from fastimg.kernels.cuda import _module
from tests import nvrtc

pytestmark = [
    pytest.mark.host_only,
    pytest.mark.skipif(
        bool(nvrtc.missing_packages()), reason=f"needs pip install {' '.join(nvrtc.missing_packages())}"
    ),
]


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES, ids="sm_{}".format)
@pytest.mark.parametrize("family", nvrtc.families())
def test_kernels_compile_within_their_budgets(family, architecture):
    budgets = _module.instantiations(family)
    usages = nvrtc.compile_family(family, architecture)
    assert {usage.expression for usage in usages} == set(budgets)
    assert not [fault for usage in usages for fault in nvrtc.faults(usage, budgets[usage.expression])]


def test_every_source_names_its_kernels():
    assert nvrtc.families()
    for family in nvrtc.families():
        assert _module.instantiations(family), f"{family}.cu has no @instantiate line"


def test_a_compile_error_names_the_file_and_line(monkeypatch):
    monkeypatch.setattr(_module, "instantiations", lambda family: {"broken": 32})
    monkeypatch.setattr(
        _module,
        "source",
        lambda family: '#line 7 "kernels/cuda/broken.cu"\n__global__ void broken() { wrong(); }\n',
    )
    with pytest.raises(RuntimeError, match=r'kernels/cuda/broken.cu\(7\): error: identifier "wrong"'):
        nvrtc.compile_family("broken", 80)


def test_local_arrays_are_seen(monkeypatch):
    source = """
    __global__ void local(int* a)
    {
        int b[64];
        for (int i = 0; i < 64; ++i)
            b[a[i] & 63] = i;
        *a = b[a[9] & 63];
    }
    """
    monkeypatch.setattr(_module, "instantiations", lambda family: {"local": 64})
    monkeypatch.setattr(_module, "source", lambda family: source)
    (usage,) = nvrtc.compile_family("local", 80)
    assert usage.stack_bytes >= 256
    assert "a stack of" in nvrtc.faults(usage, 64)[0]


def test_the_command_fails_on_a_kernel_over_its_budget(monkeypatch, capsys):
    within = nvrtc.Usage("copy<float>", 80, registers=32, stack_bytes=0, local_bytes=0, shared_bytes=0)
    monkeypatch.setattr(_module, "instantiations", lambda family: {"copy<float>": 32})
    monkeypatch.setattr(nvrtc, "compile_family", lambda family, architecture: [within])
    assert nvrtc.main(["copy"]) == 0
    over = dataclasses.replace(within, registers=40)
    monkeypatch.setattr(nvrtc, "compile_family", lambda family, architecture: [over])
    assert nvrtc.main(["copy"]) == len(nvrtc.ARCHITECTURES)
    assert "copy<float>, sm_80: 40 registers, its source states 32" in capsys.readouterr().err
