"""Modules of a torch model and nodes of its export: matched by the paths that the exporter writes into the nodes' names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrp_conform.compare.given import Given, Message
from lrp_conform.compare.recording import Call
from lrp_ref.arrays import Array
from lrp_ref.layers import Add
from lrp_ref.network.graph import inputs_of
from lrp_ref.network.network import Network


def path_of(name: str) -> str:
    """The module path in a node's name: "/layer1/layer1.0/conv1/Conv" is a node of "layer1.0.conv1"."""
    parts: list[str] = []
    for scope in name.strip("/").split("/")[:-1]:
        if parts and scope.startswith(parts[-1] + "."):
            parts[-1] = scope  # a container writes its own name again before that of its child
        else:
            parts.append(scope)
    return ".".join(parts)


def nodes_by_path(net: Network) -> dict[str, list[str]]:
    """Module path -> its nodes in order."""
    found: dict[str, list[str]] = {}
    for node in net.nodes:
        found.setdefault(path_of(node.name), []).append(node.name)
    return found


@dataclass(frozen=True)
class Home:
    """The node whose value a module's output is. own: the node is all that the module does."""

    node: str
    own: bool


def matched(
    net: Network, calls: Sequence[Call], shapes: Mapping[str, tuple[int, ...]], relevance: Array, library: str
) -> Given:
    """What the calls recorded, by the names of the nodes that stand for them. `relevance`: that of the network's input.

    A module without a node of its own stands for what it reads: a batch norm that was merged into the layer before it, a
    dropout. A module that a canonizer added stands for the next addition of its parent.
    """
    values: dict[str, Array] = {}
    arrived: dict[str, Array] = {net.inputs[0]: relevance}
    messages: dict[Message, Array] = {}
    unmatched = []
    homes = _homes(net, calls)
    for call, home in zip(calls, homes, strict=True):
        if home is None or call.output.shape != shapes[home.node]:
            unmatched.append(f"{call.path} ({call.kind})")
            continue
        values[home.node] = call.output
        if call.arrived is not None:
            arrived[home.node] = call.arrived
    for call, home in zip(calls, homes, strict=True):
        reads = inputs_of(net[home.node]) if home is not None and home.own else ()
        if home is None or len(reads) != 1 or len(call.arguments) != 1 or call.arguments[0].shape != shapes[reads[0]]:
            continue
        if reads[0] not in net.inputs:
            values.setdefault(reads[0], call.arguments[0])
        if 0 in call.handed:
            messages[home.node, 0] = call.handed[0]
    return Given(arrived, values, messages, tuple(unmatched), library)


def _homes(net: Network, calls: Sequence[Call]) -> list[Home | None]:
    """Where the output of every call is at home."""
    known = nodes_by_path(net)
    homes: list[Home | None] = []
    for call in calls:
        own = known.get(call.path if call.nth == 0 else f"{call.path}_{call.nth}")
        found = Home(own[-1], len(own) == 1) if own else _addition(net, known, call, homes)
        homes.append(found or _inherited(call, homes))
    ends = [k for k, call in enumerate(calls) if not _passes(call)][-1:]
    for k in ends:
        if homes[k] is None and net.outputs[0] not in [home.node for home in homes if home]:
            homes[k] = Home(net.outputs[0], True)  # an output is called as the file calls it, without a path
    return homes


def _passes(call: Call) -> bool:
    """Whether the module leaves values as they are once it is exported: it is merged into what it reads, or idle."""
    return any(word in call.kind for word in ("BatchNorm", "Dropout", "Identity"))


def _addition(net: Network, known: Mapping[str, Sequence[str]], call: Call, homes: Sequence[Home | None]) -> Home | None:
    """The first addition of the module's parent that nothing stands for yet."""
    taken = {home.node for home in homes if home}
    sums = [name for name in known.get(call.path.rpartition(".")[0], ()) if isinstance(net[name].layer, Add)]
    free = [name for name in sums if name not in taken]
    return Home(free[0], False) if call.kind == "Sum" and free else None


def _inherited(call: Call, homes: Sequence[Home | None]) -> Home | None:
    """Where the only tensor that the call reads is at home, if the module leaves it as it is."""
    source = call.reads[0] if len(call.reads) == 1 and _passes(call) else None
    home = None if source is None else homes[source]
    return None if home is None else Home(home.node, False)
