"""Every rule on every layer: what users get is within its bound, in every representation, with kernels and without."""

from typing import Any

import pytest
from examples import examples, sweep
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import COARSE, INSEPARABLE, OPS, fits, questions

import lrp_ref as lrp
from lrp_conform.cases import golden
from lrp_conform.making import generate
from lrp_conform.making.derivations import excess, rounded
from lrp_conform.making.recipes import found
from lrp_conform.proof import selftest
from lrp_ref.fast import table

few = examples(2, 6)
PAIRS = [(rule, op) for rule in lrp.RULES for op in OPS if fits(rule, op)]


def room(dtype: str) -> Any:
    """Whether the format has room for a question."""
    return lambda question, exact: dtype in generate.representable(found.recipe(question, ""), exact)


@pytest.mark.parametrize(("rule", "op"), sweep(PAIRS, 2))
@few
@given(data=st.data(), dtype=st.sampled_from(("float32", "float64")))
def test_every_way_is_within_the_bound(rule: str, op: str, data: st.DataObject, dtype: str) -> None:
    question = data.draw(questions(rule, op, COARSE))
    assume(question.rule["stabilizer"]["kind"] != "abs_share" or rule not in INSEPARABLE)
    _, wrong = excess(rounded(question, dtype), dtype, room(dtype))
    assert wrong is None, wrong


def test_a_kernel_that_is_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table.SLOTS["received"]

    def twice(problem: Any) -> Any:
        kernel = whole(problem)
        return None if kernel is None else lambda problem: tuple(2 * r for r in kernel(problem))

    cases = [case for case in golden.load() if case.id.startswith("dense.epsilon.exact-0")]
    before, after = selftest.Proof(), selftest.Proof()
    selftest.stable_family(cases, before)
    monkeypatch.setitem(table.SLOTS, "received", twice)
    selftest.stable_family(cases, after)
    assert not before.rejected
    assert after.rejected
    assert {text.split("reference, ")[1].split(":")[0] for text in after.rejected} == {"structured, kernels on"}
