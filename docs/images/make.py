"""Make the images of the README from a run on MNIST: python docs/images/make.py runs/0001."""

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from browsing import CHROMIUM, OPTIONS  # noqa: E402
from drawing import DIGITS, draw  # noqa: E402


@contextmanager
def served(run: str) -> Iterator[str]:
    """Serve a run on a free port and yield the address."""
    command = [sys.executable, "-m", "bothways", "serve", run, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[1]
        server.terminate()


def save(screenshot: bytes, name: str, width: int) -> None:
    """Save a screenshot as a small PNG file."""
    image = Image.open(io.BytesIO(screenshot)).convert("RGB")
    image = image.resize(
        (width, round(image.height * width / image.width)), Image.Resampling.LANCZOS
    )
    image.quantize(128, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


def report_picture(browser: Any, run: str) -> None:
    """Show the playback of a 3 in a report."""
    page = browser.new_page(viewport={"width": 1000, "height": 1200}, device_scale_factor=2)
    page.goto((Path(run) / "report.html").resolve().as_uri())
    page.locator(".playback-examples button").nth(3).click()
    place = page.locator("section", has=page.locator("#playback-title")).bounding_box()
    clip = {"x": 0, "y": place["y"] - 8, "width": 1000, "height": 680}
    save(page.screenshot(clip=clip), "report.png", 1400)


def page_picture(browser: Any, run: str) -> None:
    """Show the page on a phone, dark, with a drawn 5."""
    size = {"width": 390, "height": 844}
    with served(run) as address:
        page = browser.new_page(
            viewport=size, color_scheme="dark", device_scale_factor=2, reduced_motion="reduce"
        )
        page.goto(address)
        page.wait_for_selector("#pad:visible")
        draw(page, DIGITS["5"])
        page.wait_for_selector("#playback svg")
        clip = {"x": 0, "y": 0, "width": 390, "height": 1720}
        save(page.screenshot(full_page=True, clip=clip), "page.png", 620)


if __name__ == "__main__":
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        report_picture(chromium, sys.argv[1])
        page_picture(chromium, sys.argv[1])
        chromium.close()
