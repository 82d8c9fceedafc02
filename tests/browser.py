"""A real Chromium for the tests of the pages."""

import os
import shutil
from pathlib import Path

import pytest

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
SIZES = {"desktop": (1200, 860), "phone": (390, 844)}
PICTURES = os.environ.get("MNISTGPU_SCREENSHOTS")  # a folder to keep screenshots in


def chromium():
    """The browser's path; without one the test is skipped, and says so."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    path = path or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return path


def launched():
    """A Playwright context manager and the arguments to launch Chromium with."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    return api.sync_playwright(), {"executable_path": chromium(), "args": ARGUMENTS}


class Watched:
    """A page of a size and a colour scheme, and everything its console complained of."""

    def __init__(self, browser, size="desktop", scheme="light", **options):
        width, height = SIZES[size]
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **options
        )
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("console", lambda message: self.hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def hear(self, kind, text):
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def picture(self, name):
        """A screenshot of the whole page; the CI keeps them."""
        content = self.page.screenshot(full_page=True)
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            (Path(PICTURES) / f"{name}.png").write_bytes(content)
        return content

    def fits(self):
        """Whether nothing sticks out of the page's width."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
