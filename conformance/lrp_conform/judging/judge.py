"""The verdict on any answer, and the name of what deviates: of one layer or of a whole network."""

from collections.abc import Mapping, Sequence
from typing import Any

from lrp_conform.cases.golden import AnyCase
from lrp_conform.cases.layer import Case
from lrp_conform.cases.network import NetworkCase
from lrp_conform.judging import layer, layer_naming, network, network_naming
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import Judgement, Target


def judge(case: AnyCase, output: dict[str, Any], dtype: str, composed: bool = False) -> Judgement:
    """The verdict on `output`, before dialects are searched."""
    if isinstance(case, NetworkCase):
        return network.judge(case, output, dtype, composed)
    return layer.judge(case, output, dtype, composed)


def resolve(results: list[CaseResult], cases: Sequence[AnyCase], composed: bool = False) -> list[CaseResult]:
    """Name what deviates in the results of one group of cases."""
    together = [case for case in cases if isinstance(case, NetworkCase)]
    if together:
        return network_naming.resolve(results, together, composed)
    return layer_naming.resolve(results, [case for case in cases if isinstance(case, Case)], composed)


def zero_is_expected(case: AnyCase, dtype: str) -> bool:
    """Whether an output that relevance arrives at may honestly be 0 at `dtype`."""
    return network.zero_is_expected(case, dtype) if isinstance(case, NetworkCase) else layer.zero_is_expected(case, dtype)


def answer_and_target(
    case: AnyCase, output: Mapping[str, Any], dtype: str, composed: bool = False
) -> tuple[list[Any], Target | None]:
    """The relevances of an answer in the order of `case.answers`, and what they are held against; None if nothing is."""
    if not isinstance(case, NetworkCase):
        found = layer.relevances(case, dict(output))
        return found, None if len(found) != len(case.answers) else layer.expected(case, dtype, composed)
    found = network.relevances(output)
    judged = len(found) == len(case.answers) and dtype in case.data["bounds"]
    return found, network.target(case, dtype, composed) if judged else None
