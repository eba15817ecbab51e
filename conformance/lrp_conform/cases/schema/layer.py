"""A case of one layer: its answers, its gauges and what it tells apart."""

from lrp_conform.cases.schema.common import DTYPES, common, kept, model_of
from lrp_conform.cases.schema.form import INPUT, Json, count, described, record, ref, table, unique

_DEVIATION = r"^[a-z0-9_-]+\.[A-Za-z0-9_-]+$"


def definitions() -> Json:
    return {"case": record("One question with its answer.", common() | _fields(), {"radius": _radius()})}


def _fields() -> Json:
    answer = "^(x[0-9]*|pattern)$"
    deviations = unique("Deviations that this format is the coarsest to tell.", {"type": "string", "pattern": _DEVIATION})
    return {
        "model": model_of(1),
        "expected": record(
            "The answers.",
            {
                "y": described("The layer's output.", ref("tensor")),
                "relevance": table("Per input name the relevance handed back; or the pattern.", answer, ref("tensor")),
            },
        ),
        "ledger": _all_or_none("Per output element what the inputs did not receive; empty where not rational.", kept()),
        "gauges": record(
            "What the tolerance is made of.",
            {
                "G": table("Per input, the work behind each element.", answer, ref("gauge")),
                "H": table("The same, weighted by the condition of the denominators.", answer, ref("gauge")),
                "S": table("How underflow reaches each element.", answer, ref("gauge")),
                "Y": described("The work behind each output.", ref("gauge")),
                "fan_in": count("Roundings behind one denominator."),
                "fan_out": count("Roundings behind one input's sum."),
                "kappa": described("Largest condition number of a denominator.", ref("nonnegative")),
            },
        ),
        "conservation": _all_or_none(
            "Per sample, the total and its gauges; empty for patterns.",
            {
                "total": described("Sum of the relevance handed back, per sample.", ref("tensor")),
                "G": described("Gauge of that total.", ref("gauge")),
                "H": described("The same, weighted by condition.", ref("gauge")),
            },
        ),
        "dialects": table(
            "What named libraries return here, where it differs.",
            "^[a-z0-9.-]+$",
            table("Per input name, that library's answer.", INPUT, ref("tensor")),
            least=0,
        ),
        "discriminates": record(
            "Per format, the named deviations this case can tell from the truth.", {}, dict.fromkeys(DTYPES, deviations)
        ),
    }


def _radius() -> Json:
    return described("Bounds the error of expected where a root or an exponential enters.", ref("positive"))


def _all_or_none(about: str, fields: Json) -> Json:
    """All of these fields, or none."""
    others = {name: [n for n in fields if n != name] for name in fields}
    return record(about, {}, fields, dependentRequired=others)
