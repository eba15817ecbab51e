"""A case as mathematics: weights, contributions, denominators, and the expected fractions."""

from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from lrp_conform.cases.golden import AnyCase
from lrp_conform.cases.layer import Case
from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.numbers import exact_array
from lrp_conform.cases.question import pose
from lrp_conform.report.show_network import show as show_network
from lrp_ref.propagation.shares import normalized

WIDEST = 16  # matrices of more columns are described, not printed


def show(case: AnyCase, out: Console) -> None:
    """Print everything there is to know about a case."""
    if isinstance(case, NetworkCase):
        show_network(case, out)
        return
    out.print(f"[bold]{case.id}[/bold]  {case.data['status']}  {case.uid[:19]}…")
    if case.data["comment"]:
        out.print(case.data["comment"], markup=False)
    for flag in case.data["flags"]:
        note = case.notes.get(flag, {})
        out.print(f"  [cyan]{flag}[/cyan]: {note.get('description', '')} {note.get('effect', '')}".rstrip())
        for link in note.get("links", ()):
            out.print(f"    {link}")
    node = case.node
    attrs = ", ".join(f"{k}={v}" for k, v in node["attrs"].items())
    out.print(f"\nlayer  {node['op']}" + (f"({attrs})" if attrs else ""))
    rule = {k: v for k, v in case.rule.items() if k not in ("rule", "stabilizer") and not isinstance(v, dict)}
    s = case.rule.get("stabilizer")
    stabilizer = f"; stabilizer {s['kind']} {s['epsilon'] if s['kind'] != 'none' else ''}".rstrip() if s else ""
    out.print(f"rule   {case.rule['rule']}({', '.join(f'{k}={v}' for k, v in rule.items())}){stabilizer}")
    for name, data in node["params"].items():
        _matrix(out, name, exact_array(data))
    for name, data in case.data["inputs"].items():
        _matrix(out, name, exact_array(data))
    if not case.is_pattern:
        _parts(case, out)
    for name, array in case.expected.items():
        _matrix(out, f"expected relevance of {name}" if not case.is_pattern else "expected pattern", array)
    for name, data in case.data["ledger"].items():
        _matrix(out, f"ledger: {name}", exact_array(data))
    for name, answers in case.data["dialects"].items():
        for data in answers.values():
            out.print(f"conventions of [yellow]{name}[/yellow] give {' '.join(_short(v) for v in data['data'])}")
    told = [f"{dtype}: {', '.join(names)}" for dtype, names in case.data["discriminates"].items() if names]
    if told:
        out.print("tells apart, " + "\n  then at ".join(told))
    out.print(
        f"exact in {', '.join(case.data['exact_in']) or 'no format'}; certificates: {', '.join(case.data['certificates'])}"
    )


def _parts(case: Case, out: Console) -> None:
    """The explicit contributions and denominators of every part, sample by sample."""
    try:
        problem = pose(case.question, exact_array, "explicit")
    except ValueError as error:
        out.print(f"contributions are not shown: {error}")
        return
    for k, share in enumerate(normalized(problem), start=1):
        n = np.broadcast_to(share.part.n.values, (share.d.shape[0], *share.part.n.values.shape[1:]))
        if n.shape[-1] > WIDEST:
            out.print(f"part {k}: {n.shape[-2]} outputs x {n.shape[-1]} inputs, not printed")
            continue
        for sample in range(n.shape[0]):
            out.print(f"part {k}, sample {sample}: n_ji, c_j, d_j, D_j, R_j")
            grid = Table(box=None, pad_edge=False)
            grid.add_column("j", style="dim")
            for i in range(n.shape[-1]):
                grid.add_column(f"i={i}", justify="right")
            for head in ("c", "d", "D", "R"):
                grid.add_column(head, justify="right", style="bold")
            R, c = problem.flat(problem.arrived), np.broadcast_to(share.part.c, share.d.shape)
            for j in range(n.shape[-2]):
                tail = (c[sample, j], share.d[sample, j], share.stabilized[sample, j], R[sample, j])
                grid.add_row(str(j), *(str(v) for v in n[sample, j]), *(str(v) for v in tail))
            out.print(grid)


def _matrix(out: Console, name: str, array: Any) -> None:
    shape = "x".join(map(str, array.shape))
    flat = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    if flat.shape[1] > WIDEST:
        out.print(f"{name} ({shape}): not printed")
        return
    width = max((len(str(v)) for v in flat.reshape(-1)), default=1)
    rows = ["  ".join(str(v).rjust(width) for v in row) for row in flat]
    out.print(f"{name} ({shape})")
    for row in rows:
        out.print("    " + row)


def _short(text: str) -> str:
    return f"{float.fromhex(text):.6g}" if "x" in text else text
