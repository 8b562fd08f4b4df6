"""A real browser: Chromium as the system has it, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from in_process import Service, running_service

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Without these it looks for updates and more at every start.
QUIET = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
)

# What the page may keep, and where a browser keeps it.
STORAGE = "[localStorage.length, sessionStorage.length, document.cookie]"


@dataclass
class Visit:
    """A tab, and what was seen while it was open."""

    page: object
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def hears(self, kind: str, text: str) -> None:
        # That an answer has a status of 4xx is no complaint about the page.
        if kind == "error" and "Failed to load resource" not in text:
            self.complaints.append(text)

    def check_kept_nothing(self, origin: str) -> None:
        """No word of complaint (a breach of the policy is one), nobody else asked, nothing stored."""
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith((origin, "data:"))] == []
        assert self.page.evaluate(STORAGE) == [0, 0, ""]


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api")
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Opens tabs, each in a profile of its own."""
    contexts = []

    def opened(url: str, **options) -> Visit:
        context = browser.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        visit = Visit(context.new_page())
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.on("console", lambda message: visit.hears(message.type, message.text))
        visit.page.on("pageerror", lambda error: visit.hears("error", str(error)))
        visit.page.goto(url)
        return visit

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def service() -> Iterator[Service]:
    """The service in this process, with nothing in it."""
    with running_service() as running:
        yield running
