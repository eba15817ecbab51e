"""What the suite says about the ten seed listings: most are right, and every deviation has its name."""

import pytest

from lrp_conform.candidates import adapter
from lrp_conform.cases import golden
from lrp_conform.cases.numbers import parse
from lrp_conform.judging.result import CaseResult
from lrp_conform.running import runner

CASES = {case.id: case for case in golden.load()}
Results = dict[int, list[CaseResult]]


@pytest.fixture(scope="module")
def seeds() -> Results:
    """Per listing, the results of what it was asked."""
    found: Results = {}
    for candidate in adapter.load("seeds"):
        listing = int(candidate.name.removeprefix("seeds/").split("-")[0])
        answers = runner.run(candidate, CASES.values(), candidate.dtypes)
        found[listing] = [r for r in answers if r.verdict != "unsupported"]
    return found


def judged(seeds: Results, listing: int) -> list[CaseResult]:
    found = seeds[listing]
    assert len(found) >= 20
    return found


def test_ten_listings_are_judged_and_none_fails_outside_its_waiver(seeds: Results) -> None:
    assert sorted(seeds) == list(range(1, 11))
    assert not [r.case for found in seeds.values() for r in found if r.fails]
    assert {r.deterministic for found in seeds.values() for r in found} <= {True, None}


@pytest.mark.parametrize("listing", [1, 6, 8, 10])
def test_seed_conforms(seeds: Results, listing: int) -> None:
    assert {r.verdict for r in judged(seeds, listing)} <= {"exact", "conformant"}


@pytest.mark.parametrize("listing", [3, 4, 7])
def test_seed_conforms_but_for_a_named_way_with_zero_denominators(seeds: Results, listing: int) -> None:
    found = judged(seeds, listing)
    odd = [r for r in found if r.verdict not in ("exact", "conformant")]
    assert {r.judgement.dialect for r in odd if r.verdict == "dialect"} == {"stabilizer.replace_zero-1e-7"}
    assert len({r.case for r in odd if r.verdict == "dialect"}) == 1
    assert [r.case for r in odd if r.verdict != "dialect"] in ([], ["dense.zero.double"])  # which float32 cannot hold
    assert sum(r.verdict == "exact" for r in found) > len(found) / 2


def test_seed_2_takes_the_full_bias_in_both_halves_wherever_there_is_a_bias(seeds: Results) -> None:
    for r in judged(seeds, 2):
        case = CASES[r.case]
        biases = [parse(v) for v in case.node["params"]["bias"]["data"]]
        wrong_half = any(b < 0 or (b > 0 and case.rule.get("beta") != "0") for b in biases)
        if case.rule["bias"] == "split" and wrong_half:
            assert (r.verdict, (r.judgement.dialect or "").split(" + ")[0]) == ("dialect", "bias.full_in_both"), r.case
        else:
            assert r.verdict in ("exact", "conformant"), r.case
    pole = next(r for r in judged(seeds, 2) if r.case == "v0.alpha2-beta1")
    assert pole.judgement.detail["got"] == pytest.approx(-2e7)


def test_seed_5_deviates_by_name_where_x_is_the_mean(seeds: Results) -> None:
    found = judged(seeds, 5)
    mean = [r for r in found if "x-equals-mean" in CASES[r.case].data["flags"]]
    assert {r.dtype for r in mean} == {"float64", "float32"}
    assert {r.verdict for r in mean} == {"dialect"}
    assert {r.judgement.dialect for r in found} <= {"batch-norm.quotient-1e-7", "linearization.at_mean_zero", None}
    assert {r.verdict for r in found} <= {"dialect", "exact", "conformant"}


def test_seed_9_is_wrong_by_name_and_waived(seeds: Results) -> None:
    found = judged(seeds, 9)
    assert {r.verdict for r in found} == {"nonconformant"}
    assert all(r.judgement.hint.endswith("(mistake.one-gradient)") for r in found)
    assert all("one gradient cannot see the bounds" in r.waiver for r in found)
