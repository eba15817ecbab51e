"""This package with CuPy against zennit on the same card: milliseconds of an explanation, float32 without TF32 and float64.

    python benchmarks/gpu.py [--only vgg resnet] [--batch 1 4 16 64] [--rounds 7] [--out docs/speed-gpu.md]

Both run in one process and in turns. A round ends when the device has finished. "memory" is the most device memory a
candidate held besides its model, in megabytes; "over" is the median of lrp_ref over that of the candidate.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import candidates
import models
import report
import speed

LIMITS = {"float32": 1.0, "float64": 1 / 3}  # of our time over zennit's
COLUMNS = "| | median | min | max | over | memory |"
Run = Callable[[], Any]


def without_tf32() -> tuple[Any, Any]:
    """torch and CuPy, both with full float32 products."""
    try:
        import cupy
        import torch
    except ImportError as error:
        raise SystemExit(f"{error}; install cupy-cuda12x (or 13x), and torch with CUDA, zennit") from None
    if not cupy.is_available() or not torch.cuda.is_available():
        raise SystemExit("no CUDA device that both CuPy and torch can use")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    return torch, cupy


def made(name: str, task: str, rule: str, dtype: str) -> Run:
    """A candidate on the device, called once: kernels are compiled and chosen."""
    torch, cupy = without_tf32()
    on_card = {
        "lrp_ref": lambda: candidates.ours(task, rule, dtype, cupy),
        "zennit": lambda: candidates.zennit(task, rule, dtype, "cuda"),
        "torch": lambda: candidates.gradient(task, rule, dtype, "cuda"),
    }
    run: Run = on_card[name]()
    run()
    torch.cuda.synchronize()
    return run


def measured(run: Run) -> tuple[float, float]:
    """Seconds, and megabytes held at most beyond what was held before."""
    torch, cupy = without_tf32()
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    held, reserved = torch.cuda.memory_allocated(), pool.total_bytes()
    cupy.cuda.Device().synchronize()
    run()  # fills both pools again, which is not what is timed
    cupy.cuda.Device().synchronize()
    begin = time.perf_counter()
    run()
    cupy.cuda.Device().synchronize()
    seconds = time.perf_counter() - begin
    grown = max(torch.cuda.max_memory_allocated() - held, pool.total_bytes() - reserved)
    return seconds, grown / 2**20


def compare(task: str, rule: str, dtype: str, rounds: int) -> dict[str, Any]:
    """Every candidate, in turns; one that does not fit into the device's memory is left out."""
    _, cupy = without_tf32()
    found: dict[str, Any] = {}
    runs: dict[str, Run] = {}
    for name in ("lrp_ref", "zennit", "torch"):
        try:
            runs[name] = made(name, task, rule, dtype)
        except (ImportError, MemoryError, RuntimeError, cupy.cuda.memory.OutOfMemoryError) as error:
            found[name] = {"missing": (str(error).splitlines() or [type(error).__name__])[0]}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds, memory = measured(run)
            one = found.setdefault(name, {"seconds": [], "memory": []})
            one["seconds"].append(seconds)
            one["memory"].append(memory)
    return found


def table(task: str, rule: str, dtype: str, found: dict[str, Any]) -> str:
    lines = [f"### {task}, {rule}, {dtype}", "", models.described(task), "", COLUMNS, "|" + "---|" * 6]
    for name, one in found.items():
        if "missing" in one:
            lines.append(f"| {name} | left out: {one['missing']} |  |  |  |  |")
            continue
        times = (1e3 * f(one["seconds"]) for f in (statistics.median, min, max))
        cells = [*(f"{t:.2f}" for t in times), f"{report.ratio(found, name):.2f}", f"{max(one['memory']):.0f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if all("seconds" in found.get(name, {}) for name in ("lrp_ref", "zennit")):
        limit, reached = LIMITS[dtype], report.ratio(found, "zennit")
        lines += ["", f"Of zennit's time at most {limit:.2f}: {reached:.2f}, {report.verdict(limit, reached)}."]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(models.NETWORKS), default=list(models.NETWORKS))
    parser.add_argument("--dtype", nargs="+", choices=list(LIMITS), default=list(LIMITS))
    parser.add_argument("--rule", nargs="+", choices=models.RULES, default=list(models.RULES))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 16, 64])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch, cupy = without_tf32()
    header = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, torch {torch.__version__}, CuPy {cupy.__version__}"
    page = ["# Speed on a GPU", "", header, "", " ".join((__doc__ or "").split("\n\n")[-1].split()), ""]
    print(header)
    for kind in options.only:
        for batch in options.batch:
            for dtype in options.dtype:
                for rule in options.rule:
                    task = f"{kind}-b{batch}"
                    page.append(table(task, rule, dtype, compare(task, rule, dtype, options.rounds)))
                    print(page[-1], flush=True)
                    if options.out:
                        speed.write(options.out, "\n".join(page))


if __name__ == "__main__":
    main()
