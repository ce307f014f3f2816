"""The page of a served model in a real browser."""

import numpy as np
import pytest
from browsing import Watched, browser
from drawing import DIGITS, draw
from serving import make_model, running

from bothways.data.dataset import Dataset
from bothways.data.open import open_dataset
from bothways.models.trained import trained_model
from bothways.recipes import load_recipe
from bothways.serve.access import Token
from bothways.training.fit import fit, prepare


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def digits_port(chromium):
    """Serve a network that was trained on a tenth of MNIST."""
    mnist = open_dataset("mnist")
    rows = np.arange(0, 60_000, 10)
    data = Dataset("mnist", mnist.train.subset(rows), None, mnist.classes)
    recipe = load_recipe("fast")
    plan = prepare(data, recipe)
    model = trained_model(fit(plan).classifier, plan.manifest)
    with running(model) as port:
        yield port


@pytest.fixture(scope="module")
def table_port(chromium):
    features = ("speed", "turn", "event")
    vocabularies = {"event": ("start", "stop")}
    with running(make_model(features, vocabularies)) as port:
        yield port


@pytest.fixture(scope="module")
def steps_port(chromium):
    with running(make_model(readout="step")) as port:
        yield port


@pytest.fixture
def open_page(chromium):
    """Return a function that opens a page; at the end, no page may have logged an error."""
    opened = []

    def open_one(port, **options):
        watched = Watched(chromium, **options)
        opened.append((port, watched))
        watched.page.goto(f"http://127.0.0.1:{port}/")
        watched.page.wait_for_selector("#inputs:visible")
        return watched

    yield open_one
    for port, watched in opened:
        assert watched.errors == []
        assert all(url.startswith(f"http://127.0.0.1:{port}/") for url in watched.requests)
        watched.page.close()


def forget_refusals(watched, count):
    """Remove what Chromium itself logs for each response with status 422."""
    assert ["status of 422" in error for error in watched.errors] == [True] * count
    watched.errors.clear()


def answer_of(page):
    page.wait_for_selector("#answer strong")
    return page.locator("#answer strong").inner_text()


def clear(page):
    page.click("#clear")
    page.wait_for_selector("#answer:empty", state="attached")


def test_drawn_digits_are_recognized(digits_port, open_page):
    page = open_page(digits_port).page
    answers = {}
    for digit, strokes in DIGITS.items():
        draw(page, strokes)
        answers[digit] = answer_of(page)
        clear(page)
    assert answers == {digit: digit for digit in DIGITS}


def test_a_digit_is_drawn_with_the_keyboard(digits_port, open_page):
    page = open_page(digits_port, width=360).page
    page.focus("#pad")
    page.keyboard.press("Space")
    for _ in range(20):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert answer_of(page) == "1"
    page.keyboard.press("Escape")
    page.wait_for_selector("#answer:empty", state="attached")


def test_the_playback_follows_the_cursor(digits_port, open_page):
    page = open_page(digits_port).page
    draw(page, DIGITS["7"])
    assert answer_of(page) == "7"
    slider, output = page.locator("#playback input"), page.locator("#playback output")
    assert output.inner_text() == "28 of 28 rows read"
    slider.press("Home")
    assert output.inner_text() == "1 of 28 rows read"
    slider.press("ArrowRight")
    assert output.inner_text() == "2 of 28 rows read"
    assert "2 of 28 rows read; first: " in slider.get_attribute("aria-valuetext")
    page.click("#playback >> text=Play")
    page.wait_for_selector("#playback output:has-text('28 of 28 rows read')")
    assert page.locator("#playback table tr.best, #playback td.best").count() > 0
    page.click("summary")
    assert page.locator("#playback details table tbody tr").count() == 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_the_page_of_digits_is_accessible(digits_port, open_page, scheme, width):
    watched = open_page(digits_port, scheme=scheme, width=width)
    assert watched.violations() == {}
    draw(watched.page, DIGITS["3"])
    answer_of(watched.page)
    watched.page.click("summary")
    assert watched.violations() == {}
    assert not watched.has_sideways_scroll()


def test_a_picture_is_read_from_a_file(digits_port, open_page, tmp_path):
    from PIL import Image, ImageDraw

    watched = open_page(digits_port)
    page = watched.page
    picture = Image.new("L", (200, 300), "white")
    ImageDraw.Draw(picture).line([(100, 40), (100, 250)], fill="black", width=24)
    picture.save(tmp_path / "one.png")
    page.set_input_files("#picture", tmp_path / "one.png")
    assert answer_of(page) == "1"
    (tmp_path / "no.png").write_bytes(b"\x89PNG nothing")
    page.set_input_files("#picture", tmp_path / "no.png")
    page.wait_for_selector("#problem:has-text('cannot be read as an image')")
    forget_refusals(watched, 1)


CSV = "turn,event,speed\n0.5,start,1\n-0.25,stop,2\n0,unknown,3\n"


def test_a_table_is_pasted(table_port, open_page):
    page = open_page(table_port, width=360).page
    page.fill("#csv", CSV)
    page.click("#read")
    pasted = answer_of(page), page.locator("#answer").inner_text()
    assert page.locator("#playback output").inner_text() == "3 of 3 steps read"
    page.fill("#csv", "1,0.5,start\n2,-0.25,stop\n3,0,unknown\n")  # the order of training
    with page.expect_response("**/playback"):
        page.click("#read")
    assert (answer_of(page), page.locator("#answer").inner_text()) == pasted


def test_problems_are_shown(table_port, open_page):
    watched = open_page(table_port)
    page = watched.page
    page.fill("#csv", "speed,turn\n1,2\n")
    page.click("#read")
    page.wait_for_selector("#problem:has-text(\"no column 'event'\")")
    page.fill("#csv", "speed,turn,event\n1,fast,stop\n")
    page.click("#read")
    page.wait_for_selector("#problem:has-text(\"line 2: 'turn' is 'fast'\")")
    forget_refusals(watched, 2)


def test_a_file_is_dropped(table_port, open_page):
    page = open_page(table_port).page
    page.evaluate(
        """(text) => {
            const data = new DataTransfer();
            data.items.add(new File([text], "waves.csv"));
            const options = {dataTransfer: data, bubbles: true, cancelable: true};
            const section = document.getElementById("table-input");
            section.dispatchEvent(new DragEvent("drop", options));
        }""",
        CSV,
    )
    assert answer_of(page) in ("calm", "rough", "wild")


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1000)])
def test_the_page_of_tables_is_accessible(table_port, open_page, scheme, width):
    watched = open_page(table_port, scheme=scheme, width=width)
    watched.page.fill("#csv", CSV)
    watched.page.click("#read")
    answer_of(watched.page)
    assert watched.violations() == {}
    assert not watched.has_sideways_scroll()


@pytest.mark.parametrize(("scheme", "width"), [("dark", 360), ("light", 1000)])
def test_labels_of_steps_are_shown_as_segments(steps_port, open_page, scheme, width):
    watched = open_page(steps_port, scheme=scheme, width=width)
    page = watched.page
    page.fill("#csv", "\n".join(f"{n % 3},{-n},{n / 7}" for n in range(30)))
    page.click("#read")
    page.wait_for_selector("#segments table")
    assert "in 30 time steps" in page.locator("#answer").inner_text()
    assert page.locator("#playback svg").count() == 4  # the sequence, and three maps
    assert watched.violations() == {}
    assert not watched.has_sideways_scroll()


def test_a_token_is_asked_for(chromium):
    with running(make_model(), token=Token(b"secret-secret-1")) as port:
        watched = Watched(chromium)
        page = watched.page
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("#token-form:visible")
        assert watched.violations() == {}
        page.fill("#token", "wrong")
        page.click("#token-form button")
        page.wait_for_selector("#token-problem:has-text('This token is wrong')")
        page.fill("#token", "secret-secret-1")
        page.click("#token-form button")
        page.wait_for_selector("#inputs:visible")
        page.fill("#csv", "1,2,3\n4,5,6\n")
        page.click("#read")
        assert answer_of(page) in ("calm", "rough", "wild")
        assert all("401" in error for error in watched.errors)
