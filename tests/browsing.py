"""A headless Chromium, what a reader does with a page in it, and what the page must hold up to."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import waiting

Driver = Any
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


@contextmanager
def start() -> Iterator[Driver]:
    """A browser with a new profile; it logs what goes wrong on a page."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


def sized(driver: Driver, width: int, **media: str) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def js(driver: Driver, code: str, *given: Any) -> Any:
    return driver.execute_script(code, *given)


def moved(driver: Driver, address: str) -> None:
    """Follow an address inside the page, as a link does, and wait until it is shown."""
    driver.execute_async_script(
        "const done = arguments[1]; if (location.hash === arguments[0]) return done();"
        "addEventListener('hashchange', () => setTimeout(done), { once: true }); location.hash = arguments[0];",
        address,
    )


def until(driver: Driver, condition: str) -> None:
    """Wait for what a key sets in motion."""
    waiting.until(lambda: js(driver, condition), condition)


def count(driver: Driver) -> int:
    return int(js(driver, "return document.getElementById('count').textContent").split()[0].replace(",", ""))


def keys(driver: Driver, *pressed: str) -> None:
    from selenium.webdriver import ActionChains

    actions = ActionChains(driver)
    for key in pressed:
        actions.send_keys(key)
    actions.perform()


def back_tab(driver: Driver) -> None:
    """Shift and Tab: to what stands before."""
    from selenium.webdriver import ActionChains, Keys

    ActionChains(driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()


def pick(driver: Driver, name: str, value: str) -> None:
    js(
        driver,
        "const f = document.getElementById(arguments[0]); f.value = arguments[1];"
        "f.dispatchEvent(new Event('input', { bubbles: true }));",
        name,
        value,
    )


# Texts that do not stand out from their ground by 4.5 to 1.
CONTRAST = """
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (rgb) => {
  const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const found = channels(getComputedStyle(e).backgroundColor);
    if (found.length === 3) return found;
  }
};
const weak = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest(".hidden, .skip, script, svg")) continue;
  const pair = [light(channels(getComputedStyle(e).color)), light(ground(e))].sort((a, b) => b - a);
  const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (ratio < 4.5) weak.push(`${walker.currentNode.data.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
}
return [...new Set(weak)].slice(0, 10);
"""
# What a screen reader has no name for, and whether there is one h1.
NAMELESS = """
const shown = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility());
const name = (e) => e.ariaLabel || e.textContent.trim() || e.labels?.[0]?.textContent;
return [
  ...shown("a, button, input, select, [role=img], [role=region], summary").filter((e) => !name(e)),
  ...shown("table").filter((e) => !e.caption && !e.ariaLabel),
  ...shown("nav").filter((e) => !e.ariaLabel),
].map((e) => e.outerHTML.slice(0, 80)).concat(shown("h1").length === 1 ? [] : ["h1"]);
"""
