"""Readings of a question: every structural convention under which its answer may be meant, stabilisers aside."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from conformance.case import Question
from conformance.deviations import BY_NAME
from lrp_ref.rules import CONVENTIONS, RULES

Reading = tuple[tuple[str, str], ...]  # (topic, value), one for every convention that the question leaves room for
Values = tuple[str, ...]
ONE_SIDED = ("z-plus", "z-plus-fast")  # both are alpha1-beta0, by a split of its own
LINEAR = ("zero", "epsilon", "norm")
WEIGHTED = ("dense", "conv", "conv-transpose")
SUMS = ("avg-pool", "sum-pool", "global-avg-pool", "add")
SHARES = {"proportional": "norm", "equal": "flat", "by magnitude": "abs-z", "gradient": "gradient"}
GAMMAS = ("original", "squared", "generalized")
NORMS = ("affine", "centered", "without_epsilon", "variance_squared", "at_mean_zero")
BETA_ONLY = "beta ignored, the mean kept"
FIRST_TWICE = "the first input's, twice"


def readings(question: Question) -> Iterator[tuple[Reading, Question]]:
    """Every reading of a question with the question it makes of it."""
    seen: dict[Reading, Question] = {}
    for reading in product(*([(topic, v) for v in values] for topic, values in axes(question).items())):
        read = _read(question, dict(reading))
        if read is not None:
            seen[reading] = read
    yield from seen.items()


def family(question: Question) -> str:
    """The rule whose conventions are read: rules that differ by one of them have one name."""
    rule = question.rule
    name = str(rule["rule"])
    if name == "alpha-beta" and (rule["alpha"], rule["beta"]) == ("1", "0"):
        return "alpha1-beta0"
    return name


def axes(question: Question) -> dict[str, Values]:
    """The conventions that a question leaves room for, each with its values."""
    rule, op = question.rule["rule"], question.node["op"]
    if rule == "pass" or op in ("max-pool", "activation"):
        return _routing(op)
    if op in SUMS and rule in (*LINEAR, "flat", "abs-z"):
        kinds = tuple(
            k for k in SHARES if k != "gradient" or op in ("add", "sum-pool")
        )  # that of an average is its equal share
        return {"share": (*kinds, FIRST_TWICE) if op == "add" and rule in LINEAR else kinds}
    if op == "batch-norm":
        return {"linearization": NORMS, "bias": ("absorb", "ignore", BETA_ONLY), "rule": ("as asked", "pass", "gradient")}
    if op not in WEIGHTED:
        return {"share": ("proportional", "gradient")} if rule in LINEAR else {}
    return _of_rule(question, rule, op)


def asked(question: Question, topic: str) -> str:
    """The value of a convention that the question itself asks for."""
    rule, attrs = question.rule, question.node["attrs"]
    name = str(rule["rule"])
    if topic == "bias":
        return "split" if name in ONE_SIDED and rule["bias"] == "absorb" else str(rule["bias"])
    if topic == "share":
        return {"flat": "equal", "abs-z": "by magnitude"}.get(name, "proportional")
    if topic == "split":
        return {"z-plus": "joint", "z-plus-fast": "weight"}.get(name) or str(rule["split"])
    if topic == "gamma":
        return "generalized" if name == "generalized-gamma" else str(rule["kind"])
    if topic == "rule":
        return "as asked"
    usual = {"activation": "identity", "batch-norm": "affine", "max-pool": "winner"}.get(question.node["op"], "")
    usual = CONVENTIONS[topic][0][0] if topic in CONVENTIONS else usual
    return str(rule.get(topic) or attrs.get(topic) or usual)


def _routing(op: str) -> dict[str, Values]:
    if op == "max-pool":
        return {
            "ties": ("first", "last", "split"),
            "linearization": ("winner", "average"),
            "rule": ("as asked", "proportional"),
        }
    if op == "activation":
        return {"linearization": ("identity", "gradient", "ratio")}
    return {"rule": ("as asked", "proportional", "gradient")}


def _of_rule(question: Question, rule: str, op: str) -> dict[str, Values]:
    found: dict[str, Values] = {}
    if rule in LINEAR:
        found = {"bias": RULES["zero"].bias, "share": ("proportional", "by magnitude")}
    elif rule == "alpha-beta" or rule in ONE_SIDED:
        found = {"bias": RULES["alpha-beta"].bias, "split": CONVENTIONS["split"][0], "empty_half": CONVENTIONS["empty_half"][0]}
        if question.rule.get("beta", "0") == "0":
            del found["empty_half"]
    elif rule in ("gamma", "generalized-gamma"):
        found = {"bias": RULES["gamma"].bias, "gamma": GAMMAS}
        if rule == "generalized-gamma":
            found |= {name: CONVENTIONS[name][0] for name in ("branch", "at_zero")}
    elif rule == "alpha-beta-x":
        found = {"bias": RULES[rule].bias, "alpha1_from": CONVENTIONS["alpha1_from"][0]}
    elif rule in ("w-square", "abs-z"):
        found = {"bias": RULES[rule].bias}
    if rule in ("flat", "w-square", "z-box") and op == "conv":
        found["padding"] = CONVENTIONS["padding"][0]
    return found


def _read(question: Question, chosen: dict[str, str]) -> Question | None:
    """The question under the chosen conventions; None where they do not go together."""
    rule, op = question.rule["rule"], question.node["op"]
    plain = {"stabilizer": question.rule["stabilizer"], "bias": "ignore"}
    kind = chosen.get("rule", "as asked")
    if kind != "as asked":
        name = {"proportional": "norm", "gradient": "gradient", "pass": "pass"}[kind]
        usual = (
            {"linearization": "affine", "bias": "ignore"}
            if op == "batch-norm"
            else {"linearization": "winner", "ties": "first"}
        )
        return question.replace(rule={**plain, "rule": name}) if {**usual, **chosen} == {**chosen, **usual} else None
    chosen = {topic: value for topic, value in chosen.items() if topic != "rule"}
    if op == "activation":
        word = chosen["linearization"]
        other = {"identity": "pass", "gradient": "gradient", "ratio": "zero"}[word]
        return question.with_attrs(linearization=word).replace(rule={**plain, "rule": other})
    if op == "max-pool":
        told = chosen["linearization"] == "winner" or chosen["ties"] == "first"  # an average has no ties
        return question.with_attrs(**chosen) if told else None
    if op == "batch-norm" and "linearization" in chosen:
        return _normalized(question, chosen)
    if "share" in chosen:
        return _shared(question, chosen, plain)
    if rule in ONE_SIDED:
        question = question.replace(
            rule={**plain, "rule": "alpha-beta", "alpha": "1", "beta": "0", "parameterization": "difference"}
        )
        chosen = {**chosen, "empty_half": "keep"}
    if "gamma" in chosen:
        return _gamma(question, chosen)
    if chosen.get("empty_half") == "rescale" and chosen["split"] != "joint":
        return None
    return question.with_rule(**chosen)


def _normalized(question: Question, chosen: dict[str, str]) -> Question | None:
    if chosen["linearization"] == "centered" and chosen["bias"] == BETA_ONLY:
        return None  # all that is left of its bias is beta
    read = question.with_attrs(linearization=chosen["linearization"])
    if chosen["bias"] != BETA_ONLY:
        return read.with_rule(bias=chosen["bias"])
    params = question.node["params"]
    beta = {**params["beta"], "data": ["0"] * len(params["beta"]["data"])}
    return read.replace(node={**read.node, "params": {**params, "beta": beta}}).with_rule(bias="absorb")


def _shared(question: Question, chosen: dict[str, str], plain: dict[str, object]) -> Question | None:
    share, bias = chosen["share"], chosen.get("bias")
    if share == FIRST_TWICE:
        return BY_NAME["mistake.first-input-twice"].change(question)
    if bias is None:
        extra = {"padding": "absent"} if share == "equal" else {}
        return question.replace(rule={**plain, **extra, "rule": SHARES[share]})
    if share == "by magnitude":
        return question.replace(rule={**plain, "rule": "abs-z", "bias": bias}) if bias in RULES["abs-z"].bias else None
    return question.replace(rule={**plain, "rule": "zero", "bias": bias})


def _gamma(question: Question, chosen: dict[str, str]) -> Question | None:
    gamma = {k: v for k, v in question.rule.items() if k in ("gamma", "stabilizer")}
    if chosen["gamma"] == "generalized":
        words = {name: chosen.get(name, CONVENTIONS[name][0][0]) for name in ("branch", "at_zero")}
        return question.replace(rule={**gamma, **words, "rule": "generalized-gamma", "bias": chosen["bias"]})
    if (chosen.get("branch", "biased"), chosen.get("at_zero", "drop")) != ("biased", "drop"):
        return None
    return question.replace(rule={**gamma, "rule": "gamma", "kind": chosen["gamma"], "bias": chosen["bias"]})
