"""The page in a real browser: quick to open, current, loud when it is not, and the same size after a while."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.conftest import Eventually
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Watched

pytestmark = pytest.mark.slow

ASTER = "article[aria-label=aster]"


def shows(browser: Browser, selector: str, words: str) -> Callable[[], bool]:
    """Give a condition: the element shows these words."""
    return lambda: words in browser.words(selector)


def test_it_opens_with_everything_at_once_and_updates_at_least_twice_a_second(
    watched: Watched, browser: Browser, eventually: Eventually
) -> None:
    eventually(lambda: watched.ask("/health/aster").json()["process"] is not None)
    browser.open(watched.url)
    eventually(shows(browser, "#verdict", "All 2 venues live"))
    # By the browser's own clock: from the request to the first drawing with content.
    painted = browser.js(
        "performance.getEntriesByType('paint').find((one) => one.name === 'first-contentful-paint')?.startTime"
    )
    assert painted < 1_000
    eventually(shows(browser, "#process-rows", "publisher"))
    eventually(shows(browser, ASTER, "left of venue limits"))
    assert browser.js(f"document.querySelector('{ASTER} .spark .age').getAttribute('d')").startswith("M")
    for selector in ("#lanes svg rect", "#hop-rows tr", "#balance-rows tr", f"{ASTER} tbody tr", "#events tr"):
        assert browser.js(f"document.querySelectorAll('{selector}').length") > 0, selector
    browser.js(
        "globalThis.changes = 0; new MutationObserver(() => { globalThis.changes += 1; })"
        f".observe(document.querySelector('{ASTER} .ages'), {{subtree: true, childList: true, characterData: true}})"
    )
    began = time.monotonic()
    eventually(lambda: browser.js("globalThis.changes") >= 10)
    assert time.monotonic() - began < 5
    assert browser.said == []
    # Of a simulator, which beats nowhere, the page knows once the sentinel has had to do with it.
    watched.kill("simulator:simulator")
    eventually(shows(browser, "#process-rows", "does not speak"))
    assert "not heard" not in browser.words("#process-rows")


def test_a_venue_that_goes_stale_is_shown_with_its_reason_and_recovers(
    watched: Watched, browser: Browser, eventually: Eventually
) -> None:
    browser.open(watched.url)
    eventually(shows(browser, "#verdict", "All 2 venues live"))
    watched.fault(fault="rest_error", venue="aster")
    watched.fault(fault="stall", venue="aster")
    eventually(lambda: watched.status("/health/aster") == 503)
    eventually(shows(browser, "#problems", "aster:"), within=1)
    assert "not well" in browser.words("#verdict")
    assert "not well" in browser.js("document.title")
    eventually(shows(browser, ASTER, "the book must not be used"))
    eventually(shows(browser, f"{ASTER} .bad", "no usable book or quote for"))
    assert "● live" in browser.words("article[aria-label=paradex] .state")
    watched.mend()
    eventually(shows(browser, "#verdict", "All 2 venues live"))
    assert browser.words("#problems") == ""
    assert "aster" in browser.words("#events")
    assert browser.said == []


def test_it_says_loudly_what_it_has_lost_and_comes_back_by_itself(
    watched: Watched, browser: Browser, eventually: Eventually
) -> None:
    browser.open(watched.url)
    eventually(shows(browser, "#verdict", "All 2 venues live"))
    watched.stop("runner:runner")
    eventually(shows(browser, "#alarm", "lost its source"), within=10)
    assert "the runner is not" in browser.words("#alarm")
    assert "unknown" in browser.words(f"{ASTER} .state")
    assert browser.words(f"{ASTER} .ages b") == "–"
    # Who was heard before must not stand there as heard.
    eventually(lambda: "● heard" not in browser.words("#process-rows"))
    assert "? unknown" in browser.words("#process-rows")
    assert "events/s" not in browser.words(ASTER)
    watched.start("runner:runner")
    eventually(shows(browser, "#verdict", "All 2 venues live"))
    assert browser.said == []
    watched.stop("dashboard:dashboard")
    eventually(shows(browser, "#alarm", "lost the dashboard"), within=10)
    assert "unknown" in browser.words(f"{ASTER} .state")
    assert browser.words(f"{ASTER} .ages b") == "–"
    steps = browser.js(f"document.querySelector('{ASTER} .spark .age').getAttribute('d').length")
    watched.start("dashboard:dashboard")
    eventually(shows(browser, "#verdict", "All 2 venues live"))
    assert browser.js("document.querySelector('#alarm').hidden") is True
    # What the page knew from before the restart is still drawn.
    assert browser.js(f"document.querySelector('{ASTER} .spark .age').getAttribute('d').length") >= 0.8 * steps


def test_it_fits_a_phone_and_every_control_is_reached_by_keyboard(
    watched: Watched, browser: Browser, eventually: Eventually
) -> None:
    browser.emulate(390, 844, phone=True, scheme="dark")
    browser.open(watched.url)
    eventually(shows(browser, "#verdict", "All 2 venues live"))
    assert browser.js("document.documentElement.scrollWidth") <= 390
    dark = browser.js("getComputedStyle(document.body).backgroundColor")
    browser.emulate(390, 844, phone=True, scheme="light")
    assert browser.js("getComputedStyle(document.body).backgroundColor") != dark
    reached = []
    for _ in range(20):
        browser.press("Tab", 9)
        reached.append(
            browser.js("document.activeElement.id || document.activeElement.textContent.trim().slice(0, 20)")
        )
    assert {"To the venues", "Venues", "Timeline", "theme", "health"} <= set(reached)


def test_text_from_outside_stays_text(watched: Watched, browser: Browser, eventually: Eventually) -> None:
    browser.open(watched.url)
    eventually(shows(browser, "#verdict", "All 2 venues live"))
    attack = "<img src=x onerror=globalThis.hacked=1>"
    browser.js(f"import('/static/dom.js').then((dom) => dom.rows(document.querySelector('#events'), [['{attack}']]))")
    assert browser.js("document.querySelector('#events td').textContent") == attack
    assert browser.js("typeof globalThis.hacked") == "undefined"
    # And the policy refuses markup even where code would ask for it.
    refused = browser.js(
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return 'taken'; }"
        " catch (error) { return error.name; } })()"
    )
    assert refused == "TypeError"


def test_an_hour_of_ticks_leaves_the_page_as_small_as_it_was(
    watched: Watched, browser: Browser, eventually: Eventually
) -> None:
    """An hour of messages is fed to the page's own code, each second of it later than the last."""
    browser.open(watched.url)
    eventually(shows(browser, "#verdict", "All 2 venues live"))
    browser.js(
        "Promise.all([import('/static/past.js'), import('/static/charts.js')]).then(([past, charts]) => {"
        " globalThis.past = new past.Past(); globalThis.past.states = ['init', 'live', 'stale'];"
        " const into = document.createElement('div'); const spark = new charts.Spark(10000);"
        " globalThis.feed = (from, to) => { for (let second = from; second < to; second += 1) {"
        "  const venue = { age_ms: second % 500, age_event_ms: 9, state: second % 50 ? 'live' : 'stale' };"
        "  for (let tick = 0; tick < 4; tick += 1) globalThis.past.tick(second * 1000 + tick * 250,"
        "   { source: { ok: true }, venues: { aster: venue, paradex: venue } });"
        "  globalThis.past.mark([{ at_ms: second * 1000, lane: 'aster', kind: 'reconnect', text: `r${second}` }]);"
        "  if (second % 60 === 0) { spark.draw(globalThis.past, 'aster', second);"
        "   charts.timeline(into, globalThis.past, ['aster', 'paradex'], second); } } }; })"
    )
    browser.js("globalThis.feed(1e6, 1e6 + 1800)")
    before = browser.heap_bytes()
    browser.js("globalThis.feed(1e6 + 1800, 1e6 + 5400)")
    assert browser.heap_bytes() < before * 1.1 + 300_000
    assert browser.js("[globalThis.past.steps.size, globalThis.past.marks.length]") == [900, 1_000]
