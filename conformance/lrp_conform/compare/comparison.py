"""A comparison: end to end and node by node, the verdict they add up to, and a row for everything that was judged."""

import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import lrp_ref
from lrp_conform.compare.check import VERDICTS, ValueCheck
from lrp_conform.compare.given import Given, checked
from lrp_conform.compare.walk import Walk
from lrp_ref.arrays import Array
from lrp_ref.composites import Assign, Composite
from lrp_ref.layers.kinds import MOVING
from lrp_ref.network.composite import resolved
from lrp_ref.network.graph import inputs_of
from lrp_ref.network.network import Network
from lrp_ref.propagation.gauges import in_float64
from lrp_ref.text.printable import printable
from lrp_ref.text.progress import progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

OWN = 2.0  # the reference itself rounds in float64
MERGED = 2.0  # a library's own merged weights carry a few roundings more than the bound of given weights counts

STYLES = {"agrees": "green", "close": "yellow", "unproved": "yellow", "deviates": "bold red", "forward-mismatch": "bold red"}
HEADS = ("handed on by", "kind", "rule", "to", "max |R|", "error", "allowed", "tau", "bits", "verdict")
WIDTH = 400  # the table takes what it needs
MOST = 12  # names in one line
SMALL = ("", *(kind.__name__ for kind in MOVING))  # a row is called after a node that does more


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a library's relevance is, beside the reference's in float64 on the same weights.

    whole: the relevance of every input, judged as one piece. nodes: from the outputs to the inputs, what every node hands
    on, given what the library has there; empty where the library showed the inputs' relevance only. forward: the values.
    unmatched: what the library named and no node stands for. unseen: nodes at which the library showed no relevance.
    reference: the reference's relevance of every input, from its own values. rules, kinds: node -> what it got, and is.
    """

    library: str
    composite: str
    dtype: str
    whole: tuple[ValueCheck, ...]
    nodes: tuple[ValueCheck, ...]
    forward: tuple[ValueCheck, ...]
    unmatched: tuple[str, ...]
    unseen: tuple[str, ...]
    reference: Mapping[str, Array]
    given: Given
    kinds: Mapping[str, str]
    rules: Mapping[str, str]

    @property
    def verdict(self) -> str:
        """ "forward-mismatch" (the models differ), "deviates", "agrees", "close" or "unproved"; see `ValueCheck`.

        It agrees if the whole does, or if every node does.
        """
        if any(c.verdict == "deviates" for c in self.forward):
            return "forward-mismatch"
        if self.deviations or any(c.verdict == "deviates" for c in self.whole):
            return "deviates"
        grades = [max((VERDICTS.index(c.verdict) for c in part), default=len(VERDICTS)) for part in (self.whole, self.nodes)]
        return VERDICTS[min(grades)]

    @property
    def passed(self) -> bool:
        """Whether it agrees, or is as close as was asked for."""
        return self.verdict in ("agrees", "close")

    @property
    def deviations(self) -> tuple[ValueCheck, ...]:
        """The nodes that hand on something else, the first of the backward pass first."""
        return tuple(c for c in self.nodes if c.verdict == "deviates")

    def __str__(self) -> str:
        return text(self)

    def json(self) -> str:
        """Everything but the arrays."""
        data = {
            "library": self.library,
            "composite": self.composite,
            "dtype": self.dtype,
            "reference": lrp_ref.__version__,
            "verdict": self.verdict,
            **{part: [c.as_dict() for c in getattr(self, part)] for part in ("whole", "nodes", "forward")},
            "kinds": dict(self.kinds),
            "rules": dict(self.rules),
            "unmatched": self.unmatched,
            "unseen": self.unseen,
        }
        return json.dumps(data, indent=1)


def compare(
    net: Network,
    x: Any,
    given: Given,
    composite: str | Composite,
    *,
    target: Any = None,
    seed: Any = "logit",
    merged: bool = False,
    close: float = 0.0,
) -> Comparison:
    """Judge what a library gave for `net` at x (an array, or name -> array) by the reference's rules.

    net: in float64, such as of `load_onnx(path, convert=in_float64)`. composite: or its name, "zennit.epsilon_plus".
    target, seed: what the library explained, as of `Network.explain`. merged: the library merges batch norms itself, at its
    own precision: bounds count twice. close: the error, relative to the largest relevance, that passes as "close" where the
    bound proves nothing. On a terminal a bar shows the nodes done.

    Raises `LRPError` for arrays that do not fit, and whatever a rule refuses, with the node's name.
    """
    name = composite if isinstance(composite, str) else composite.name
    composite = resolved(composite)
    arrays = {name: in_float64(a) for name, a in net.named_inputs(x).items()}
    target, seed = _wide(target), _wide(seed)
    rules = composite.assign(net)
    checked(net, given, net.forward(arrays, at="all"))
    seen = len(given.relevance) > len(net.inputs) or bool(given.messages)
    with progress((2 if seen else 1) * len(net.nodes), "nodes") as advance:
        margin = (MERGED if merged else 1.0) * (OWN if given.dtype == "float64" else 1.0)
        walk = Walk(net, rules, given, given.dtype, margin, close, advance)
        values, forward = walk.forward(arrays)
        nodes = walk.backward(values, target, seed) if seen else []
        ends = replace(walk, given=given.ends(net))
        whole = ends.backward(ends.forward(arrays)[0], target, seed)
    explained = net.explain(arrays, composite, target=target, seed=seed).relevance
    return Comparison(
        library=given.library,
        composite=name,
        dtype=given.dtype,
        whole=tuple(whole),
        nodes=tuple(nodes),
        forward=tuple(forward),
        unmatched=tuple(given.unmatched),
        unseen=tuple(node.name for node in net.nodes if not _seen(net, given, node.name)) if seen else (),
        reference=explained if isinstance(explained, Mapping) else {net.inputs[0]: explained},
        given=given,
        kinds={node.name: type(node.layer).__name__ for node in net.nodes},
        rules={name: _said(rule) for name, rule in rules.items()},
    )


def _wide(asked: Any) -> Any:
    """A target or seed with its float arrays in float64."""
    if isinstance(asked, Mapping):
        return {name: _wide(a) for name, a in asked.items()}
    return in_float64(asked) if hasattr(asked, "dtype") and "float" in str(asked.dtype) else asked


def _seen(net: Network, given: Given, name: str) -> bool:
    """Whether the relevance that arrives at a node is known: as it is, or by what every reader hands to it."""
    reads = [(node.name, k) for node in net.readers(name) for k, read in enumerate(inputs_of(node)) if read == name]
    return name in given.relevance or (
        bool(reads) and name not in net.outputs and all(edge in given.messages for edge in reads)
    )


def _said(rule: Assign) -> str:
    """A rule in a few characters: its name and its numbers."""
    numbers = {f.name: getattr(rule.rule, f.name) for f in fields(rule.rule)}
    shown = ", ".join(f"{k}={v!r}" for k, v in numbers.items() if isinstance(v, int | float | str))
    return type(rule.rule).__name__ + (f"({shown})" if shown else "")


def text(found: Comparison) -> str:
    """The whole as plain text."""
    from rich.console import Console

    stream = io.StringIO()
    show(found, Console(file=stream, width=WIDTH, highlight=False))
    return stream.getvalue().rstrip()


def screen() -> "Console":
    """Standard output: as wide as the terminal, as wide as needed in a pipe."""
    from rich.console import Console

    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def show(found: Comparison, out: "Console") -> None:
    """Print it."""
    from rich.text import Text

    out.print(
        Text.assemble(f"{found.library} beside {found.composite}, {found.dtype}: ", (found.verdict, STYLES[found.verdict]))
    )
    for line in headlines(found):
        out.print(Text(printable(line)), soft_wrap=True)
    out.print(table(found))


def headlines(found: Comparison) -> list[str]:
    """What a reader wants to know first, a line each."""
    lines = [_forward(found)]
    for c in found.whole:
        share = (
            f"errors up to {c.worst / c.largest:.2g} of the largest relevance" if c.largest else f"errors up to {c.worst:.2g}"
        )
        lines.append(f"end to end, {c.value}: {c.verdict}{_why(c)}; {share}; {c.line()}")
    if found.nodes:
        count = {v: sum(c.verdict == v for c in found.nodes) for v in ("agrees", "close", "unproved", "deviates")}
        lines.append("node by node: " + ", ".join(f"{n} {v}" for v, n in count.items() if n))
    else:
        lines.append("node by node: nothing to judge, the relevance at no node was given")
    if found.verdict == "agrees" and any(c.verdict == "unproved" for c in found.whole):
        lines.append("so it agrees by the local grade: every node hands on what its rule says, given what arrived there")
    for c in found.deviations[:MOST]:
        lines.append(f"deviates at {', '.join(c.nodes[:MOST])}: {c.line()}{'; ' + c.hint if c.hint else ''}")
    if len(found.deviations) > MOST:
        lines.append(f"and {len(found.deviations) - MOST} more that deviate")
    for what, names in (("modules that no node stands for", found.unmatched), ("nodes not seen", found.unseen)):
        if names:
            lines.append(f"{what}: {', '.join(names[:MOST])}{', …' if len(names) > MOST else ''}")
    return lines


def _forward(found: Comparison) -> str:
    wrong = [c for c in found.forward if c.verdict == "deviates"]
    if wrong:
        return f"forward: the models differ first at {wrong[0].line()}"
    if not found.forward:
        return "forward: not compared, the values of no node were given"
    return f"forward: {len(found.forward)} values compared, all within their bounds"


def _why(c: ValueCheck) -> str:
    if c.verdict == "unproved":
        return ", the bound exceeds a tenth of the relevance and proves nothing"
    return " within the tolerance asked for, not proved" if c.verdict == "close" else ""


def table(found: Comparison) -> "Table":
    """A row for every judgement, from the outputs to the inputs."""
    from rich.table import Table
    from rich.text import Text

    out = Table(box=None, pad_edge=False, header_style="bold")
    for k, head in enumerate(HEADS):
        out.add_column(head, justify="right" if 4 <= k <= 8 else "left", overflow="fold")
    for c in found.nodes or found.whole:
        numbers = [f"{c.largest:.2g}", f"{c.error:.2g}", f"{c.allowed:.2g}", f"{c.tau:.2g}", f"{c.bits:.0f}"]
        main = next((name for name in c.nodes if found.kinds.get(name, "") not in SMALL), c.nodes[0])
        more = "" if len(c.nodes) == 1 else f" and {len(c.nodes) - 1} more"
        kind, rule = (each.get(main, "") for each in (found.kinds, found.rules))
        cells = [Text(printable(cell)) for cell in (f"{main}{more}", kind, rule, c.value)]
        out.add_row(*cells, *numbers, Text(c.verdict, style=STYLES[c.verdict]))
    return out
