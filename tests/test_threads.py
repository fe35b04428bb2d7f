"""Threads: parallel kernels from several Python threads on each of Numba's layers, and how many there are."""

import os
import subprocess
import sys

import pytest

import fastimg

pytestmark = pytest.mark.host_only

CALL = """
import sys, threading
import numba, numpy as np
import fastimg
from fastimg.registration import register_stack

fastimg.set_num_threads(2)
rng = np.random.default_rng(0)
# 2**18 points a call: beyond what one thread does alone
stacks = [rng.random((64, 64, 64), np.float32) for _ in range(4)]
fastimg.set_num_threads(1)
alone = [register_stack(stack[0], stack).shift for stack in stacks]
fastimg.set_num_threads(2)
together, barrier = [[] for _ in stacks], threading.Barrier(len(stacks))

def work(number):
    barrier.wait()
    for _ in range(5):
        together[number].append(register_stack(stacks[number][0], stacks[number]).shift)

threads = [threading.Thread(target=work, args=(number,)) for number in range(len(stacks))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for expected, results in zip(alone, together, strict=True):
    assert len(results) == 5
    for shift in results:
        np.testing.assert_array_equal(shift, expected)
print(numba.threading_layer())
"""


def run(code, **variables):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
def test_parallel_kernels_may_be_called_from_several_threads(layer):
    # pip puts TBB's library where the dynamic linker looks only when it is told to
    libraries = os.pathsep.join([f"{sys.prefix}/lib", os.environ.get("LD_LIBRARY_PATH", "")])
    result = run(CALL, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2", LD_LIBRARY_PATH=libraries)
    # where CI is set every layer has to be there
    if "No threading layer could be loaded" in result.stderr and not os.environ.get("CI"):
        pytest.skip(f"Numba cannot load its layer {layer} here")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [layer]


SINGLE_FROM_THREADS = """
import threading
import numpy as np
from fastimg.registration import register_stack
images = np.random.default_rng(0).random((4, 64, 64), np.float32)

def work(image):
    for _ in range(50):
        register_stack(image, image)

threads = [threading.Thread(target=work, args=(image,)) for image in images]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
"""

ONE_PAIR = """
import numpy as np
from fastimg.registration import register_stack
pair = np.random.default_rng(0).random((2, {size}, {size}), np.float32)
register_stack(pair[0], pair[1])
"""

BATCH = """
import numba, numpy as np
import fastimg
from fastimg.registration import register_stack
fastimg.set_num_threads({threads})
stack = np.random.default_rng(0).random((64, {size}, {size}), np.float32)
register_stack(stack[0], stack)
"""

LAYER = """
try:
    print(numba.threading_layer())
except ValueError:
    print("none")
"""

COUNT = """
import os
import numba
numba.get_num_threads()
print(len(os.listdir("/proc/self/task")))
"""

FORK = """
import os
child = os.fork()
if not child:
    register_stack(stack[0], stack)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def run_from_cache(code, folder, **variables):
    """Run in a process that shares Numba's disk cache ``folder`` with the others."""
    result = run(code, **{"NUMBA_CACHE_DIR": str(folder), "NUMBA_NUM_THREADS": "2", **variables})
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_single_pairs_from_several_threads_do_not_meet_a_cached_parallel_kernel(tmp_path):
    run_from_cache(BATCH.format(threads=2, size=64), tmp_path)
    # two Python threads that enter this layer abort the process
    found = run_from_cache(SINGLE_FROM_THREADS, tmp_path, NUMBA_THREADING_LAYER="workqueue")
    assert found == ["done"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads in /proc")
def test_a_batch_runs_on_several_threads_after_a_single_pair_was_cached(tmp_path):
    run_from_cache(ONE_PAIR.format(size=128), tmp_path)
    # OpenMP has no workers before the first parallel kernel, unlike the other layers
    code = COUNT + BATCH.format(threads=2, size=128) + COUNT + LAYER
    before, after, layer = run_from_cache(
        code, tmp_path, NUMBA_THREADING_LAYER="omp", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1"
    )
    assert layer == "omp"
    assert int(after) == int(before) + 1


def test_one_thread_starts_no_layer_and_may_be_forked_whatever_is_cached(tmp_path):
    run_from_cache(BATCH.format(threads=2, size=64) + ONE_PAIR.format(size=64), tmp_path)
    code = BATCH.format(threads=1, size=64) + LAYER + FORK
    assert run_from_cache(code, tmp_path, FASTIMG_NUM_THREADS="1") == ["none", "7"]


def test_the_environment_sets_the_number_of_threads():
    code = "import fastimg; print(fastimg.get_num_threads())"
    assert run(code, FASTIMG_NUM_THREADS="3", NUMBA_NUM_THREADS="4").stdout.split() == ["3"]
    assert run(code, NUMBA_NUM_THREADS="4").stdout.split() == ["4"]


@pytest.mark.parametrize("value", ["0", "5", "-1", "two", "1.5", ""])
def test_a_wrong_variable_is_named(value):
    result = run(
        "import fastimg; fastimg.get_num_threads()", FASTIMG_NUM_THREADS=value, NUMBA_NUM_THREADS="4"
    )
    assert result.returncode != 0
    assert (
        f"ValueError: FASTIMG_NUM_THREADS is {value!r}; accepted are whole numbers from 1 to 4"
        in result.stderr
    )


@pytest.fixture
def as_before():
    threads = fastimg.get_num_threads()
    yield
    fastimg.set_num_threads(threads)


@pytest.mark.usefixtures("as_before")
def test_what_is_set_is_got():
    fastimg.set_num_threads(1)
    assert fastimg.get_num_threads() == 1


@pytest.mark.parametrize("value", [0, -1, 1.5, 10**6, None, "two", float("nan")])
def test_a_wrong_number_is_named(value):
    before = fastimg.get_num_threads()
    with pytest.raises(ValueError, match="accepted are whole numbers from 1 to"):
        fastimg.set_num_threads(value)
    assert fastimg.get_num_threads() == before
