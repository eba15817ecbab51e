"""A case of a network: its composite, what arrives at every node, and its account."""

from lrp_conform.cases.schema.common import DTYPES, common, kept, model_of
from lrp_conform.cases.schema.form import INPUT, NODE, Json, described, record, ref, string, table


def definitions() -> Json:
    return {
        "network": record("A network under a composite, with the relevance of every node.", common() | _fields()),
        "answers": _per_node("The output, the relevance of every input, and what arrives at every node's output.", "tensor"),
        "network-bounds": _per_node("How far an honest answer in this format may lie from expected.", "gauge"),
        "account": record(
            "Sums per sample: arrived = received + bias + stabilizer + dropped.",
            {
                "arrived": described("What arrived; in the total, at the output.", ref("tensor")),
                "received": described("What the inputs received.", ref("tensor")),
                **kept(),
            },
        ),
    }


def _fields() -> Json:
    option = {"anyOf": [ref("finite"), {"type": "integer"}]}
    return {
        "model": model_of(2),
        "composite": record(
            "Where the rules come from; they are complete without it.",
            {
                "library": described("Whose composite it is; reference for a plain one.", ref("slug")),
                "name": string("Its name there.", "^[a-z0-9_]+$"),
                "options": table("Its options: numbers as strings, counts and bounds as integers.", "^[a-z_]+$", option, 0),
            },
        ),
        "expected": described("The answers.", ref("answers")),
        "ledger": record(
            "The account of every node, and of the whole network; both balance exactly.",
            {
                "nodes": table("Per node.", NODE, ref("account"), 2),
                "total": described("Of the whole network.", ref("account")),
            },
        ),
        "bounds": record("Per format, the tolerance.", {d: described(f"In {d}.", ref("network-bounds")) for d in DTYPES[:2]}),
    }


def _per_node(about: str, kind: str) -> Json:
    return record(
        about,
        {
            "y": described("Of the output: the value of the last node.", ref(kind)),
            "relevance": table("Per input.", INPUT, ref(kind)),
            "nodes": table("Per node.", NODE, ref(kind), 2),
        },
    )
