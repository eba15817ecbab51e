"""A network case as a readable account: nodes, rules, and where the relevance went."""

from typing import Any

from rich.console import Console
from rich.table import Table

from lrp_conform.cases.network import NetworkCase
from lrp_conform.cases.numbers import exact_array, floats, parse

Json = dict[str, Any]
COLUMNS = ("arrived", "received", "bias", "stabilizer", "dropped")


def show(case: NetworkCase, out: Console) -> None:
    """Print everything there is to know about a case but its weights."""
    data, composite = case.data, case.composite
    options = ", ".join(f"{name}={value}" for name, value in composite["options"].items())
    out.print(f"[bold]{case.id}[/bold]  {data['status']}  {case.uid[:19]}…")
    out.print(data["comment"], markup=False)
    out.print(f"\ncomposite  {composite['library']} {composite['name']}({options}), spelled out per node:", markup=False)
    out.print(_nodes(case))
    for name in (*case.answers, "relevance"):
        _numbers(out, name, data["inputs"][name])
    _numbers(out, "y", data["expected"]["y"])
    out.print("\nrelevance arriving at each node, from the output to the input, and its bound in float64 and float32")
    for name in (*reversed(list(case.asked.rules)), *case.answers):
        part = data["expected"]["nodes"].get(name) or data["expected"]["relevance"][name]
        widest = " and ".join(f"{float(case.bounds(dtype)[name].max()):.2g}" for dtype in ("float64", "float32"))
        _numbers(out, f"{name}, bound {widest}", part)
    out.print("\nledger in sums over samples")
    out.print(_ledger(data["ledger"]))
    out.print(f"exact in {', '.join(data['exact_in']) or 'no format'}; certificates: {', '.join(data['certificates'])}")


def _nodes(case: NetworkCase) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("node", "layer", "reads", "shape", "rule"):
        grid.add_column(head, overflow="fold")
    for node in case.data["model"]["nodes"]:
        shape = case.data["expected"]["nodes"][node["name"]]["shape"]
        rule = described(case.data["rules"][node["name"]])
        grid.add_row(node["name"], layer(node), ", ".join(node["inputs"]), "x".join(map(str, shape)), rule)
    return grid


def layer(node: Json) -> str:
    """A layer in words: its op, its attributes, the shapes of its parameters."""
    said = [f"{name} {value}" for name, value in node["attrs"].items()]
    said += [f"{name} {'x'.join(map(str, t['shape']))}" for name, t in node["params"].items()]
    return f"{node['op']}({', '.join(said)})" if said else str(node["op"])


def described(rule: Json) -> str:
    """A rule entry in words."""
    own = ", ".join(f"{name}={value}" for name, value in rule.items() if name not in ("rule", "stabilizer", "bias"))
    s = rule["stabilizer"]
    stabilizer = "no stabilizer" if s["kind"] == "none" else f"{s['kind']} {s['epsilon']}"
    return f"{rule['rule']}({own}); bias {rule['bias']}; {stabilizer}"


def _ledger(ledger: Json) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("node")
    for column in COLUMNS:
        grid.add_column(column, justify="right")
    for name, row in (*reversed(ledger["nodes"].items()), ("total", ledger["total"])):
        grid.add_row(name, *(f"{float(sum(map(parse, row[column]['data']))):.6g}" for column in COLUMNS))
    return grid


def _numbers(out: Console, name: str, tensor: Json) -> None:
    """One line per row of the last axis: exact where short, else decimal."""
    array = exact_array(tensor)
    pairs = zip(array.reshape(-1), floats(array).reshape(-1), strict=True)
    texts = [str(v) if len(str(v)) <= 12 else f"{f:.7g}" for v, f in pairs]
    width, row = max(map(len, texts)), array.shape[-1]
    out.print(f"{name} ({'x'.join(map(str, array.shape))})", markup=False)
    for start in range(0, len(texts), row):
        out.print("    " + "  ".join(text.rjust(width) for text in texts[start : start + row]), markup=False)
