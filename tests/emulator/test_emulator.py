"""The emulator: device functions, launch checks, schedules, counts and the cache of compiled objects."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests import emulator
from tests.emulator import CompilerMissing, EmulatorError, Module, compile, schedules
from tests.emulator.planted import kernel

pytestmark = pytest.mark.host_only

DEVICE_FUNCTIONS = r"""
extern "C" __global__ void turns(const double* x, double* sines, double* cosines, float* single_sines)
{
    const int i = threadIdx.x;
    float cosine;
    sincospi(x[i], &sines[i], &cosines[i]);
    sincospif(float(x[i]), &single_sines[i], &cosine);
}

extern "C" __global__ void roots(const float* x, float* single, double* twice)
{
    const int i = threadIdx.x;
    single[i] = rsqrt(x[i]) + fma(sqrt(x[i]), 2.0f, 1.0f);
    twice[i] = rsqrt(double(x[i])) + fma(sqrt(double(x[i])), 2.0, 1.0);
    static_assert(sizeof(rsqrt(1.0f)) == 4 && sizeof(sqrt(1.0f)) == 4 && sizeof(fma(1.0f, 1.0f, 1.0f)) == 4);
}

extern "C" __global__ void votes(const int* x, int* out)
{
    const unsigned all = 0xffffffffu;
    const int lane = threadIdx.x, value = x[lane];
    out[lane] = __shfl_up_sync(all, value, 3);
    out[32 + lane] = __shfl_xor_sync(all, value, 5);
    out[64 + lane] = __shfl_sync(all, value, 9, 8);
    out[96 + lane] = int(__ballot_sync(all, value > 10));
    out[128 + lane] = __any_sync(all, value == 7) + 2 * __all_sync(all, value >= 0);
    out[160 + lane] = __reduce_add_sync(all, value);
    out[192 + lane] = __reduce_max_sync(lane < 16 ? 0xffffu : 0xffff0000u, value);
    out[224 + lane] = __syncthreads_count(value > 10);
    out[256 + lane] = __shfl_down_sync(all, value, 2, 16);
}

struct Pair { float first; int second; };

extern "C" __global__ void
copies(const float4* wide, float4* out, const double2* pairs, double2* reversed, Pair pair)
{
    const int i = threadIdx.x;
    out[i] = __ldg(&wide[i]);
    const double2 value = pairs[i];
    reversed[i] = make_double2(value.y + pair.second, value.x + pair.first);
}

__constant__ int table[4] = {3, 1, 4, 1};

extern "C" __global__ void constants(int* out) { out[threadIdx.x] = table[threadIdx.x]; }
"""


@pytest.fixture(scope="module")
def functions():
    return Module(DEVICE_FUNCTIONS).kernels


def test_sincospi_is_exact_at_halves_and_accurate_elsewhere(functions):
    x = np.array([0, 0.5, 1, 1.5, -0.5, 2, 1e15, 7.25, -3.7, 123456.789])
    sines, cosines, single = np.empty(10), np.empty(10), np.empty(10, np.float32)
    functions["turns"]((1,), (10,), (x, sines, cosines, single))
    np.testing.assert_array_equal(sines[:7], [0, 1, 0, -1, -1, 0, 0])
    np.testing.assert_array_equal(cosines[:7], [1, 0, -1, 0, 0, 1, 1])
    np.testing.assert_allclose(sines[7:], np.sin(np.pi * np.fmod(x[7:], 2)), rtol=1e-10)
    np.testing.assert_allclose(
        single[7:], np.sin(np.pi * np.fmod(np.float32(x[7:]).astype(float), 2)), rtol=1e-7
    )


def test_mathematics_is_overloaded_for_float_and_double(functions):
    x = np.linspace(0.1, 9, 32, dtype=np.float32)
    single, double = np.empty(32, np.float32), np.empty(32)
    functions["roots"]((1,), (32,), (x, single, double))
    np.testing.assert_allclose(single, x**-0.5 + 2 * np.sqrt(x) + 1, rtol=3e-7)
    np.testing.assert_allclose(double, x.astype(float) ** -0.5 + 2 * np.sqrt(x.astype(float)) + 1, rtol=1e-15)


def test_warp_functions_do_what_they_do_on_a_gpu(functions):
    x = np.random.default_rng(0).permutation(32).astype(np.int32)
    out = np.empty((9, 32), np.int32)
    with schedules(range(4)):
        functions["votes"]((1,), (32,), (x, out))
    lane = np.arange(32)
    np.testing.assert_array_equal(out[0], x[np.where(lane < 3, lane, lane - 3)])
    np.testing.assert_array_equal(out[1], x[lane ^ 5])
    np.testing.assert_array_equal(out[2], x[lane // 8 * 8 + 1])
    np.testing.assert_array_equal(out[3].view(np.uint32), np.sum((x > 10) << lane.astype(np.uint64)))
    np.testing.assert_array_equal(out[4], 3)
    np.testing.assert_array_equal(out[5], x.sum())
    np.testing.assert_array_equal(out[6], np.repeat([x[:16].max(), x[16:].max()], 16))
    np.testing.assert_array_equal(out[7], (x > 10).sum())
    np.testing.assert_array_equal(out[8], x[np.where(lane % 16 < 14, lane + 2, lane)])


def test_vectors_and_structs_are_passed_as_their_bytes(functions):
    wide, pairs = np.arange(32, dtype=np.float32), np.arange(8) + 1j
    out, swapped = np.empty_like(wide), np.empty_like(pairs)
    pair = np.array((0.5, 2), dtype=[("first", np.float32), ("second", np.int32)])[()]
    functions["copies"]((1,), (8,), (wide, out, pairs, swapped, pair))
    np.testing.assert_array_equal(out, wide)
    np.testing.assert_array_equal(swapped, 3 + 1j * (np.arange(8) + 0.5))


def test_constant_memory_is_read(functions):
    out = np.empty(4, np.int32)
    functions["constants"]((1,), (4,), (out,))
    np.testing.assert_array_equal(out, [3, 1, 4, 1])


# Grid, block, dynamic shared memory, and what is said.
LAUNCH_ERRORS = {
    "no block": ((0,), (64,), 0, "must be positive"),
    "grid over 65535 in y": ((1, 65536), (64,), 0, "over the limits"),
    "block over 1024": ((1,), (1025,), 0, "over 1024 threads"),
    "block over 64 in z": ((1,), (1, 1, 65), 0, "over 1024 threads or over"),
    "block over its launch bounds": ((1,), (512,), 0, r"over __launch_bounds__\(256\)"),
    "shared memory over 48 KiB": ((1,), (64,), 50000, "set max_dynamic_shared"),
    "five numbers": ((1, 1, 1, 1, 1), (64,), 0, "one to three integers"),
}


@pytest.mark.parametrize("name", LAUNCH_ERRORS)
def test_a_launch_beyond_the_limits_is_refused(name):
    grid, block, shared_mem, message = LAUNCH_ERRORS[name]
    arguments = np.ones(8, np.float32), np.empty(1, np.float32), np.int32(8)
    with pytest.raises(ValueError, match=message):
        kernel("block_sum")(grid, block, arguments, shared_mem=shared_mem)


ARGUMENT_ERRORS = {
    "one too few": (lambda v, s, n: (v, s), r"2 arguments, the kernel has 3"),
    "double for float": (
        lambda v, s, n: (v.astype(float), s, n),
        r"'values' is an array of float64.* float32",
    ),
    "complex for float": (lambda v, s, n: (v.astype("D"), s, n), r"'values' is an array of complex128"),
    "strided": (lambda v, s, n: (v[::2], s, n), r"'values' is not C-contiguous"),
    "a list": (lambda v, s, n: ([1.0], s, n), r"'values' is list; the kernel reads a pointer"),
    "an array for a scalar": (lambda v, s, n: (v, s, s), r"'count' is ndarray; the kernel reads int32"),
    "a Python int": (lambda v, s, n: (v, s, 8), r"wrong scalar type: argument 2 'count' is passed as int64"),
}


@pytest.mark.parametrize("name", ARGUMENT_ERRORS)
def test_arguments_that_the_kernel_does_not_read_are_refused(name):
    make, message = ARGUMENT_ERRORS[name]
    with pytest.raises(TypeError, match=message):
        kernel("block_sum")((1,), (256,), make(np.ones(8, np.float32), np.empty(1, np.float32), np.int32(8)))


def test_more_than_48_kib_of_shared_memory_has_to_be_asked_for():
    run = kernel("box_filter")
    image, out = np.ones((1, 100), np.float32), np.empty((1, 100), np.float32)
    arguments = image, out, np.int32(100), np.int32(1)
    with pytest.raises(ValueError, match="max_dynamic_shared_size_bytes first"):
        run((1,), (128,), arguments, shared_mem=60000)
    run.max_dynamic_shared_size_bytes = 60000
    run((1,), (128,), arguments, shared_mem=60000)
    with pytest.raises(ValueError, match="more than the 65536 bytes of the smallest supported device"):
        run.max_dynamic_shared_size_bytes = 100000


def test_static_and_dynamic_shared_memory_count_together():
    source = """
    extern "C" __global__ void both(float* out)
    {
        extern __shared__ float more[];
        __shared__ float some[8192];
        for (int i = threadIdx.x; i < 8192; i += 32) some[i] = i;
        more[threadIdx.x] = some[threadIdx.x];
        out[threadIdx.x] = more[threadIdx.x];
    }"""
    run, out = Module(source).kernels["both"], np.empty(32, np.float32)
    run((1,), (32,), (out,), shared_mem=16384)
    with pytest.raises(EmulatorError, match="too much shared memory: 32768 bytes static and 20000 dynamic"):
        run((1,), (32,), (out,), shared_mem=20000)


def test_a_result_that_depends_on_the_schedule_is_an_error():
    source = """
    extern "C" __global__ void order(int* out)
    {
        if (atomicAdd(&out[0], 1) == 0)
            atomicExch(&out[1], threadIdx.x);
    }"""
    run, out = Module(source).kernels["order"], np.zeros(2, np.int32)
    with schedules([0, 1, 2, 3]), pytest.raises(EmulatorError, match="the result depends on the schedule"):
        run((1,), (64,), (out,))
    with schedules([0, 1, 2, 3], identical=False):
        out[:] = 0
        run((1,), (64,), (out,))
    assert out[0] == 64, "each schedule starts from the same memory"


def test_overlapping_views_are_one_memory():
    source = 'extern "C" __global__ void move(const int* a, int* b) { b[threadIdx.x] = a[threadIdx.x]; }'
    run, memory = Module(source).kernels["move"], np.arange(33, dtype=np.int32)
    with pytest.raises(EmulatorError, match="data race"):
        run((1,), (32,), (memory[:32], memory[1:]))
    run((1,), (32,), (memory[:32], memory[:32]))


@pytest.mark.parametrize(("name", "dtype"), [("unsigned char", np.uint8), ("short", np.int16)])
def test_threads_may_change_neighbouring_bytes(name, dtype):
    source = f'extern "C" __global__ void change({name}* a, int i) {{ ++a[threadIdx.x]; a[i] = a[0]; }}'
    run, values = Module(source).kernels["change"], np.zeros(64, dtype)
    source_of_each = source.replace("a[i] = a[0]", "a[threadIdx.x] += i")
    Module(source_of_each).kernels["change"]((1,), (64,), (values, np.int32(1)))
    assert (values == 2).all()
    with pytest.raises(EmulatorError, match="data race"):
        run((1,), (64,), (values, np.int32(63)))


UNDEFINED = {
    "lanes of no mask": ("if (__activemask()) a[0] = 1;", "__activemask.. has no defined meaning"),
    "a large frame": (
        "volatile int b[40000]; for (int i = 0; i < 40000; ++i) b[i] = i; a[0] = b[9];",
        "stack overflow of a thread",
    ),
    "null": ("int* b = (int*)(long long)(a[1]); a[0] = *b;", "out-of-bounds read of 4 bytes, through a null"),
    "wild": (
        "int* b = a + 99999999; a[0] = *b;",
        "out-of-bounds read of 4 bytes, near no array of the launch",
    ),
    "shift": ("a[0] = 1 << (a[1] + 40);", "shift out of bounds"),
    "conversion": ("a[0] = int(1e30f * (a[1] + 1));", "float to integer conversion out of range"),
    "local array": ("int b[4] = {}; a[0] = b[a[1] + 4];", "array index out of bounds"),
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_other_undefined_behaviour_is_named(name):
    body, message = UNDEFINED[name]
    run = Module(f'extern "C" __global__ void faulty(int* a) {{ {body} }}').kernels["faulty"]
    with pytest.raises(EmulatorError, match=message):
        run((1,), (1,), (np.zeros(2, np.int32),))


def test_launches_and_bytes_are_recorded():
    values, sums = np.ones(512, np.float32), np.empty(2, np.float32)
    with emulator.recording() as record:
        kernel("block_sum")((2,), (256,), (values, sums, np.int32(512)))
    assert record.launches == [("block_sum", (2, 1, 1), (256, 1, 1))]
    assert (record.bytes_read, record.bytes_written) == (2048, 8)
    assert emulator.launches[-1].kernel == "block_sum"
    assert record.host_synchronisations == 0


def test_threads_of_the_host_take_turns():
    run, errors = kernel("block_sum"), []

    def work(seed):
        values = np.full(1024, seed, np.float32)
        for _ in range(5):
            sums = np.empty(4, np.float32)
            run((4,), (256,), (values, sums, np.int32(1024)))
            errors.extend(sums[sums != 256 * seed])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("FASTIMG_EMULATOR_CXX", raising=False)
    with pytest.raises(CompilerMissing, match=r"apt install g\+\+"):
        compile.find_compiler()


def test_compiled_objects_are_reused_by_other_processes(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTIMG_EMULATOR_CACHE", str(tmp_path))
    code = (
        "from tests.emulator import compile\n"
        """print(compile.build('extern "C" __global__ void empty() {}', ['empty']))"""
    )
    root = Path(__file__).resolve().parents[2]
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    libraries = {process.communicate()[0].strip() for process in processes}
    assert len(libraries) == 1
    assert Path(libraries.pop()).parent == tmp_path
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len([name for name in files if name.endswith(".so")]) == 1
    assert all(name.endswith((".o", ".so")) for name in files), "temporary files are left"


def test_a_compile_error_names_the_line():
    with pytest.raises(RuntimeError, match=r"scale\.cu:3:.*wrong"):
        Module('#line 3 "scale.cu"\nextern "C" __global__ void scale() { wrong(); }\n')
