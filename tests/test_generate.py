"""A part of the golden files made again: what matches from its recipe, what does not as it stands."""

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from examples import sweep

from lrp_conform.cases import golden
from lrp_conform.cases.golden import GoldenError, uid_of
from lrp_conform.cli import main
from lrp_conform.making import generate
from lrp_conform.making.golden_text import read_cases
from lrp_conform.making.recipes.common import Search

SHIPPED = generate.ROOT / "golden"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the golden set that `generate` writes to."""
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    shutil.copytree(SHIPPED, tmp_path / "golden")
    return tmp_path / "golden"


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.json")}


def damage(path: Path, *ids: str, **fields: object) -> None:
    """Change fields of cases, laid out as `generate` does and with the uids that follow."""
    text = path.read_text(encoding="utf-8")
    for written in read_cases(path):
        if written.id in ids:
            case = {**json.loads(written.text), **fields}
            case["uid"] = uid_of(case)
            text = text.replace(written.text, generate.case_text(case).text)
    path.write_text(text, encoding="utf-8", newline="\n")


def run(*args: str) -> tuple[int, str]:
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(["generate", *args])
    return code, said.getvalue()


def test_only_the_cases_that_match_are_made_again(root: Path) -> None:
    before = files(root)
    damage(root / "vectors/v0.json", "v0.zero", "v0.flat", comment="damaged")
    kept = {case.id: case.text for case in read_cases(root / "vectors/v0.json")}
    assert run("--case", "v0.z*") == (0, "2 files, 1 changed\n")
    found = {case.id: case.text for case in read_cases(root / "vectors/v0.json")}
    assert [id_ for id_ in found if found[id_] != kept[id_]] == ["v0.zero"]
    assert '"comment": "damaged"' in found["v0.flat"]
    assert run("--case", "v0.flat") == (0, "2 files, 1 changed\n")
    assert files(root) == before


def test_the_manifest_follows_what_was_made(root: Path) -> None:
    before = files(root)
    pair = {"shape": [1, 2], "data": ["1", "1"]}
    damage(root / "layers/add.json", "add.shares", inputs={"x0": pair, "x1": pair, "relevance": pair})
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    manifest["cases"]["add.shares"] = "sha256:" + "0" * 64
    (root / "manifest.json").write_text(json.dumps(manifest, indent=0) + "\n", encoding="utf-8", newline="\n")
    assert run("--group", "layers/a*", "--case", "add.s[hu]*") == (0, "2 files, 2 changed\n")
    assert files(root) == before
    assert len(golden.load_all(root)) == len(golden.uids(root))


def test_check_writes_nothing_and_names_what_differs(root: Path) -> None:
    assert run("--case", "v0.zero", "--check") == (0, "")
    damage(root / "vectors/v0.json", "v0.zero", comment="damaged")
    before = files(root)
    assert run("--case", "v0.flat", "--check") == (0, "")
    assert run("--case", "v0.*", "--check") == (1, "differs: vectors/v0.json\n")
    assert files(root) == before


@pytest.mark.parametrize(
    "args", [("--case", "nothing*"), ("--group", "dense/nothing"), ("--case", "v0.*", "--group", "dense/*")]
)
def test_a_glob_that_matches_nothing_is_one_line(args: tuple[str, ...], root: Path) -> None:
    status, said = run(*args)
    assert (status, said) == (2, f"lrp-conform: no recipe matches {' '.join(args[1::2])}; see lrp-conform list\n")


def test_a_file_that_is_not_there_is_made_of_what_matches(root: Path) -> None:
    (root / "layers/scale.json").unlink()
    assert run("--case", "scale.derived")[0] == 0
    assert [case.id for case in golden.load_file(root / "layers/scale.json")] == ["scale.derived"]


def test_a_case_of_no_recipe_stays_and_a_new_one_takes_its_place(root: Path) -> None:
    path = root / "layers/add.json"
    before = path.read_bytes()
    *_, last = written = read_cases(path)
    stranger = last.text.replace(last.id, "add.of-old")
    text = before.decode().replace(written[3].text + ",\n", "").replace(last.text, f"{last.text},\n{stranger}")
    path.write_text(text, encoding="utf-8", newline="\n")
    (made, _) = generate.generate_part(root, [written[3].id]).values()
    assert made == before.decode().replace(last.text, f"{last.text},\n{stranger}")


def test_a_file_laid_out_otherwise_or_of_another_edition_is_refused(root: Path) -> None:
    path = root / "layers/add.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    with pytest.raises(GoldenError, match=r"add\.json: not laid out as lrp-conform generate does"):
        generate.generate_part(root, ["add.shares"])
    manifest = (root / "manifest.json").read_text(encoding="utf-8").replace(generate.EDITION, "2020.01")
    (root / "manifest.json").write_text(manifest, encoding="utf-8")
    with pytest.raises(GoldenError, match=r"edition 2020\.01, the recipes are of"):
        generate.generate_part(root, ["add.shares"])


def test_a_few_cases_start_no_process_and_search_for_their_own_data_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []

    def build(recipe: generate.AnyRecipe) -> generate.Json:
        searched.append(recipe.id)
        return made(recipe)

    made = generate.build
    monkeypatch.setattr(generate, "build", build)
    monkeypatch.setattr(generate, "ProcessPoolExecutor", None)
    found = generate.generate_part(SHIPPED, ["add.residual.zero-absorb-none"])
    assert found["layers/add.json"].encode() == (SHIPPED / "layers/add.json").read_bytes()
    assert set(searched) == {"add.residual.zero-absorb-none"}
    assert sum(isinstance(r, Search) for cases in generate.recipes().values() for r in cases) > 500


def test_a_case_in_twelve_comes_out_the_same() -> None:
    chosen = sweep(list(generate.recipes().items()), 4)
    ids = [recipe.id for _, cases in chosen for recipe in cases[len(cases) // 2 :: 12]]
    found = generate.generate_part(SHIPPED, ids, workers=1)
    assert found.keys() >= {f"{name}.json" for name, _ in chosen}
    assert {name: text.encode() for name, text in found.items()} == {name: (SHIPPED / name).read_bytes() for name in found}


def test_more_than_a_few_cases_come_from_a_pool_with_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "FEW", 1)
    monkeypatch.setattr(generate, "build", None)  # here, not in the workers
    found = generate.generate_part(SHIPPED, ["v0.alpha2*", "add.residual.zero-absorb-none"])
    assert {name: text.encode() for name, text in found.items()} == {name: (SHIPPED / name).read_bytes() for name in found}
