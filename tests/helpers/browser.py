"""A real Chromium for the tests of the pages."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
SIZES = {
    "desktop": (1200, 860),
    "projector": (1920, 1080),
    "phone": (390, 844),
    "small phone": (320, 568),
    "phone on its side": (844, 390),
    "small phone on its side": (667, 375),
}
PICTURES = os.environ.get("MNISTGPU_SCREENSHOTS")  # a folder to keep screenshots in


@contextmanager
def launched():
    """A Chromium of the system, or else Playwright's own, for as long as the `with` lasts."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without("playwright is missing: pip install playwright")
    with sync_playwright() as playwright:
        names = ("chromium", "chromium-browser", "google-chrome")
        path = next(filter(None, map(shutil.which, names)), playwright.chromium.executable_path)
        if not Path(path).exists():
            without("no Chromium here: apt-get install chromium, or playwright install chromium")
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


def without(reason):
    """Skip the test with a reason; fail it if a browser is required, as in CI."""
    if os.environ.get("MNISTGPU_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{reason} (MNISTGPU_REQUIRE_BROWSER=1)")
    pytest.skip(reason)


class Watched:
    """A page of a size and a colour scheme, and all errors and warnings of its console."""

    def __init__(self, browser, size="desktop", scheme="light", **options):
        width, height = SIZES[size]
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **options
        )
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("console", lambda message: self.record(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def record(self, kind, text):
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def picture(self, name):
        """A screenshot of the whole page, kept if MNISTGPU_SCREENSHOTS names a folder."""
        content = self.page.screenshot(full_page=True)
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            (Path(PICTURES) / f"{name}.png").write_bytes(content)
        return content

    def fits(self):
        """Whether the page is no wider than its window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
