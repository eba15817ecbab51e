"""A network that can be explained: a graph, and the backward pass by a composite."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lrp_ref.network.graph import Graph, Node

if TYPE_CHECKING:
    from lrp_ref.network.composite import Composite
    from lrp_ref.network.explain import Explanation


@dataclass(frozen=True, repr=False)
class Network(Graph):
    """Nodes in an order in which every node follows what it reads; `inputs` and `outputs` are names.

    Raises `LRPError` for names that are taken or unknown, cycles, nodes that reach no output and inputs that nobody reads.
    """

    def explain(
        self,
        x: Any,
        composite: "Composite | str",
        *,
        target: Any = None,
        seed: Any = "logit",
        at: Iterable[str] = (),
        bounds: str | bool = False,
        account: bool = False,
        progress: Callable[[Node], None] | None = None,
    ) -> "Explanation":
        """The relevance of the inputs for what the network returns at x: see `lrp_ref.network.explain.explain`."""
        from lrp_ref.network.explain import explain  # loaded where relevance is asked for

        how: Any = {"target": target, "seed": seed, "at": at, "bounds": bounds, "account": account, "progress": progress}
        return explain(self, x, composite, **how)
