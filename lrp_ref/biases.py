"""What becomes of a layer's bias: the modes that a rule may allow, one row each."""

from typing import NamedTuple


class Mode(NamedTuple):
    """`seen`: the rule's formula reads b, else 0 in its place. `whole`: every part counts b itself, whatever the formula says.

    `hands_on`: inputs receive more, or less, than their contributions' shares.
    """

    seen: bool = True
    whole: bool = False
    hands_on: bool = False


MODES = {
    "absorb": Mode(),
    "split": Mode(),
    "square": Mode(),
    "raw": Mode(whole=True),
    "full_in_both": Mode(whole=True),
    "ignore": Mode(seen=False),
    "redistribute": Mode(hands_on=True),
    "share": Mode(seen=False, hands_on=True),
}
