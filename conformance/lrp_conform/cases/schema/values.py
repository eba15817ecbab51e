"""Numbers and tensors, as a golden file writes them."""

from lrp_conform.cases.numbers import NUMBER
from lrp_conform.cases.schema.form import SLUG, Json, described, record, ref, several, string, unique

MOST = 4096  # elements of a tensor that stands in its file
_HEXADECIMAL = r"0x[01](\.[0-9a-f]{1,13})?p[+-](0|[1-9][0-9]*)"
_ABOVE_ZERO = rf"[1-9][0-9]*|[1-9][0-9]*/([2-9]|[1-9][0-9]+)|{_HEXADECIMAL}"


def numbers() -> Json:
    integer = {"type": "integer", "minimum": 0}
    return {
        "number": string("An integer, a rational, a hexadecimal float, or a word.", f"^({NUMBER[1:-1]}|nan|-?inf)$"),
        "finite": string("An exact number that is finite.", f"^{NUMBER}$"),
        "nonnegative": string("A finite number, zero or above.", f"^(0|{_ABOVE_ZERO})$"),
        "positive": string("A finite number above zero.", f"^({_ABOVE_ZERO})$"),
        "slug": string("A short name.", SLUG),
        "edition": string("Year and month.", r"^20[0-9]{2}\.[0-9]{2}$"),
        "sizes": several("Sizes or axes, one or above.", {"type": "integer", "minimum": 1}, 1),
        "counts": several("Counts, zero or above.", integer, 1),
        "shape": several("Row-major, batch axis first.", integer),
        "pairs": several("[begin, end] per axis.", {"type": "array", "minItems": 2, "maxItems": 2, "items": integer}, 1),
        "one_input": several("One input.", {"type": "string"}, 1, maxItems=1),
        "several_inputs": unique("Two inputs or more.", {"type": "string"}, 2),
    }


def tensors() -> Json:
    shape = described("Sizes, batch axis first.", ref("shape"))
    stored = {
        "shape": shape,
        "file": string("A safetensors file beside this one.", r"^[a-z0-9-]+\.safetensors$"),
        "tensor": string("The tensor's key in that file, stored as F64.", least=1),
    }
    return {
        "inline_tensor": record(
            f"A tensor of up to {MOST} elements.",
            {"shape": shape, "data": several("The elements, row-major.", ref("number"), maxItems=MOST)},
        ),
        "stored_tensor": record("A larger tensor, in a file of its own.", stored),
        "tensor": {
            "description": "A tensor of exact numbers.",
            "if": {"type": "object", "required": ["file"]},
            "then": ref("stored_tensor"),
            "else": ref("inline_tensor"),
        },
        "gauge": record(
            "A tensor of magnitudes.",
            {"shape": shape, "data": several("The elements; rounded up, never down.", ref("nonnegative"), maxItems=MOST)},
        ),
        "bound": {
            "description": "A number, one number per channel, a tensor of x's shape, or an extreme of the sample.",
            "anyOf": [
                ref("finite"),
                {"enum": ["min", "max"]},
                {"type": "array", "minItems": 1, "items": ref("finite")},
                ref("tensor"),
            ],
        },
        "shares": several("One number per input.", ref("finite"), 2),
    }
