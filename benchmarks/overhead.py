"""What the suite itself costs: milliseconds per case in process and over the wire, and one whole run of a library.

    python benchmarks/overhead.py [--library zennit] [--repeat 5]

A candidate that answers at once with the expected values takes no time of its own: what a run takes is the suite's,
asking, judging and naming included. The whole run is `lrp-conform run LIBRARY` over all cases and dtypes, from starting the
command to its end.
"""

import argparse
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lrp_conform.candidates.adapter import Candidate
from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.cases import golden
from lrp_conform.cases.layer import Case
from lrp_conform.running import pools, runner

DTYPES = ("float64", "float32")
ADAPTER = """
import pickle
from {module} import key
ANSWERS = pickle.load(open({answers!r}, "rb"))
INFO = {info!r}

def run(case):
    return ANSWERS[key(case)]
"""


def key(case: dict[str, Any]) -> tuple[Any, ...]:
    """What a candidate sees of a case."""
    (node,) = case["nodes"]
    xs = case["x"] if isinstance(case["x"], list) else [case["x"]]
    arrays = [*node["params"].values(), *xs, case["relevance"]]
    return case["dtype"], node["op"], str(node["attrs"]), str(case["rules"]), *(a.tobytes() for a in arrays)


def asked(cases: list[Case]) -> list[Case]:
    """Cases that a table of answers can tell apart: those with relevance."""
    return [case for case in cases if not case.is_pattern]


@contextmanager
def instant(cases: list[Case]) -> Iterator[Path]:
    """An adapter that looks its answers up."""
    answers = {}
    for case in cases:
        for dtype in DTYPES:
            relevance = [case.expected_floats[name].astype(dtype) for name in case.answers]
            y = case.expected_y.astype(float).astype(dtype)
            answers[key(case.adapter_case(dtype))] = {"y": y, "relevance": relevance if len(relevance) > 1 else relevance[0]}
    features = sorted({f for case in cases for f in case.features})
    info = {"name": "instant", "version": "0", "features": features, "dtypes": list(DTYPES)}
    with tempfile.TemporaryDirectory() as folder:
        table, path = Path(folder) / "answers.pickle", Path(folder) / "instant.py"
        table.write_bytes(pickle.dumps(answers))
        here = Path(__file__).resolve()
        text = ADAPTER.format(answers=str(table), info=info, module=here.stem)
        path.write_text(f"import sys\nsys.path.insert(0, {str(here.parent)!r})\n" + text, encoding="utf-8")
        yield path


def per_case(source: CandidateSource, cases: list[Case]) -> float:
    """Milliseconds per question, start-up left out."""
    (candidate,) = load(source)
    try:
        _run(candidate, cases[:20])
        start = time.perf_counter()
        n = _run(candidate, cases)
        return (time.perf_counter() - start) / n * 1e3
    finally:
        candidate.close()


def _run(candidate: Candidate, cases: list[Case]) -> int:
    """How many questions were answered; every answer must be accepted, or the time means nothing."""
    verdicts = runner.counts(runner.run(candidate, cases, DTYPES))
    if not set(verdicts) <= {"exact", "conformant", "indeterminate"}:
        sys.exit(f"the instant candidate was misjudged: {dict(verdicts)}")
    return verdicts.total()


def whole(library: str) -> float:
    """Seconds of the whole command."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "lrp_conform", "run", library], capture_output=True, text=True, check=False)
    if done.returncode > 1:
        sys.exit(done.stderr.strip())
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="zennit", help="candidate of the whole run; none to leave it out")
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    cases = asked(golden.load())
    print(f"{len(cases)} cases at {', '.join(DTYPES)}, {pools.cores()} cores, median of {given.repeat} (smallest, largest)")
    with instant(cases) as path:
        for name, source, most in (
            ("in process", CandidateSource(str(path), in_process=True), 2.0),
            ("over the wire", CandidateSource(str(path)), 5.0),
        ):
            found = [per_case(source, cases) for _ in range(given.repeat)]
            print(f"{name:<14} {_middle(found)} ms per case; goal {most:g}")
    if given.library != "none":
        found = [whole(given.library) for _ in range(given.repeat)]
        print(f"{'run ' + given.library:<14} {_middle(found)} s, start-up included; goal 60")


def _middle(found: list[float]) -> str:
    return f"{statistics.median(found):.2f} ({min(found):.2f}, {max(found):.2f})"


if __name__ == "__main__":
    main()
