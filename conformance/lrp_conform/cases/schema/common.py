"""What cases of a layer and of a network say alike."""

from lrp_conform.cases import model
from lrp_conform.cases.schema.form import INPUT, NODE, Json, described, record, ref, several, string, table, unique

DTYPES = ("float64", "float32", "float16")
STATUS = ("core", "extended", "tentative", "deprecated")
CERTIFICATES = (
    "exact-rational", "explicit-equals-structured", "explicit-equals-preset", "bounds-speak", "second-oracle",
    "ledger-balances", "derived-by-hand", "ball-arithmetic-256-bit", "batches-equal-whole", "scalar-loops",
)  # fmt: skip


def common() -> Json:
    """What cases of a layer and of a network say alike."""
    slug = ref("slug")
    return {
        "id": string("Stable slug, never reused.", r"^[a-z0-9-]+(\.[a-z0-9-]+)+$"),
        "uid": string("SHA-256 of [model, rules, inputs, expected] as canonical JSON.", "^sha256:[0-9a-f]{64}$"),
        "status": described("How settled the case is.", {"enum": [*STATUS]}),
        "flags": unique("What the case is about; each is explained under notes.", slug),
        "comment": string("The derivation or story."),
        "references": unique("DOI or arXiv number, and place.", {"type": "string", "pattern": r"^(doi:10\.|arXiv:)"}),
        "features": unique("What an implementation must support to be asked.", {"enum": sorted(model.known_features())}, 2),
        "rules": table("Per node name, the rule with every convention.", NODE, ref("rule")),
        "inputs": table("x (or x0, x1, ...), and the relevance that arrives at the output.", INPUT, ref("tensor"))
        | {"properties": {"relevance": described("Relevance arriving at the output.", ref("tensor"))}},
        "exact_in": unique("Formats in which every intermediate value is exact.", {"enum": [*DTYPES, "bfloat16"]}),
        "representable_in": unique("Formats that hold every number of the case.", {"enum": [*DTYPES]}),
        "certificates": unique("How the numbers were checked.", {"enum": [*CERTIFICATES]}, 1),
        "provenance": record(
            "Where the case comes from.",
            {
                "recipe": string("The package that made the case."),
                "edition": described("The edition in which it was made.", ref("edition")),
            },
        ),
    }


def model_of(least: int) -> Json:
    nodes = several("The layers, each after what it reads; the last one's value is the output.", ref("node"), least)
    return record("The model.", {"nodes": nodes})


def kept() -> Json:
    """What inputs do not receive."""
    return {
        "bias": described("What the bias kept.", ref("tensor")),
        "stabilizer": described("What the stabiliser kept.", ref("tensor")),
        "dropped": described("The rest.", ref("tensor")),
    }
