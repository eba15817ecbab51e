"""The tables of what `speed.py` measured, and how far every goal is met."""

import statistics
from collections.abc import Iterator
from typing import Any

import models
from candidates import LIBRARIES, largest_activation

COLUMNS = """Milliseconds; "median", "min" and "max" are over the rounds. "cpu" is the median time of the processors.
"over" is the median of lrp_ref over that of the candidate, so below 1 lrp_ref is faster; "over (min)" and "over (cpu)" are the
same of the minima and of the processors' time, which other work on the machine disturbs less. "memory" is how much the process
grew, from before its first run to the largest size during a run, in megabytes. "products" is NumPy multiplying matrices of the
sizes that the formula needs, patches at hand. "torch" is torch's input x gradient. The building of iNNvestigate's graph is left
out. Candidates take turns; every turn begins with a run that is not counted, and ends with a pause."""
EXPONENT = 1.05


def machine(of: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {of[name]}" for name in ("python", "numpy", "torch", "zennit", "captum"))
    return f"{of['processor']} ({of['cache']} cache), {of['cores']} cores, {of['threads']} threads, {of['system']};\n{versions}"


def case(key: str, found: dict[str, Any]) -> str:
    """One case as a table."""
    task, rule, dtype = key.split()
    lines = [f"### {task}, {rule}, {dtype}", "", models.described(task), ""]
    lines += ["| | median | min | max | cpu | over | over (min) | over (cpu) | memory |", "|" + "---|" * 9]
    for name, one in found.items():
        if "missing" not in one:
            times = [1e3 * f(one["seconds"]) for f in (statistics.median, min, max)]
            times.append(1e3 * statistics.median(one["cpu"]))
            over = [
                ratio(found, name, *how)
                for how in (("seconds", statistics.median), ("seconds", min), ("cpu", statistics.median))
            ]
            cells = [*(f"{t:.1f}" for t in times), *(f"{r:.2f}" for r in over), f"{max(one['memory']):.0f}"]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    left_out = [f"{name} is left out: {one['missing']}." for name, one in found.items() if "missing" in one]
    return "\n".join([*lines, *(["", *left_out] if left_out else []), ""])


def ratio(found: dict[str, Any], name: str, column: str = "seconds", of: Any = statistics.median) -> float:
    """Ours over theirs; not a number where lrp_ref was not measured."""
    mine = found.get("lrp_ref", {}).get(column)
    return float(of(mine) / of(found[name][column])) if mine else float("nan")


def bare(found: dict[str, Any], name: str) -> float:
    """The bare products' time over theirs: no program that calls NumPy's products for this formula gets below it."""
    mine = found.get("products", {}).get("seconds")
    return float(statistics.median(mine) / statistics.median(found[name]["seconds"])) if mine else float("nan")


def sweep(name: str, found: dict[str, Any]) -> str:
    points = ", ".join(f"{p['size']}: {1e3 * p['seconds']:.1f} ms" for p in found["points"])
    return f"- {name} ({points}): exponent {found['exponent']:.2f}, of the minima {found['exponent_of_minima']:.2f}"


def goals(cases: dict[str, Any]) -> Iterator[tuple[str, str, str, float, float, float]]:
    """(case, against what, by which measure, limit, reached, what the bare products alone reach) of every goal measured."""
    for key, found in cases.items():
        task, rule, dtype = key.split()
        measured = {name for name, one in found.items() if "missing" not in one}
        libraries = measured.intersection(LIBRARIES)
        if "lrp_ref" not in measured:
            continue
        if libraries and (limit := _limit(task, rule, dtype)):
            fastest = min(libraries, key=lambda name: statistics.median(found[name]["seconds"]))
            yield key, f"the fastest library ({fastest})", "time", limit, ratio(found, fastest), bare(found, fastest)
        if "zennit" in measured and (limit := _limit_of_zennit(task, dtype)):
            yield key, "zennit", "time", limit, ratio(found, "zennit"), bare(found, "zennit")
        if "products" in measured and task.startswith("vgg"):
            yield key, "the bare matrix products", "time", 1.4, ratio(found, "products"), 1.0
        if "torch" in measured and task not in models.LAYERS:
            allowed = max(found["torch"]["memory"]) + largest_activation(task, dtype) / 2**20
            reached = max(found["lrp_ref"]["memory"]) / allowed
            yield key, "torch's input x gradient and one activation", "memory", 1.0, reached, float("nan")


def _limit(task: str, rule: str, dtype: str) -> float | None:
    """Of our time over the fastest library's."""
    if task in models.LAYERS:
        return 0.5 if dtype == "float64" else 0.8 if task == "dense" else 1.0
    return {"epsilon": 1.0, "z-plus": 0.8, "alpha2-beta1": 0.6}[rule] if task.startswith("vgg") and dtype == "float32" else None


def _limit_of_zennit(task: str, dtype: str) -> float | None:
    if task.startswith("conv") and dtype == "float32":
        return 0.5
    return 0.5 if task.startswith("vgg") and dtype == "float64" else None


def verdict(limit: float, reached: float) -> str:
    return "met" if reached <= limit else f"missed by {100 * (reached / limit - 1):.0f} %"


def page(results: dict[str, Any]) -> str:
    """Everything, as Markdown."""
    rows = [f"| {key} | {what} | {how} | {limit} | {reached:.2f} | {verdict(limit, reached)} | {floor:.2f} |".replace("nan", "")
            for key, what, how, limit, reached, floor in goals(results["cases"])]  # fmt: skip
    rounds = {len(one["seconds"]) for found in results["cases"].values() for one in found.values() if "seconds" in one}
    grown = [f"{sweep(name, found)}: {verdict(EXPONENT, found['exponent'])}" for name, found in results["growth"].items()]
    counted = " to ".join(str(n) for n in sorted({min(rounds), max(rounds)})) if rounds else "0"
    parts = [
        "# Speed", "",
        f"Written by `python benchmarks/speed.py --growth --out docs/speed.md`; medians of {counted} rounds.",
        "", machine(results["machine"]), "", "## Goals", "",
        "The last column is what the bare matrix products alone take, by the same measure: where it is above the goal, no "
        "program that calls NumPy's products for this formula can meet it.", "",
        "| case | against | measure | at most | reached | | bare products |", "|" + "---|" * 7, *rows, "",
        f"Growth of time with multiply-adds, as an exponent of at most {EXPONENT}:", "", *grown, "",
        "## Measurements", "", COLUMNS, "", *(case(key, found) for key, found in results["cases"].items()),
    ]  # fmt: skip
    return "\n".join(parts).rstrip() + "\n"
