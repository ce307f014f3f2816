"""Chromium for tests of pages; the tests are skipped where it or Playwright is not installed."""

import contextlib
import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def browser():
    """Start a headless browser, or skip the test."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield started
        started.close()


class Watched:
    """A page of a browser whose errors and requests are recorded.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
    width : int
    scheme : light or dark
    """

    def __init__(self, browser, *, width=1000, scheme="light", **options):
        options = {"reduced_motion": "reduce", **options}
        size = {"width": width, "height": 900}
        self.page = browser.new_page(viewport=size, color_scheme=scheme, **options)
        self.errors, self.requests = [], []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _on_console(self, message):
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def has_sideways_scroll(self):
        """Return whether the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth > innerWidth")

    def violations(self):
        """Return the violations that axe-core finds, by rule."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright")
        found = axe.Axe().run(self.page).response["violations"]
        return {rule["id"]: [node["html"][:200] for node in rule["nodes"]] for rule in found}
