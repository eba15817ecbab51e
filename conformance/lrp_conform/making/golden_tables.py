"""The tables of golden/README.md, written from the rows of operators, rules, stabilisers and conventions."""

from collections.abc import Iterable
from textwrap import wrap

import lrp_ref as lrp
from lrp_conform.cases import entries, model
from lrp_conform.cases.operators import OPERATORS, Attr, Operator
from lrp_ref.rules import BIAS, CONVENTIONS, MEANINGS
from lrp_ref.stabilizers import KINDS, row

WIDE = 128  # columns of prose


class NoMarker(ValueError):
    """A README without the place of a table."""


def readme(text: str) -> str:
    """The README with every table between its markers written again. Raises `NoMarker`."""
    for name, body in parts().items():
        first, last = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, found, rest = text.partition(first)
        _, end, after = rest.partition(last)
        if not found or not end:
            raise NoMarker(
                f"golden/README.md: expected the lines {first.strip()} and {last.strip()}; put them where they belong"
            )
        text = f"{before}{first}{body}{last}{after}"
    return text


def parts() -> dict[str, str]:
    """Every part, by the name of its markers."""
    known = sorted(model.known_features())
    return {
        "ops": _table("op | params | attrs | map", map(_op, OPERATORS.values())) + "".join(map(_note, OPERATORS.values())),
        "rules": _table("rule | parameters; conventions | parts (n; natural c; f) | `bias`", map(_rule, lrp.RULES)),
        "bias": _list(f"`{mode}`: {meaning}" for mode, meaning in BIAS.items()),
        "stabilizers": _table("kind | D", (f"`{kind}` | {_cell(row(kind).words)}" for kind in KINDS)),
        "conventions": _list(map(_convention, CONVENTIONS)),
        "features": _list(_feature_kind(kind, values) for kind, values in _by_kind(known).items()),
    }


def _table(head: str, rows: Iterable[str]) -> str:
    rule = "|".join("---" for _ in head.split(" | "))
    return f"| {head} |\n|{rule}|\n" + "".join(f"| {row} |\n" for row in rows)


def _list(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _op(row: Operator) -> str:
    params = ", ".join(map(str, row.params))
    return f"`{row.name}` | {params} | {', '.join(map(_attr, row.attrs))} | {row.map}".replace("|  |", "| |").replace(
        "|  |", "| |"
    )


def _attr(attr: Attr) -> str:
    return f"`{attr.name}`" + (f" ({attr.note})" if attr.note else "")


def _note(row: Operator) -> str:
    """A paragraph below the table."""
    return f"\n{_filled(f'`{row.name}` linearization, {row.note}')}\n" if row.note else ""


def _filled(text: str) -> str:
    return "\n".join(wrap(text, WIDE, break_long_words=False, break_on_hyphens=False))


def _rule(name: str) -> str:
    kind = lrp.RULES[name]
    given = [", ".join(f"`{each}`" for each in names) for names in (entries.parameters(name), entries.conventions(name))]
    said = [formula(kind.formula)] if kind.formula else []
    said += [note] if (note := getattr(kind, "note", "")) else []
    cells = (f"`{name}`", "; ".join(filter(None, given)), ". ".join(said), ", ".join(f"`{mode}`" for mode in kind.bias))
    return " | ".join(map(_cell, cells)).replace("|  |", "| |")


def formula(parts: Iterable[str]) -> str:
    """Parts as one reads them: `w_ji^+` is w_ji+."""
    said = []
    for part in parts:
        n, c, *rest = part.split("; ")
        factor, where = [*rest, *("1", "")[len(rest) :]]
        said.append((f"where {where}: " if where else "") + "; ".join([n, c] + ([factor] if factor != "1" else [])))
    return ", and ".join(said).replace("^+", "+").replace("^-", "-")


def _cell(text: str) -> str:
    """Bars are taken for the end of a cell."""
    return text.replace("|", "\\|")


def _convention(name: str) -> str:
    values, question = CONVENTIONS[name]
    told = [f"{question}: {' or '.join(f'`{value}`' for value in values)}"]
    told += [MEANINGS[name]] if name in MEANINGS else []
    variants = (item for kind in lrp.RULES.values() for item in getattr(kind, "variants", {}).items())
    told += [f"`{value}`: {formula(parts)}" for value, parts in variants if value in values]
    return f"`{name}`, " + ". ".join(line.rstrip(".") for line in told) + "."


def _by_kind(known: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for feature in known:
        kind, _, value = feature.partition(".")
        found.setdefault(kind, []).append(value)
    return found


def _feature_kind(kind: str, values: list[str]) -> str:
    return f"`{kind}.` " + ", ".join(f"`{value}`" for value in values)
