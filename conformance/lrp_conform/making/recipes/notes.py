"""Every flag explained once, with the mistake it catches."""

from typing import Any

from lrp_conform.making.recipes.vectors import BUGS


def _note(description: str, effect: str = "", links: list[str] | None = None) -> dict[str, Any]:
    return {"description": description, "effect": effect, "links": links or []}


NOTES: dict[str, dict[str, Any]] = {
    "all-bits": _note("Inputs use all 53 bits of a double.", "Hidden lower precision loses them."),
    "batch": _note("Two different samples in one batch.", "A missing batch axis in a sum couples them."),
    "cancellation": _note(
        "Contributions nearly cancel.",
        "Denominators are ill-conditioned: a fixed tolerance blames correct code or accepts wrong code.",
    ),
    "conservation": _note(
        "Sample k carries relevance at output k alone.",
        "The total of each sample is judged for itself, so a drift within every element's bound is seen.",
    ),
    "convention": _note("A convention that differs from the reference's default, spelled out in the rule entry."),
    "empty-half": _note(
        "All contributions have one sign.", "The other half is 0/0: libraries return NaN, lose relevance, or rescale."
    ),
    "empty-mask": _note(
        "No sample is in the mask of an output.", "Division by an epsilon gives a huge pattern instead of zero."
    ),
    "exact-data": _note(
        "Every intermediate is exact in the formats listed under exact_in.",
        "There, an answer can be equal: no tolerance is needed.",
    ),
    "even-window": _note(
        "A window of an even number of channels.", "It reaches one further up than down: swapped, the other neighbour counts."
    ),
    "exponential": _note("An exponential or a logarithm enters, where another case has a root."),
    "found": _note("Two derivations of the reference once disagreed here.", "A bug that fuzzing found stays mended."),
    "full-bias-in-both": _note(
        *BUGS["full-bias-in-both"][:1], "Relevance of the size of 1 / epsilon.", BUGS["full-bias-in-both"][1]
    ),
    "generic": _note("Awkward numbers.", "The bound of section 4 decides."),
    "irrational": _note("A root enters.", "Expected values are nearest doubles with a certified radius."),
    "known-bug": _note("A defect reported in public."),
    "large": _note(
        "More outputs, channels and taps than a block or a tile holds.", "Blocked, tiled and fast algorithms run here."
    ),
    "negative-bias": _note("The bias is negative.", "It belongs in the negative half only."),
    "negative-input": _note(
        "Inputs of both signs.", "(w x)+ = w+ x+ + w- x-: dropping the second term, or not splitting x, shows."
    ),
    "network": _note(
        "A whole network under a composite, with the relevance of every node.",
        "The first node at which an answer leaves the truth can be named.",
    ),
    "padding-taps": _note(
        "Windows reach into the padding.", "Padding is not a connection: counting its taps loses relevance at the border."
    ),
    "pattern": _note("Pattern statistics instead of a rule: the answer is the pattern matrix."),
    "sign-at-zero": _note("z is exactly 0 or -0.0.", "sgn(0) = +1 here."),
    "squared-bias": _note("The bias is not zero under w-square.", "Whether b^2 stays in the denominator shows."),
    "stabilizer-kind": _note("The stabiliser makes a visible difference."),
    "ties": _note("Several taps share the maximum.", "The first in row-major order wins, unless ties says otherwise."),
    "unequal-summands": _note("The summands differ widely.", "An equal split of the relevance shows."),
    "unsigned-stabilizer": _note("z is negative and of the size of epsilon.", "Added without a sign, epsilon makes a pole."),
    "x-equals-mean": _note("x = mean, so y = beta.", "A quotient by x - mean is 0/0 there."),
    "zero-denominator": _note(
        "A denominator is exactly zero.", "Its relevance is dropped and entered in the ledger; inf and NaN are wrong."
    ),
    "zero-output": _note("An output is exactly zero.", "Generalised gamma takes neither branch and drops its relevance."),
    **{name: _note(text, "", links) for name, (text, links) in BUGS.items() if name != "full-bias-in-both"},
}
