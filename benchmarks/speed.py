"""How fast relevance is: this package, the libraries it judges, and the bare matrix products, side by side in one run.

    python benchmarks/speed.py --out docs/speed.md --python innvestigate=/path/to/python

Every candidate runs in a process of its own, and the processes take turns round by round, so that a disturbance of the
machine meets all of them. What is measured is kept in `--results`: a run that was interrupted goes on where it stopped, parts
can be run one by one (`--only dense conv`, `--batch 1`, `--dtype float32`), and `--out` writes the tables of all that is there
(`report.py` says what the columns are). `--again` measures anew. A library that is not installed is left out with a line; one
that lives in another environment is reached with `--python`. `--growth` adds how time grows with the size of the work.
Everything takes about half an hour on two idle cores, the layers a quarter of it.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import report
from candidates import CANDIDATES
from growth import SWEEPS, growth

MANY = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
PAUSE = 0.2  # seconds: a library's threads look for more work for a while, on the cores of whoever is next
NEEDED = {"float64": ("lrp_ref", "products", "zennit")}  # of networks, where goals speak of no other library


def serve(name: str, task: str, rule: str, dtype: str) -> None:
    """In the candidate's process: one measurement for every line read, after a run that is not counted."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        run = CANDIDATES[name](task, rule, dtype)
        before = resident("VmRSS")
        run()
    except (ImportError, LookupError) as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        run()
        Path("/proc/self/clear_refs").write_text("5")  # the largest size so far, forgotten
        begin, cpu = time.perf_counter(), time.process_time()
        run()
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": resident("VmHWM") - before}), flush=True)


def resident(field: str) -> float:
    """Megabytes of this process's memory, now (VmRSS) or at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith(field))


class Worker:
    """A candidate in its own process."""

    def __init__(self, name: str, python: str, case: tuple[str, str, str], threads: int) -> None:
        environment = {**os.environ, **dict.fromkeys(MANY, str(threads)), "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [python, "-W", "ignore", os.path.abspath(__file__), "--serve", name, *case]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.rounds: list[dict[str, float]] = []
        self.missing: str | None = self._line().get("missing")

    def measure(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        found = self._line()
        if "missing" in found:
            self.missing = found["missing"]
        else:
            self.rounds.append(found)

    def found(self) -> dict[str, Any]:
        """What was measured; ends the process."""
        self.process.communicate()
        if self.missing is not None:
            return {"missing": self.missing}
        return {name: [each[name] for each in self.rounds] for name in ("seconds", "cpu", "memory")}

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        assert self.process.stderr is not None
        return {"missing": (self.process.stderr.read().strip().splitlines() or ["it ended without a word"])[-1]}


def compare(case: tuple[str, str, str], names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """All candidates on one case, in turns."""
    pythons = dict(pair.split("=", 1) for pair in options.python)
    workers = {name: Worker(name, pythons.get(name, sys.executable), case, options.threads) for name in names}
    for _ in range(options.rounds):
        for worker in workers.values():
            if worker.missing is None:
                worker.measure()
                time.sleep(PAUSE)
    return {name: worker.found() for name, worker in workers.items()}


def machine(threads: int) -> dict[str, Any]:
    """What the measurements depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return {
        "processor": named.get("model name", platform.processor() or platform.machine()),
        "cache": named.get("cache size", "unknown"),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "torch", "zennit", "captum")},
    }


def version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as of

    try:
        return of(name)
    except PackageNotFoundError:
        return "not installed"


def cases(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """(task, rule, dtype) of everything asked for."""
    for only in options.only:
        for task in [only] if only in models.LAYERS else [f"{only}-b{n}" for n in options.batch]:
            for dtype in options.dtype:
                for rule in options.rule:
                    yield task, rule, dtype


def asked(case: tuple[str, str, str], options: argparse.Namespace) -> list[str]:
    """The candidates of a case."""
    task, _, dtype = case
    needed = CANDIDATES if task in models.LAYERS else NEEDED.get(dtype, CANDIDATES)
    return [name for name in options.candidate if name in needed]


def write(path: Path, text: str) -> None:
    """The whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(path.suffix + ".part")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    everything = (*models.LAYERS, *models.NETWORKS)
    parser.add_argument("--only", nargs="*", choices=everything, default=everything, metavar="TASK", help=", ".join(everything))
    parser.add_argument("--dtype", nargs="+", choices=("float32", "float64"), default=["float32", "float64"])
    parser.add_argument("--rule", nargs="+", choices=models.RULES, default=list(models.RULES))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4], help="of networks")
    parser.add_argument("--candidate", nargs="+", choices=list(CANDIDATES), default=list(CANDIDATES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", nargs="+", default=[], metavar="NAME=PATH", help="the interpreter of a candidate")
    parser.add_argument("--growth", action="store_true", help="how time grows, too")
    parser.add_argument("--results", type=Path, default=Path("speed.json"), help="where measurements are kept")
    parser.add_argument("--again", action="store_true", help="measure what is already there")
    parser.add_argument("--out", type=Path, help="write the tables of all results to this file")
    return parser.parse_args()


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        return serve(*sys.argv[2:])
    options = parsed()
    results: dict[str, Any] = json.loads(options.results.read_text()) if options.results.exists() else {}
    here = machine(options.threads)
    if results and results["machine"] != here:
        sys.exit(f"{options.results} was measured with {results['machine']}, this is {here}; name another file with --results")
    results = {"machine": here, "cases": {}, "growth": {}, **results}
    print(report.machine(here), f"load {os.getloadavg()[0]:.1f}", sep="\n", flush=True)
    for case in cases(options):
        key = " ".join(case)
        names = [name for name in asked(case, options) if options.again or name not in results["cases"].get(key, {})]
        if names and "lrp_ref" not in names and "lrp_ref" in options.candidate:
            names = ["lrp_ref", *names]  # a ratio needs both in one run
        if names:
            results["cases"].setdefault(key, {}).update(compare(case, names, options))
            write(options.results, json.dumps(results, indent=1))
        print(report.case(key, results["cases"][key]), flush=True)
    for sweep in SWEEPS if options.growth else ():
        if options.again or sweep not in results["growth"]:
            results["growth"][sweep] = growth(sweep, options.threads)
            write(options.results, json.dumps(results, indent=1))
        print(report.sweep(sweep, results["growth"][sweep]), flush=True)
    if options.out:
        write(options.out, report.page(results))
    return None


if __name__ == "__main__":
    main()
