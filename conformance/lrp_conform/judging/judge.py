"""The verdict on any answer, and the name of what deviates: of one layer or of a whole network."""

from collections.abc import Mapping, Sequence
from typing import Any

from conformance import judge as layers
from conformance import naming
from conformance.case import Case
from conformance.golden import AnyCase
from conformance.judge import Judgement, Target
from conformance.network import judge as networks
from conformance.network import naming as network_naming
from conformance.network.case import NetworkCase
from conformance.results import Result


def judge(case: AnyCase, output: dict[str, Any], dtype: str, composed: bool = False) -> Judgement:
    """The verdict on `output`, before dialects are searched."""
    if isinstance(case, NetworkCase):
        return networks.judge(case, output, dtype, composed)
    return layers.judge(case, output, dtype, composed)


def resolve(results: list[Result], cases: Sequence[AnyCase], composed: bool = False) -> list[Result]:
    """Name what deviates in the results of one group of cases."""
    together = [case for case in cases if isinstance(case, NetworkCase)]
    if together:
        return network_naming.resolve(results, together, composed)
    return naming.resolve(results, [case for case in cases if isinstance(case, Case)], composed)


def zero_is_expected(case: AnyCase, dtype: str) -> bool:
    """Whether an output that relevance arrives at may honestly be 0 at `dtype`."""
    return networks.zero_is_expected(case, dtype) if isinstance(case, NetworkCase) else layers.zero_is_expected(case, dtype)


def compared(case: AnyCase, output: Mapping[str, Any], dtype: str, composed: bool = False) -> tuple[list[Any], Target | None]:
    """The relevances of an answer in the order of `case.answers`, and what they are held against; None if nothing is."""
    if not isinstance(case, NetworkCase):
        found = layers.relevances(case, dict(output))
        return found, None if len(found) != len(case.answers) else layers.expected(case, dtype, composed)
    found = networks.relevances(output)
    judged = len(found) == len(case.answers) and dtype in case.data["bounds"]
    return found, networks.target(case, dtype, composed) if judged else None
