"""Reports in a real browser."""

import numpy as np
import pytest
from browsing import Watched, browser

from bothways.data.dataset import Dataset
from bothways.data.sequences import Sequences
from bothways.report import write_comparison, write_report
from bothways.training.run import train

RNG = np.random.default_rng(0)
SETTINGS = {"epochs": 3, "hidden_size": 6, "batch_size": 16, "validation_fraction": 0.2}


def pictures(count=60):
    """Return pictures of horizontal and vertical bars, in [0, 1]."""
    labels = np.arange(count) % 2
    arrays = np.zeros((count, 12, 12), np.float32)
    for array, label in zip(arrays, labels, strict=True):
        place = RNG.integers(2, 9)
        array[(slice(None), place) if label else (place, slice(None))] = 1
    return Sequences.from_padded(arrays, None, labels)


def lines(count=60):
    labels = np.arange(count) % 3
    arrays = [RNG.normal(label, 1.5, (int(RNG.integers(3, 40)), 2)) for label in labels]
    return Sequences.from_arrays(arrays, labels)


def labeled_steps(count=40):
    arrays = [RNG.normal(0, 1, (int(RNG.integers(20, 60)), 2)) for _ in range(count)]
    labels = [(array[:, 0] > 0).astype(int) for array in arrays]
    return Sequences.from_arrays(arrays).with_step_labels(labels)


KINDS = {
    "pictures": (pictures, "final"),
    "lines": (lines, "mean"),
    "steps": (labeled_steps, "step"),
}


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def reports(chromium, tmp_path_factory):
    """Return the addresses of reports by kind."""
    folder = tmp_path_factory.mktemp("reports")
    found, runs = {}, []
    for kind, (make, readout) in KINDS.items():
        classes = ("calm", "rough", "wild & 'free'")[: 3 if kind == "lines" else 2]
        data = Dataset(kind, make(), make(), classes)
        run = train(data, "fast", out=folder / kind, readout=readout, **SETTINGS)
        found[kind] = write_report(run.folder, data=run.data).as_uri()
        runs.append(run.folder)
    comparison = write_comparison([runs[0], runs[1]], folder / "comparison.html")
    return {**found, "comparison": comparison.as_uri()}


@pytest.fixture
def open_report(chromium, reports):
    """Return a function that opens a report; nothing may be requested, and no error logged."""
    opened = []

    def open_one(kind, **options):
        watched = Watched(chromium, **options)
        opened.append(watched)
        watched.page.goto(reports[kind])
        return watched

    yield open_one
    for watched in opened:
        assert watched.errors == []
        assert [url for url in watched.requests if not url.startswith("data:")] == [
            watched.page.url
        ]
        watched.page.close()


@pytest.mark.parametrize("kind", [*KINDS, "comparison"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1000), ("dark", 360)])
def test_reports_are_accessible(open_report, kind, scheme, width):
    watched = open_report(kind, scheme=scheme, width=width)
    assert watched.page.locator("svg.chart").count() >= 1
    for summary in watched.page.locator("summary").all():
        summary.click()
    assert watched.violations() == {}
    assert not watched.has_sideways_scroll()


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_readable_without_javascript(open_report, kind):
    watched = open_report(kind, java_script_enabled=False)
    page = watched.page
    assert page.locator("svg.chart:visible").count() >= 3
    assert page.locator("noscript p:visible").inner_text().startswith("The playback needs")
    assert page.locator("text=Metrics by class").is_visible()


def test_charts_take_the_colors_of_the_page(open_report):
    colors = set()
    for scheme in ("light", "dark"):
        page = open_report("lines", scheme=scheme).page
        script = "getComputedStyle(document.querySelector('svg.chart text')).fill"
        colors.add(page.evaluate(script))
        assert colors >= {page.evaluate("getComputedStyle(document.body).color")}
    assert len(colors) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_playback_is_played(open_report, kind):
    page = open_report(kind).page
    output = page.locator("#playback output")
    whole = output.inner_text()
    page.locator("#playback input").press("Home")
    first = output.inner_text()
    assert first != whole
    assert first.startswith(("1 of ", "step 1 of "))
    page.click("#playback >> text=Play")
    page.wait_for_selector(f"#playback output:has-text('{whole}')")
    page.wait_for_selector("#playback >> text=Play")
    buttons = page.locator(".playback-examples button")
    assert buttons.count() >= 2
    buttons.nth(1).click()
    assert buttons.nth(1).get_attribute("aria-pressed") == "true"
    assert buttons.nth(0).get_attribute("aria-pressed") == "false"


def test_details_open_with_the_keyboard(open_report):
    page = open_report("pictures").page
    page.focus("#playback summary")
    page.keyboard.press("Space")
    assert page.locator("#playback details table").is_visible()


def test_pages_are_printed_on_white(open_report):
    page = open_report("pictures", scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")
    style = "getComputedStyle(document.body)"
    assert page.evaluate(f"{style}.backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(f"{style}.color") == "rgb(27, 31, 36)"
    assert not page.locator(".playback-controls").is_visible()
    assert len(page.pdf()) > 20_000
