"""Questions on which derivations once disagreed, as `lrp-conform fuzz` shrank them: one JSON object a line of found.ndjson."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lrp_conform.cases.golden import GoldenError
from lrp_conform.cases.question import Question
from lrp_conform.making.recipes.common import Recipe

PATH = Path(__file__).with_name("found.ndjson")
FLAG = "found"
_FIELDS = {"id", "comment", "node", "rule", "inputs"}


def recipe(question: Question, comment: str) -> Recipe:
    """The recipe of a question; its id follows from its content."""
    content = json.dumps([question.node, question.rule, question.inputs], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    slug = f"found.{question.rule['rule']}-on-{question.node['op']}-{digest}"
    return Recipe(slug, question.node, question.rule, question.inputs, (FLAG,), comment, status="extended")


def read(path: Path) -> list[Recipe]:
    """The recipes of a file, none if there is no file. Raises GoldenError for a line that is no recipe."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [_parsed(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def _parsed(line: str, at: str) -> Recipe:
    try:
        given: dict[str, Any] = json.loads(line)
        if given.keys() != _FIELDS or not given["id"].startswith("found."):
            raise ValueError(f"expected the fields {', '.join(sorted(_FIELDS))} and an id that starts with 'found.'")
        question = Question(given["node"], given["rule"], given["inputs"])
        return Recipe(given["id"], question.node, question.rule, question.inputs, (FLAG,), given["comment"], status="extended")
    except (ValueError, AttributeError, RecursionError) as error:
        raise GoldenError(f"{at}: not a recipe: {error}; restore the line, or take it out") from None


def append(path: Path, filed: Recipe) -> None:
    """Write a recipe to the end of a file."""
    fields = {"id": filed.id, "comment": filed.comment, "node": filed.node, "rule": filed.rule, "inputs": filed.inputs}
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def advice(id_: str) -> str:
    """What to do while a filed question cannot become a golden case."""
    return f"{id_} is a disagreement that lrp-conform fuzz filed: mend the bug, or take its line out of {PATH.name} until then"


def recipes() -> dict[str, list[Recipe]]:
    """What was filed, in a group of its own; no group where nothing was."""
    filed = read(PATH)
    return {"found/found": filed} if filed else {}
