"""The page: well made, read in a browser, on a phone, in the dark, on paper and by keyboard, with nothing from elsewhere."""

from __future__ import annotations

import base64
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from reports import report

from properties._bugs import catalogue
from properties._html_style import DARK, LIGHT, READ_ON, style
from properties._html_tags import html, printable, tag

KINDS = ("sound", "wrong", "late", "every")
VOID = {"meta", "br", "wbr", "link", "img", "input", "hr"}
CONTRAST = 4.5
"""WCAG 2.2, success criterion 1.4.3."""
HEAVIEST = 1_000_000
PHONE, DESK, PAPER, ACROSS = 360, 1280, 696, 1025
"""Widths in CSS pixels: of a small phone, a desk, and of A4 within its margins, upright and across."""


# ----------------------------------------------------------------------------------------------------------- as it is made
class Read(HTMLParser):
    """A page's tags, and whether they are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.unbalanced: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, name: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attrs)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        if not self.open or self.open.pop() != name:
            self.unbalanced.append(name)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag_name, attributes in self.tags if tag_name == name]


def text_of(kind: str) -> str:
    return report(kind).html.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_well_made(kind: str) -> None:
    read = Read(text_of(kind))
    assert read.unbalanced == [] and read.open == []
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    targets = {(a.get("href") or "")[1:] for a in read.all("a") if (a.get("href") or "").startswith("#")}
    assert targets <= set(ids)
    assert read.all("html")[0]["lang"] == "en" and len(read.all("title")) == len(read.all("main")) == len(read.all("h1")) == 1
    assert len(read.all("nav")) == len(read.all("header")) == len(read.all("footer")) == 1
    assert len(read.all("caption")) == len(read.all("table")) and all(head.get("scope") for head in read.all("th"))
    assert all(drawing.get("role") == "img" and "aria-label" in drawing for drawing in read.all("svg"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_takes_nothing_from_elsewhere(kind: str) -> None:
    read = Read(text_of(kind))
    assert not {"script", "link", "img", "iframe", "object", "form"} & {name for name, _ in read.tags}
    assert not any(key.startswith("on") or key in ("src", "style") for _, attributes in read.tags for key in attributes)
    policy = next(meta["content"] for meta in read.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert (policy or "").startswith("default-src 'none'") and "url(" not in style() and "@import" not in style()
    known = {address for bug in catalogue().values() for address in bug.links}
    outside = {a["href"] for a in read.all("a") if not (a["href"] or "").startswith("#")}
    assert outside <= known and all((address or "").startswith("https://") for address in outside)


def test_the_largest_page_is_light() -> None:
    assert len(text_of("every").encode()) < HEAVIEST


def test_what_a_port_says_is_text() -> None:
    """Markup, control characters and halves of characters, in text and in attributes."""
    page = text_of("wrong")
    assert "&lt;script&gt;alert(1)" in page and "&lt;img src=https://example.org/x&gt;" in page and "\x1b" not in page
    assert "a &lt;known&gt; one (until 2999-12-31)" in page
    made = html(tag("p", "<b>", tag("i", "&"), "\ud800\x00", title='"><script>'))
    assert made.split("\n", 1)[1].strip() == '<p title="&quot;&gt;<script&gt;">&lt;b&gt;<i>&amp;</i>??</p>'
    assert printable("a\tb\n") == "a\tb\n"


def test_each_failure_is_told_whole() -> None:
    page, document = text_of("wrong"), report("wrong").document
    failed = [row for row in document["results"] if row["verdict"] == "fails"]
    assert len(re.findall(r'<div id="f-\d+">', page)) == len(failed)
    for told in ("done-is-terminated-or-truncated", "the contract: A_t = δ_t + γ λ", "Schulman et al. 2016", "port.gae("):
        assert told in page
    assert document["summary"] in page and all(f"{version}</dd>" in page for version in document["versions"].values())


def test_what_was_not_tried_is_told() -> None:
    assert "1 operator of the contract: <code>soft_backup</code>" in text_of("wrong") and "ties = first" in text_of("wrong")
    assert "the budget of 0.001 s was spent" in text_of("late")


# ------------------------------------------------------------------------------------------------------------ its colours
def luminance(colour: str) -> float:
    """WCAG's relative luminance of #rrggbb."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_read(colours: dict[str, str]) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for ink, grounds in READ_ON.items():
        for ground in grounds:
            assert contrast(colours[ink], colours[ground]) >= CONTRAST, (ink, ground)
    assert contrast(colours["bar"], colours["ground"]) >= 3 and LIGHT.keys() == DARK.keys()


def test_every_colour_of_the_sheet_is_declared() -> None:
    rules = style().partition("*{box-sizing")[2]
    assert set(re.findall(r"var\(--([a-z-]+)\)", rules)) == LIGHT.keys() and not re.search(r"#[0-9a-f]{3,8}\b", rules)


# ------------------------------------------------------------------------------------------------------------ in a browser
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, which keeps a record of what it says and loads."""
    webdriver = pytest.importorskip("selenium.webdriver")
    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    folder = tempfile.mkdtemp(prefix="touchstone-chromium-")
    for flag in (*FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()
    shutil.rmtree(folder, ignore_errors=True)


def show(browser: Any, kind: str, width: int = DESK, *, scheme: str = "light", media: str = "") -> None:
    """Open a report's page as wide as this."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get(report(kind).html.as_uri())


UNFOLD = "document.querySelectorAll('details').forEach(each => { each.open = true })"


@pytest.mark.parametrize("kind", KINDS)
def test_the_browser_has_nothing_to_say_and_loads_nothing(browser: Any, kind: str) -> None:
    browser.get("about:blank")
    browser.get_log("browser"), browser.get_log("performance")
    show(browser, kind)
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert asked == {report(kind).html.as_uri()}
    assert browser.title and browser.execute_script("return document.compatMode") == "CSS1Compat"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unfolded", [False, True], ids=["folded", "unfolded"])
def test_a_phone_scrolls_the_page_in_one_direction(browser: Any, kind: str, unfolded: bool) -> None:
    show(browser, kind, PHONE)
    if unfolded:
        browser.execute_script(UNFOLD)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE
    beyond = """
        return [...document.querySelectorAll('main *')].filter(each => !each.closest('.box') && !each.closest('svg')
            && each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML.slice(0, 120))"""
    assert browser.execute_script(beyond) == []


TOLD = """
    const [width] = arguments, size = each => each.getBoundingClientRect(), all = query => [...document.querySelectorAll(query)];
    const cut = each => size(each).height && !each.closest('.across') && size(each).right > width + 1;
    return {
        hidden: all('details > *:not(summary)').filter(each => !each.closest('.matrix') && !each.checkVisibility())
            .map(each => each.outerHTML.slice(0, 120)),
        cut: [...all('table').filter(cut), ...all('pre').filter(each => each.scrollWidth > each.clientWidth + 1)]
            .map(each => each.outerHTML.slice(0, 160)),
        boxes: all('.box').filter(each => getComputedStyle(each).overflow != 'visible').length,
        addresses: all('a[href^="https:"]').filter(each => getComputedStyle(each, '::before').content != '"https://"'
            || 'https://' + each.textContent != each.getAttribute('href')).length}"""


@pytest.mark.parametrize("kind", KINDS)
def test_paper_shows_everything(browser: Any, kind: str) -> None:
    """Nothing is folded away but claims' sentences in matrices, no table is cut, links show where they lead."""
    show(browser, kind, PAPER, media="print")
    assert browser.execute_script(TOLD, PAPER) == {"hidden": [], "cut": [], "boxes": 0, "addresses": 0}
    show(browser, kind, ACROSS, media="print")
    ends = "return [...document.querySelectorAll('.across table')].map(each => each.getBoundingClientRect().right)"
    assert all(end <= ACROSS + 1 for end in browser.execute_script(ends))


def test_it_prints(browser: Any) -> None:
    show(browser, "wrong")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")


SHADES = """
    const clear = 'rgba(0, 0, 0, 0)', found = {};
    const ground = each => { while (each && getComputedStyle(each).backgroundColor == clear) each = each.parentElement;
        return each ? getComputedStyle(each).backgroundColor : 'rgb(255, 255, 255)' };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const each = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
        if (!text || each.closest('.spoken')) continue;
        const ink = each.closest('svg') ? getComputedStyle(each).fill : getComputedStyle(each).color;
        found[ink + '/' + ground(each)] = text.slice(0, 40) }
    return found"""


@pytest.mark.parametrize("kind", ["wrong", "every"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_on_the_page_can_be_read(browser: Any, kind: str, scheme: str) -> None:
    show(browser, kind, scheme=scheme)
    browser.execute_script(UNFOLD)
    shades = browser.execute_script(SHADES)
    assert len(shades) > 5
    for pair, text in shades.items():
        ink, ground = ("#{:02x}{:02x}{:02x}".format(*map(int, re.findall(r"\d+", shade)[:3])) for shade in pair.split("/"))
        assert contrast(ink, ground) >= CONTRAST, (text, ink, ground)
    dark = luminance("#{:02x}{:02x}{:02x}".format(*map(int, re.findall(r"\d+", browser.execute_script(
        "return getComputedStyle(document.body).backgroundColor")))))  # fmt: skip
    assert (dark < 0.1) == (scheme == "dark")


@pytest.mark.parametrize("kind", ["wrong", "every"])
def test_a_failing_cell_leads_to_its_failure(browser: Any, kind: str) -> None:
    show(browser, kind)
    clicked = """
        const seen = [];
        for (const link of document.querySelectorAll('.matrix td a')) {
            const shown = link.checkVisibility();
            link.click();
            const told = document.querySelector(link.getAttribute('href'));
            seen.push([shown && told.checkVisibility(), told.closest('details').textContent.includes('replay')]) }
        return seen"""
    seen = browser.execute_script(clicked)
    assert seen and all(shown and told for shown, told in seen)
    leads = browser.execute_script(
        "return [...document.querySelectorAll('.matrix td.fails')].every(each => each.querySelector('a'))"
    )
    assert leads is True


def test_the_keyboard_reaches_everything(browser: Any) -> None:
    """From the skip link on, each stop can be seen, and every failure and every table is one."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    show(browser, "wrong")
    where = """
        const each = document.activeElement, told = each.parentElement.querySelector(':scope > div[id]');
        return [each == document.body, each.className, getComputedStyle(each).outlineStyle, each.tagName,
            each.tagName == 'SUMMARY' && told ? told.id : '',
            each.getAttribute('aria-label') || each.textContent.slice(0, 30)]"""
    stops: list[list[Any]] = []
    for _ in range(400):
        ActionChains(browser, duration=0).send_keys(Keys.TAB).perform()
        stop = browser.execute_script(where)
        if stop[0] or (stops and stop == stops[0]):
            break
        stops.append(stop)
    assert stops[0][1] == "skip" and all(stop[2] not in ("none", "") for stop in stops)
    failed = {f"f-{number}" for number, row in enumerate(r for r in report("wrong").document["results"] if r["verdict"] == "fails")}
    assert {stop[4] for stop in stops} >= failed
    assert {"the statistical ledger", "error over bound by operator and type"} <= {stop[5] for stop in stops}


def test_the_skip_link_skips(browser: Any) -> None:
    show(browser, "sound")
    browser.execute_script("document.querySelector('.skip').click()")
    assert browser.execute_script("return document.activeElement.id") == "results"


def test_heads_stay_in_sight(browser: Any) -> None:
    """Of a matrix, while its box scrolls both ways."""
    show(browser, "every", PHONE)
    stays = """
        const matrix = document.querySelector('#m-bellman'), box = matrix.querySelector('.box'); matrix.open = true;
        box.scrollTo(120, 600);
        const edge = box.getBoundingClientRect(), at = each => each.getBoundingClientRect();
        return [box.scrollTop, box.scrollLeft, Math.abs(at(box.querySelector('thead th:last-child')).top - edge.top),
            Math.abs(at(box.querySelector('tbody tr:last-child th')).left - edge.left)]"""
    down, along, top, left = browser.execute_script(stays)
    assert down > 100 and along > 50 and top < 3 and left < 3


def test_reports_are_where_they_were_asked_for() -> None:
    assert all(isinstance(path, Path) and path.stat().st_size > 1000 for kind in KINDS for path in report(kind))
