"""The documentation as a site: it builds strictly, opens from disk with no network, every page is usable."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Page, chromium

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(p.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for p in (ROOT / "docs").rglob("*.md"))
AUDIT = (ROOT / "tests" / "site_audit.js").read_text(encoding="utf-8")
ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe|source|object)[^>]*(?:src|href|data)=[\"']?(?:https?:)?//[^\s\"'>]+"
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built beside the checkout: Zensical writes only below the folder of its configuration."""
    place = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "mkdocs.yml", place)
    shutil.copytree(ROOT / "docs", place / "docs")
    for package in ("builders", "igmu_data", "igmu_metrics"):
        (place / package).symlink_to(ROOT / package)
    build = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(build, cwd=place, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "dist" / "site"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser that has no network."""
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        found.call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
        )
        yield found


@pytest.fixture
def shown(browser: Page) -> Iterator[Page]:
    """The browser; whatever a page asks of elsewhere or fails at is an error."""
    browser.events.clear()
    browser.view(1300, 900)
    yield browser
    wrong = [
        event
        for event in browser.events
        if event["method"] == "Runtime.exceptionThrown"
        or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in ("warning", "error"))
    ]
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert wrong == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_it_has_every_page_and_asks_nothing_of_elsewhere(site: Path) -> None:
    pages = {p.relative_to(site).as_posix(): p.read_text(encoding="utf-8") for p in site.rglob("*.html")}
    assert set(PAGES) <= set(pages)
    assert {name: found for name, text in pages.items() if (found := ELSEWHERE.findall(text))} == {}
    sheets = {p.name: p.read_text(encoding="utf-8") for p in site.rglob("*.css")}
    assert [n for n, text in sheets.items() if re.search(r"url\([\"']?(?:https?:)?//|@import", text)] == []
    assert ELSEWHERE.findall('<script src="https://unpkg.com/iframe-worker/shim">'), "the check can fail"
    frechet = pages["metrics/frechet.html"]
    assert "Parameters:" in frechet
    assert "&gt;&gt;&gt; " in frechet.replace('<span class="gp">', ""), "examples are code"


def test_search_works_from_disk(site: Path, shown: Page) -> None:
    shown.open(site / "guides" / "run.html")
    shown.click(".md-search__button")
    inside = "[...document.querySelectorAll('*')].map(e => e.shadowRoot).find(r => r?.querySelector('dialog'))"
    shown.wait(f"{inside}?.activeElement?.matches('input')")
    for letter in "bootstrap":
        shown.key(letter)
    shown.wait(f"{inside}.querySelectorAll('[role=option]').length > 3")
    # The list of the first letters is there before that of the whole word.
    shown.wait(f"{inside}.querySelector('[role=option]').innerText.toLowerCase().includes('bootstrap')")
    found = shown.run(f"[...{inside}.querySelectorAll('[role=option]')].map(e => e.href)")
    assert all(link.startswith((site.as_uri(), site.resolve().as_uri())) for link in found)
    shown.run("window.here = true")
    shown.key("Enter")
    shown.wait("!window.here && document.readyState === 'complete'")
    assert "h=bootstrap" in shown.run("location.href")
    assert "bootstrap" in shown.run("document.querySelector('.md-content').innerText").lower()


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_legible_named_and_fits(site: Path, shown: Page, page: str) -> None:
    """Contrast of all text in both schemes, nothing that scrolls sideways, names of what is used, order of headings."""
    shown.open(site / page)
    for width in (1300, 390):
        shown.view(width, 900)
        for scheme in ("default", "slate"):
            found = json.loads(shown.run(f"({AUDIT})({json.dumps(scheme)}).then(JSON.stringify)"))
            assert found["faint"] == {}, f"{page}, {width} px, {scheme}"
            assert found["wide"] == [], f"{page}, {width} px"
            assert found["tabindex"] == [], page
            assert found["skipped"] == [], f"{page}: levels of headings"
    nodes = shown.call("Accessibility.getFullAXTree")["nodes"]
    wanted = {
        "button",
        "link",
        "image",
        "img",
        "textbox",
        "searchbox",
        "checkbox",
        "radio",
        "region",
        "heading",
        "navigation",
    }
    roles = {node.get("role", {}).get("value", "") for node in nodes if not node.get("ignored")}
    nameless = [
        node
        for node in nodes
        if not node.get("ignored")
        and node.get("role", {}).get("value", "") in wanted
        and not node.get("name", {}).get("value", "").strip()
    ]
    assert nameless == []
    assert {"link", "heading", "navigation"} <= roles


def test_the_audit_can_fail(site: Path, shown: Page) -> None:
    shown.open(site / "index.html")
    shown.run(
        "document.querySelector('.md-content article').insertAdjacentHTML('beforeend', '<h5>five</h5>"
        '<p style="color: #999; background: #fff" tabindex=3>faint</p><pre style="width: 5000px">wide</pre>\')'
    )
    found = json.loads(shown.run(f"({AUDIT})('default').then(JSON.stringify)"))
    assert any("faint" in text for text in found["faint"].values())
    assert all(found[kind] for kind in ("wide", "tabindex", "skipped"))


@pytest.mark.parametrize("page", ["index.html", "comparison.html", "metrics/frechet.html"])
def test_the_keyboard_goes_through_a_page_in_its_order(site: Path, shown: Page, page: str) -> None:
    """The first stop skips to the content, each is in sight and marked, and none is before the one it follows."""
    shown.open(site / page)
    shown.run("document.querySelector('.md-header').scrollIntoView()")
    seen = []
    for _ in range(60):
        shown.key("Tab")
        at = shown.run(
            "(() => { const e = document.activeElement; if (e === document.body) return null;"
            " const s = getComputedStyle(e.matches('.md-option') ? e.nextElementSibling : e);"
            " const last = window.last; window.last = e; return {"
            " name: (e.className + ' ' + (e.ariaLabel || e.title || e.textContent)).trim(),"
            " back: Boolean(last && last.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_PRECEDING),"
            " shape: e.checkVisibility() && e.getClientRects().length > 0,"
            " marked: parseFloat(s.outlineWidth) > 0 && s.outlineStyle !== 'none'}; })()"
        )
        if at is None:
            break
        seen.append(at)
    assert len(seen) > 20
    assert "md-skip" in seen[0]["name"]
    assert [at for at in seen if at["back"] or not at["shape"]] == []
    assert [at for at in seen if not at["marked"]] == []


def test_menu_and_search_of_a_phone_open_by_keyboard(site: Path, shown: Page) -> None:
    shown.view(390, 800)
    shown.open(site / "index.html")
    for name, opened in (
        ("__drawer", "document.getElementById('__drawer').checked"),
        ("__search", "[...document.querySelectorAll('*')].some(e => e.shadowRoot?.querySelector('dialog[open]'))"),
    ):
        assert not shown.run(opened)
        shown.run(f"document.querySelector('label.md-header__button[for={name}]').focus()")
        shown.key("Enter")
        shown.wait(opened)
        shown.run("document.getElementById('__drawer').checked = false")
