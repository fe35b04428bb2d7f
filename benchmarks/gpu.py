"""``python -m benchmarks.gpu [-o FILE]``: everything that needs a GPU, in one call of under 8 minutes.

The stages, each in a process of its own with its own time limit: every kernel called once, the test suite on
the device, every kernel under each tool of compute-sanitizer, and the speed of the kernels. One JSON gets
what each stage gave, or why it gave nothing. It needs cupy, pytest and fastimg's required packages. Clocks
and other settings of the device are left as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks import gpu_pie, gpu_plate, gpu_sinkhorn

ROOT = Path(__file__).resolve().parent.parent
SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")
SANITIZER_SECONDS = 35
LAST_LINES = 40

# Bytes that a kernel must move per pixel and pair, in units of the size of T.
TRAFFIC = {
    "weighted_energy": 2,
    "pack_pairs": 4,
    "apply_weight": 4,
    "cross_power_packed": 4,
    "cross_power": 6,
    "correlation_peak": 2,
    "window_nodes": 2,
    "fourier_shift": 4,
}
# Pairs and their size: more than any L2 cache holds, and lengths that are no powers of 2.
WORKLOADS = ((2000, 128, 128), (125, 512, 512), (2000, 100, 120), (2, 4096, 4096))


def main(arguments: list[str] | None = None) -> int:
    """Run the stages and write the record. Returns 2 where there is no GPU, 1 where a stage failed."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="JSON; default results/<device>-<date>.json")
    parser.add_argument("--stage", choices=STAGES, help="run one stage in this process and print its JSON")
    options = parser.parse_args(arguments)
    try:
        device = describe_device()
    except (ImportError, RuntimeError) as error:
        print(f"benchmarks.gpu needs an NVIDIA GPU and CuPy: {error}", file=sys.stderr)
        return 2
    if options.stage:
        print(json.dumps(STAGES[options.stage][0]()))
        return 0
    record = {**device, "commit": commit(), "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "stages": {}}
    output = options.output or default_output(device["device"])
    output.parent.mkdir(parents=True, exist_ok=True)
    for name, (_, limit) in STAGES.items():
        record["stages"][name] = run_stage(name, limit)
        # after each stage, so that an interrupted run leaves what it has
        output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print_summary(record)
    print(f"written to {output}")
    return int(any(not stage["ok"] for stage in record["stages"].values()))


def describe_device() -> dict[str, Any]:
    """Name the device and the software. Raises ImportError or RuntimeError where there is none."""
    import cupy

    runtime = cupy.cuda.runtime
    if runtime.getDeviceCount() == 0:
        raise RuntimeError("no device")
    properties = runtime.getDeviceProperties(0)
    return {
        "device": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "l2_bytes": properties["l2CacheSize"],
        "driver": query_driver(),
        "cuda_driver": runtime.driverGetVersion(),
        "cuda_runtime": runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }


def query_driver() -> str | None:
    """Return the driver's version, where nvidia-smi can say."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return None
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.split("\n")
    return lines[0].strip() or None


def commit() -> str | None:
    """Return the commit, with "+" where files differ from it; None where this is no clone."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "") if head.returncode == 0 else None


def default_output(device: str) -> Path:
    """Return where the record of this device and day belongs."""
    name = re.sub(r"\W+", "-", device).strip("-").lower()
    return ROOT / "benchmarks" / "results" / f"{name}-{time.strftime('%Y-%m-%d')}.json"


def run_limited(command: list[str], limit: float) -> dict[str, Any]:
    """Run a command from the repository's root; keep its exit status, time and last lines."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        text, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # a tool's own children hold the pipe, too
        text, _ = process.communicate()
        text += f"\nstopped after {limit} s"
    return {
        "ok": process.returncode == 0,
        "exit_status": process.returncode,
        "seconds": round(time.perf_counter() - start, 1),
        "output": text.strip().splitlines()[-LAST_LINES:],
    }


def run_stage(name: str, limit: float) -> dict[str, Any]:
    """Run a stage in its own process; its last line is its JSON."""
    print(f"{name} (at most {limit} s) ...", flush=True)
    result = run_limited([sys.executable, "-m", "benchmarks.gpu", "--stage", name], limit)
    if result["ok"]:
        result["result"] = json.loads(result.pop("output")[-1])
        result["ok"] = result["result"].get("ok", True)
    return result


def suite() -> dict[str, Any]:
    """Run the tests on the device. Files that cannot be collected are reported and the rest runs."""
    command = [sys.executable, "-m", "pytest", "-q", "--device=cuda", "--continue-on-collection-errors"]
    return run_limited([*command, "-p", "no:cacheprovider", "tests"], STAGES["suite"][1] - 5)


def sanitizer() -> dict[str, Any]:
    """Call every kernel under each tool of compute-sanitizer."""
    program = shutil.which("compute-sanitizer")
    if program is None:
        return {"skipped": "compute-sanitizer is not on PATH"}
    script = [sys.executable, "-m", "benchmarks.gpu", "--stage", "every_kernel"]
    tools = {
        tool: run_limited([program, "--tool", tool, "--error-exitcode", "9", *script], SANITIZER_SECONDS)
        for tool in SANITIZERS
    }
    return {"ok": all(tool["ok"] for tool in tools.values()), "tools": tools}


def every_kernel() -> dict[str, Any]:
    """Call every kernel on small images of even and odd sizes, each array an allocation of its own."""
    import cupy

    cupy.cuda.set_allocator(None)  # a pool would hide what is out of bounds or unset
    launched = set()
    with recorded_launches() as records:
        for precision in ("float32", "float64"):
            # the second size has several parts and tiles an image
            for shape in ((2, 33, 20), (2, 150, 140)):
                call_kernels(cupy, shape, precision)
            for size in (33, 40):
                gpu_pie.call_kernels(cupy, size, precision)
            launched |= {expression for expression, *_ in records}
        # the first has no coarser grid
        for shape in ((4, 40), (20, 33), (150, 140)):
            gpu_plate.call_kernels(cupy, shape)
        gpu_sinkhorn.call_kernels(cupy)
        launched |= {expression for expression, *_ in records}
    cupy.cuda.Device().synchronize()
    from fastimg.kernels.cuda import _module

    families = (
        "registration", "subpixel", *gpu_pie.FAMILIES, *gpu_plate.FAMILIES, *gpu_sinkhorn.FAMILIES
    )  # fmt: skip
    known = {name for family in families for name in _module.instantiations(family)}
    return {"ok": launched == known, "launched": sorted(launched), "missed": sorted(known - launched)}


def call_kernels(cupy: Any, shape: tuple[int, int, int], precision: str) -> None:
    """Call every twin of the registration kernels once on random pairs of images."""
    from fastimg.kernels.cuda import registration

    pairs, height, width = shape
    kind = np.result_type(precision, np.complex64)
    random = cupy.random.default_rng(0)
    reference, moving = (random.random(shape).astype(precision) for _ in range(2))
    weight = cupy.ones((height, width), precision)
    product, out = cupy.empty(shape, kind), cupy.empty(shape, kind)
    peak, energy = cupy.empty(pairs, np.int64), cupy.empty((pairs, 2), np.float64)
    shift, value = cupy.empty((pairs, 2), precision), cupy.empty(pairs, np.complex128)
    registration.correlate(reference.astype(kind), moving.astype(kind), weight, True, product, peak, energy)
    registration.correlate(reference, moving, weight, False, product, peak, energy)
    registration.refine_peak(product, peak, 100.0, shift, value)
    registration.fourier_shift(product, shift.astype(np.float64), out)
    positions = cupy.linspace(-1, 1, 15).reshape(1, 15)
    registration.matrix_dft(product, positions, cupy.empty((pairs, 15, width), kind))


@contextmanager
def recorded_launches() -> Iterator[list[tuple[str, Any, Any]]]:
    """Put an event before and after every launch: the list gets (expression, start, end)."""
    import cupy

    from fastimg.kernels.cuda import _launch

    records: list[tuple[str, Any, Any]] = []
    get_function = _launch.get_function

    def recorded(family: str, expression: str) -> Callable[..., None]:
        kernel = get_function(family, expression)

        def launch(*arguments: Any) -> None:
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record()
            kernel(*arguments)
            end.record()
            records.append((expression, start, end))

        return launch

    _launch.get_function = recorded
    try:
        yield records
    finally:
        _launch.get_function = get_function


def speed() -> dict[str, Any]:
    """Measure a copy, kernels against it, register_stack against plain CuPy, and the other systems."""
    import cupy

    bandwidth = copy_bandwidth(cupy)
    workloads = [
        {"pairs": shape[0], "size": shape[1:], "precision": precision, "kernels": kernels}
        for shape in WORKLOADS
        for precision in ("float32", "float64")
        for kernels in [measure_kernels(cupy, shape, precision, bandwidth)]
    ]
    return {
        "copy_bytes_per_s": bandwidth,
        "workloads": workloads,
        "register_stack": [throughput(cupy, None), throughput(cupy, "phase")],
        "ptychography": gpu_pie.measure_steps(cupy, elapsed),
        "dequantization": gpu_plate.measure_solver(cupy, elapsed),
        "transport": gpu_sinkhorn.measure_iterations(cupy, elapsed),
    }


def elapsed(cupy: Any, function: Callable[[], Any]) -> float:
    """Return the seconds that the device takes from the start to the end of a call."""
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    function()
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(start, end) / 1000


def copy_bandwidth(cupy: Any) -> float:
    """Return the bytes read and written per second by a large copy on the device."""
    source = cupy.random.default_rng(0).random(2**27)  # 1 GiB
    target = cupy.empty_like(source)
    times = [elapsed(cupy, lambda: cupy.copyto(target, source)) for _ in range(20)]
    return 2 * source.nbytes / float(np.median(times[5:]))


def measure_kernels(
    cupy: Any, shape: tuple[int, int, int], precision: str, bandwidth: float
) -> dict[str, dict[str, float]]:
    """Return the median time of each kernel, and its bandwidth as a fraction of a copy's."""
    times: dict[str, list[float]] = {}
    for repeat in range(10):
        with recorded_launches() as records:
            call_kernels(cupy, shape, precision)
            cupy.cuda.Device().synchronize()
        for expression, start, end in records if repeat > 1 else []:
            times.setdefault(expression, []).append(cupy.cuda.get_elapsed_time(start, end) / 1000)
    table = {}
    for expression, seconds in times.items():
        table[expression] = {"seconds": float(np.median(seconds))}
        if (units := TRAFFIC.get(expression.partition("<")[0])) is not None:
            moved = units * np.dtype(precision).itemsize * np.prod(shape)
            table[expression]["of_copy_bandwidth"] = float(moved / np.median(seconds) / bandwidth)
    return table


def throughput(
    cupy: Any, normalization: Literal["phase"] | None, pairs: int = 10_000, size: int = 128
) -> dict[str, Any]:
    """Register 10,000 pairs by fastimg and by plain CuPy in turns; medians, and how well they agree."""
    from fastimg.registration import register_stack

    reference, moving, truth = shifted_pairs(cupy, pairs, size)
    functions: dict[str, Callable[[], Any]] = {
        "fastimg": lambda: (
            register_stack(reference, moving, upsample_factor=100, normalization=normalization).shift
        ),
        "plain_cupy": lambda: plain_shifts(cupy, reference, moving, normalization),
    }
    found = {name: cupy.asnumpy(function()) for name, function in functions.items()}
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(7):
        for name, function in functions.items():
            times[name].append(elapsed(cupy, function))
    seconds = {name: float(np.median(values)) for name, values in times.items()}
    apart = np.abs(found["fastimg"] - found["plain_cupy"]).max(axis=1)
    return {
        "pairs": pairs,
        "size": size,
        "normalization": normalization,
        "seconds": seconds,
        "pairs_per_s": {name: pairs / value for name, value in seconds.items()},
        "times_as_fast": seconds["plain_cupy"] / seconds["fastimg"],
        "agree_within_0.011_px": float(np.mean(apart <= 0.011)),
        "rms_error_px": {name: float(np.sqrt(np.mean((s + truth) ** 2))) for name, s in found.items()},
    }


def shifted_pairs(cupy: Any, pairs: int, size: int) -> tuple[Any, Any, np.ndarray]:
    """Return random smooth periodic images, the same moved by up to 4 pixels, and the shifts."""
    random = cupy.random.default_rng(0)
    frequency = cupy.fft.fftfreq(size).astype(np.float32)
    envelope = 1 / (1 + (20 * cupy.hypot(frequency[:, None], frequency)) ** 2)
    shifts = np.random.default_rng(0).uniform(-4, 4, (pairs, 2))
    reference, moving = (cupy.empty((pairs, size, size), np.float32) for _ in range(2))
    for begin in range(0, pairs, 1000):
        part = slice(begin, begin + 1000)
        noise = random.random(reference[part].shape).astype(np.float32) - np.float32(0.5)
        spectrum = cupy.fft.fft2(noise) * envelope
        rows, columns = (cupy.asarray(shifts[part, axis, None]) * frequency for axis in (0, 1))
        ramp = cupy.exp(-2j * np.pi * (rows[:, :, None] + columns[:, None, :]))
        reference[part] = cupy.fft.ifft2(spectrum).real
        moving[part] = cupy.fft.ifft2(spectrum * ramp).real
    return reference, moving, shifts


def plain_shifts(cupy: Any, reference: Any, moving: Any, normalization: str | None) -> Any:
    """Register pairs as scikit-image does, written for a batch with CuPy's own functions."""
    pairs, size, _ = reference.shape
    factor, region = 100, 150
    frequency = cupy.fft.fftfreq(size)
    offsets = (cupy.arange(region) - region // 2) / factor
    shifts = cupy.empty((pairs, 2), np.float32)
    for begin in range(0, pairs, 500):  # a grid of 150 × 150 for each pair has to fit
        part = slice(begin, begin + 500)
        product = cupy.fft.fft2(reference[part]) * cupy.fft.fft2(moving[part]).conj()
        if normalization == "phase":
            product /= cupy.maximum(cupy.abs(product), 100 * np.finfo(np.float32).eps)
        correlation = cupy.abs(cupy.fft.ifft2(product)).reshape(len(product), -1)
        coarse = unravelled(cupy, correlation, size)
        coarse = cupy.where(coarse > size // 2, coarse - size, coarse)
        positions = coarse[:, :, None] + offsets
        phases = cupy.exp(2j * np.pi * positions[..., None] * frequency).astype(np.complex64)
        window = cupy.abs(phases[:, 0] @ product @ phases[:, 1].transpose(0, 2, 1))
        fine = unravelled(cupy, window.reshape(len(window), -1), region)
        shifts[part] = coarse + offsets[fine]
    return shifts


def unravelled(cupy: Any, values: Any, columns: int) -> Any:
    """Return the row and the column of the largest value of each flattened image."""
    largest = values.argmax(axis=1)
    return cupy.stack([largest // columns, largest % columns], axis=1)


def print_summary(record: dict[str, Any]) -> None:
    """Print a few lines: what failed, and the figures that matter most."""
    for name, stage in record["stages"].items():
        print(f"{name:12s} {'ok' if stage['ok'] else 'FAILED':6s} {stage['seconds']:6.1f} s")
        lines = stage.get("result", stage).get("output", [])
        for line in lines[-1:]:
            print(f"    {line}")
    result = record["stages"]["speed"].get("result", {})
    for workload in result.get("workloads", []):
        print(f"{workload['pairs']} pairs of {workload['size']}")
        for expression, row in workload["kernels"].items():
            share = f"{row['of_copy_bandwidth']:6.0%}" if "of_copy_bandwidth" in row else ""
            print(f"    {expression:30s} {row['seconds'] * 1e6:9.1f} µs {share}")
    for row in result.get("register_stack", []):
        rates = ", ".join(f"{name} {rate:.3g}/s" for name, rate in row["pairs_per_s"].items())
        print(f"register_stack, {row['normalization']}: {rates}, {row['times_as_fast']:.1f} times as fast")
    for row in result.get("ptychography", []):
        shape = f"{row['batch']:4d} of {row['size']:3d}², {row['modes']} modes"
        print(
            f"ptychography, {shape}, {'sub-pixel' if row['subpixel'] else 'whole pixels'}, {row['update']}: "
            f"{row['us_per_position']:.2f} µs a position, {row['bytes_per_s'] / 1e12:.2f} TB/s"
        )
    for row in result.get("dequantization", []):
        print(gpu_plate.described(row))
    for row in result.get("transport", []):
        print(gpu_sinkhorn.described(row))


# name: (function, seconds), in the order in which they run; together under 8 minutes.
STAGES: dict[str, tuple[Callable[[], dict[str, Any]], float]] = {
    "every_kernel": (every_kernel, 50),
    "suite": (suite, 165),
    "sanitizer": (sanitizer, len(SANITIZERS) * SANITIZER_SECONDS + 5),
    "speed": (speed, 115),
}

if __name__ == "__main__":
    sys.exit(main())
