"""The pages of the packaged service, under a stage's path, in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from urllib.parse import urlsplit

import pytest


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"


@pytest.fixture
def tried(live, champion, visit):
    """The page after a caller has sent the example row."""
    opened = visit(f"{live.url}/docs#{champion}")
    page = opened.page
    page.get_by_label("Token", exact=True).fill(live.token("caller"))
    page.get_by_role("button", name="Use this token").click()
    page.get_by_role("button", name="Send the row").click()
    page.locator("#answer .value").wait_for()
    return opened


def test_a_person_sends_the_example_row_and_reads_the_answer(tried, live, champion):
    page = tried.page

    shown = page.locator("#answer").inner_text()

    with live.client("caller") as client:
        row = {name: float(page.get_by_label(name).input_value()) for name in ("height", "width")}
        expected = client.predict(champion, [row])[0].body
    assert page.locator("#answer .value strong").inner_text() == expected["value"]
    assert f"{expected['score']:.6g}" in shown
    assert f"{champion}, version 1, as champion" in shown
    tried.check_kept_nothing(origin_of(live.url))


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_line_for_a_shell_gives_the_same_answer(tried, live):
    page = tried.page
    line = page.locator("#curl").text_content()
    token = live.token("caller")

    ran = subprocess.run(
        ["bash", "-c", line],
        env=os.environ | {"TILTYARD_TOKEN": token},
        capture_output=True,
        text=True,
        check=True,
    )

    (prediction,) = json.loads(ran.stdout)["predictions"]
    assert prediction["value"] == page.locator("#answer .value strong").inner_text()
    assert "eyJ" not in line


def test_the_api_can_be_browsed_and_asked(live, visit):
    opened = visit(f"{live.url}/docs/api")
    page = opened.page
    page.locator(".btn.authorize").first.click()
    page.locator(".auth-container input").fill(live.token("viewer", subject="browsing"))
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".btn-done").click()
    me = page.locator("#operations-default-readMe")
    me.locator(".opblock-summary-control").click()
    me.locator(".try-out__btn").click()
    me.locator(".execute").click()

    answer = me.locator(".live-responses-table .response-col_description").last
    answer.wait_for()

    assert f"{live.url}/v1/me" in me.locator(".request-url").inner_text()
    assert '"sub": "browsing"' in answer.inner_text()
    opened.check_kept_nothing(origin_of(live.url))
