"""The page of a report in a real browser, opened from a file: it filters, every link resolves, nothing is logged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browsing import (
    BROWSER,
    CONTRAST,
    DRIVER,
    NAMELESS,
    Driver,
    back_tab,
    count,
    js,
    keys,
    moved,
    pick,
    sized,
    start,
    until,
)
from inline import ALL
from reported import HOSTILE, RIGHT, WRONG, hostile, renamed

from lrp_conform.diagnosis.card import Card, CardRow
from lrp_conform.report import cards
from lrp_conform.report.write import write
from lrp_conform.running.folder import Run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None or DRIVER is None, reason="needs chromium and chromedriver on the PATH"),
]
pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install 'lrp-ref[test]'")


def runs() -> list[Run]:
    """Two candidates that are right, one that is wrong, one that attacks; and one answer on which nobody is right."""
    missed = next(r for r in WRONG.results if r.fails)
    keys = [(r.case, r.dtype) for r in RIGHT.results]
    spoilt = list(RIGHT.results)
    at = keys.index((missed.case, missed.dtype))
    spoilt[at] = replace(spoilt[at], judgement=missed.judgement, output=missed.output)
    right = Run(RIGHT.about, spoilt)
    return [right, renamed(right, "twin", "1.0"), WRONG, hostile()]


RUNS = runs()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report of four candidates."""
    folder = tmp_path_factory.mktemp("a report #1 with 100%")
    row = CardRow("stabilizer of epsilon", "signed", ("dense.epsilon.exact-01",), 2, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cards, "card", lambda found, known, one_hot: Card(found[0].candidate, found[0].version, (row,)))
        write(folder, RUNS, ALL)
    return (folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def started() -> Iterator[Driver]:
    with start() as driver:
        yield driver


@pytest.fixture
def browser(started: Driver, page: str) -> Iterator[Driver]:
    """The page, freshly opened; whatever a test does, nothing may be logged."""
    started.get("about:blank")
    sized(started, 1280)
    started.get(page)
    yield started
    assert started.get_log("browser") == []


def test_it_opens_with_every_result(browser: Driver) -> None:
    assert "right 1.0" in browser.title
    pick(browser, "kind", "all")
    assert count(browser) == sum(len(run.results) for run in RUNS)
    assert len(js(browser, "return [...document.querySelectorAll('#list > li')]")) == 100


def test_filters_and_search_change_the_list_and_the_address(browser: Driver) -> None:
    before = count(browser)
    pick(browser, "candidate", "wrong 2.0")
    fewer = count(browser)
    assert 0 < fewer < before
    pick(browser, "dtype", "float32")
    assert 0 < count(browser) < fewer
    pick(browser, "q", "epsilon nowhere")
    assert "No result" in js(browser, "return document.getElementById('count').textContent")
    address = browser.current_url
    assert "candidate=wrong%202.0" in address
    browser.get("about:blank")
    browser.get(address)
    assert js(browser, "return document.getElementById('q').value") == "epsilon nowhere"
    browser.find_element("css selector", "#filters button[type=reset]").click()
    assert count(browser) == before


def test_where_one_candidate_deviates_alone_and_where_nobody_agrees(browser: Driver) -> None:
    pick(browser, "kind", "lonely")
    assert count(browser) == sum(r.fails for r in WRONG.results) - 1
    pick(browser, "kind", "nobody")
    assert count(browser) == 3


def test_a_cell_of_the_matrix_leads_to_its_answers(browser: Driver) -> None:
    cell = browser.find_element("css selector", "#matrix tbody a.cell")
    total = sum(
        int(n)
        for n in js(
            browser, "return [...arguments[0].querySelectorAll('.counts > :not(.missing)')].map(e => e.lastChild.data)", cell
        )
    )
    js(browser, "arguments[0].click()", cell)
    until(browser, "return document.activeElement.id === 'results-title'")
    assert count(browser) == total


def test_the_keyboard_alone_gets_to_a_case_and_back(browser: Driver) -> None:
    from selenium.webdriver.common.keys import Keys

    keys(browser, Keys.TAB)
    assert js(browser, "return document.activeElement.className") == "skip"
    js(browser, "document.getElementById('q').focus()")
    keys(browser, "wrong 2.0")
    assert count(browser) > 0
    for _ in range(12):  # over the filters to the first result
        keys(browser, Keys.TAB)
        if js(browser, "return document.activeElement.closest('#list') !== null"):
            break
    chosen = js(browser, "return document.activeElement.textContent")
    keys(browser, Keys.ENTER)
    until(browser, "return document.activeElement.id === 'case-title'")
    assert js(browser, "return document.getElementById('case-title').textContent") == chosen
    back = "return document.activeElement.textContent.includes('All results')"
    for _ in range(4):  # the way back stands before the title
        back_tab(browser)
        if js(browser, back):
            break
    keys(browser, Keys.ENTER)
    until(browser, "return document.getElementById('case').hidden")
    assert js(browser, "return document.getElementById('q').value") == "wrong 2.0"


def test_every_link_resolves(browser: Driver) -> None:
    broken = js(
        browser,
        """
        const ids = new Set([...document.querySelectorAll("[id]")].map((e) => e.id)).add("top");
        return [...document.querySelectorAll("a")].map((a) => a.getAttribute("href")).filter((href) =>
          href.startsWith("#case=") ? CASE[decodeURIComponent(href.slice(6))] === undefined
                                    : !(href[0] === "#" && ids.has(href.slice(1).split("?")[0])));
        """,
    )
    assert broken == []


def test_every_case_renders(browser: Driver) -> None:
    ids = js(browser, "return DATA.cases.map((each) => each.id)")
    assert len(ids) > 40
    for id in ids:
        js(browser, "show_case(arguments[0])", id)
        text = js(browser, "return document.getElementById('case').textContent")
        assert not any(wrong in text for wrong in ("undefined", "[object", "NaN")), id
        assert js(browser, "return document.querySelectorAll('#case h2').length") == (1 if id not in {c.id for c in ALL} else 4)
        outside = js(browser, "return [...document.querySelectorAll('#case a')].map((a) => a.getAttribute('href'))")
        assert all(link.startswith(("https://", "#results", "#case=")) for link in outside)


def test_a_case_shows_formula_fractions_pictures_and_reproduction(browser: Driver) -> None:
    moved(browser, "#case=dense.epsilon.exact-01")
    shown = js(browser, "return document.getElementById('case').innerText")
    for text in ("Rule", "Layer and data", "Expected", "Answers", "behaves like", "Reproduce", "expected"):
        assert text in shown
    assert js(browser, "return document.querySelectorAll('#case math').length") > 3
    assert js(browser, "return document.querySelectorAll('#case figure [role=img] svg rect').length") > 5
    assert "dotted" in js(browser, "return document.querySelector('#case [role=img][aria-label^=Error]').ariaLabel")


def test_an_unknown_case_says_so(browser: Driver) -> None:
    moved(browser, "#case=nowhere%3Cb%3E%")
    assert "No such case" in js(browser, "return document.getElementById('case').innerText")


def test_hostile_text_is_text(browser: Driver) -> None:
    moved(browser, "#results?kind=all&q=onerror")
    assert count(browser) == 4
    assert HOSTILE[:20] in js(browser, "return document.getElementById('list').textContent")
    assert js(browser, "return document.querySelectorAll('img').length") == 0


@pytest.mark.parametrize("address", ["", "#results", "#case=dense.epsilon.exact-01", "#case=v0.epsilon-tenth"])
def test_a_phone_scrolls_only_downwards(browser: Driver, address: str) -> None:
    sized(browser, 390)
    moved(browser, address)
    assert js(browser, "return document.documentElement.scrollWidth") == 390


def test_light_and_dark(browser: Driver) -> None:
    def darkness() -> int:
        found = js(browser, "return getComputedStyle(document.documentElement).backgroundColor")
        return int(sum(int(v) for v in found[4:-1].split(",")) < 200)

    assert darkness() == 0
    sized(browser, 1280, prefers_color_scheme="dark")
    assert darkness() == 1
    button = browser.find_element("id", "theme")
    button.click()
    assert (button.text, darkness()) == ("Theme: light", 0)
    button.click()
    assert (button.text, darkness()) == ("Theme: dark", 1)
    browser.refresh()
    assert darkness() == 1
    browser.find_element("id", "theme").click()


def test_text_stands_out_from_its_ground(browser: Driver) -> None:
    for scheme in ("light", "dark"):
        sized(browser, 1280, prefers_color_scheme=scheme)
        for address in ("#results?kind=all", "#case=dense.epsilon.exact-01"):
            moved(browser, address)
            assert js(browser, CONTRAST) == []


def test_names_and_roles(browser: Driver) -> None:
    """What a screen reader needs: one h1, landmarks, captions, a name for every control and picture."""
    for address in ("#summary", "#case=dense.epsilon.exact-01"):
        moved(browser, address)
        nameless = js(browser, NAMELESS)
        assert nameless == []
    assert js(browser, "return document.documentElement.lang") == "en"
    assert js(browser, "return ['header', 'main', 'footer', 'nav'].filter((t) => !document.querySelector(t))") == []


def test_without_javascript_the_tables_are_there(page: str) -> None:
    text = Path(unquote(urlsplit(page).path)).read_text(encoding="utf-8")
    before, _, _ = text.partition("<script")
    assert "<noscript>" in before
    assert before.count('class="cell"') > 10
    assert "behaves like" not in before


def test_it_opens_fast(browser: Driver) -> None:
    loaded = js(browser, "return performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert loaded < 5000  # milliseconds; one second where nothing else runs
