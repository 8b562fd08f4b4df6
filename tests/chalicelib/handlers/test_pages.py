"""The pages and their files, as they are answered; a browser tries them in tests/e2e."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chalicelib.handlers import assets
from tiltyard.errors import IntegrityError, NotFound

PAGES = {"/docs": "docs/assets/", "/docs/api": "assets/"}
SCRIPTS = [name for name in assets.OWN if name.endswith(".js")]

# Lambda answers at most 6 MB (6,291,556 bytes); the rest of the envelope is small.
LAMBDA_LIMIT_BYTES = 6_291_556 - 65_536


class Links(HTMLParser):
    """Every address and every tag of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.addresses += [value for name, value in attrs if name in {"src", "href", "action"}]


@pytest.fixture(params=PAGES)
def page(request, stage):
    return request.param, stage.call("GET", request.param)


def policy_of(answer) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: sources for name, _, sources in parts}


def test_page_is_html_without_a_token(page):
    _, answer = page

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.body.startswith(b"<!doctype html>")


def test_policy_lets_nothing_in_but_our_own(page):
    _, answer = page

    policy = policy_of(answer)

    assert {name: sources for name, sources in policy.items() if sources == "'none'"}.keys() >= {
        "default-src",
        "base-uri",
        "form-action",
        "frame-ancestors",
    }
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_page_that_takes_the_token_parses_no_markup(stage):
    policy = policy_of(stage.call("GET", "/docs"))

    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["trusted-types"] == "'none'"
    assert policy["img-src"] == "'self'"


def test_every_link_is_relative_and_every_file_is_there(page, stage):
    path, answer = page
    links = Links(answer.body.decode())

    files = [address for address in links.addresses if "assets/" in address]

    assert files
    assert all(not re.match(r"[a-z]+:|/", address) for address in links.addresses)
    for address in files:
        assert address.startswith(f"{PAGES[path]}{assets.release()}/")
        found = stage.call("GET", f"/docs/assets/{address.removeprefix(PAGES[path])}")
        assert found.status == 200, address


def test_page_has_no_inline_script_or_style(page):
    _, answer = page
    links = Links(answer.body.decode())

    assert all(attributes.get("src") for tag, attributes in links.tags if tag == "script")
    assert "style" not in {tag for tag, _ in links.tags}
    assert not any(name == "style" or name.startswith("on") for _, found in links.tags for name in found)


def test_every_control_has_its_label():
    tags = Links(assets.html("docs.html")).tags

    labelled = {attributes.get("for") for tag, attributes in tags if tag == "label"}
    controls = {attributes.get("id") for tag, attributes in tags if tag in {"input", "select", "textarea"}}
    assert controls
    assert controls <= labelled


def test_no_browser_is_asked_to_keep_the_token():
    tags = Links(assets.html("docs.html")).tags

    (token,) = (attributes for tag, attributes in tags if tag == "input")
    assert (token["type"], token["autocomplete"]) == ("text", "off")
    assert ".secret { -webkit-text-security: disc; }" in assets.asset("docs.css")


@pytest.mark.parametrize("name", [*assets.OWN, *assets.VENDORED])
def test_files_are_served_as_text_to_be_kept_for_good(stage, name):
    answer = stage.call("GET", f"/docs/assets/{assets.release()}/{name}")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == assets.media_type(name)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert policy_of(answer)["default-src"] == "'none'"
    # As Lambda writes it: JSON, what isn't ASCII escaped.
    assert len(json.dumps(answer.body.decode())) < LAMBDA_LIMIT_BYTES


@pytest.mark.parametrize("name", assets.VENDORED)
def test_swagger_ui_is_served_byte_for_byte_as_pinned(stage, name):
    answer = stage.call("GET", f"/docs/assets/{assets.release()}/{name}")

    assert hashlib.sha256(answer.body).hexdigest() == assets.VENDORED[name]


def test_swagger_ui_says_its_version():
    script = assets.asset("swagger-ui-bundle.js")

    assert 'PACKAGE_VERSION:"5.34.0"' in script


@pytest.mark.parametrize(
    "path", ["0123456789abcdef/docs.js", "{release}/docs.html", "{release}/..%2fdocs.py", "{release}/x.js"]
)
def test_other_files_and_other_releases_are_not_there(stage, path):
    answer = stage.call("GET", f"/docs/assets/{path.format(release=assets.release())}")

    assert (answer.status, answer.problem) == (404, "not-found")


def test_release_follows_every_files_content(monkeypatch):
    before = assets.release()

    for name in assets.OWN:
        content = assets.asset(name)
        monkeypatch.setattr(
            assets,
            "_own",
            lambda asked, name=name, own=assets._own: own(asked) + (" " if asked == name else ""),
        )
        assert assets.release.__wrapped__() != before, content[:20]
        monkeypatch.undo()
    monkeypatch.setattr(assets, "VENDORED", {**assets.VENDORED, "swagger-ui.css": "0" * 64})
    assert assets.release.__wrapped__() != before


def test_every_file_of_the_folder_is_known():
    found = {path.name for path in assets.PAGES.iterdir()}

    assert found == {*assets.OWN, "docs.html", "browse.html"}


def test_vendored_files_with_other_bytes_are_not_served(monkeypatch, tmp_path):
    (tmp_path / "swagger-ui.css").write_text("body { display: none }")
    monkeypatch.setattr(assets, "vendor_folder", lambda: tmp_path)

    with pytest.raises(IntegrityError, match="other bytes"):
        assets._vendored.__wrapped__("swagger-ui.css")


def test_vendored_files_that_are_missing_say_how_to_get_them(monkeypatch):
    monkeypatch.setattr(assets, "VENDOR_PACKAGE", "no_such_package")

    with pytest.raises(IntegrityError, match="make setup"):
        assets.vendor_folder()


@pytest.mark.parametrize("name", ["", ".", "..", "../docs.html", "assets.py", "RELEASE"])
def test_names_of_no_file_are_not_found(name):
    with pytest.raises(NotFound):
        assets.asset(name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_ask_nobody_else_and_keep_nothing(name):
    script = assets.asset(name)

    assert not re.search(r"https?://|//[a-z0-9.-]+\.[a-z]{2,}/", script)
    assert not re.search(
        r"localStorage|sessionStorage|indexedDB|document\.cookie|caches\.|BroadcastChannel", script
    )
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script
    )


def test_importing_the_app_reads_no_page():
    program = (
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda name, args: opened.append(str(args[0])) if name == 'open' else None)\n"
        "import app\n"
        "print(*[path for path in opened if 'pages' in path or 'fastapi_swagger' in path], sep='\\n')\n"
        "print('fastapi_swagger' in sys.modules)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )

    assert [line for line in ran.stdout.splitlines() if line] == ["False"]


@pytest.mark.parametrize(("path", "there"), [("/docs/", "../docs"), ("/docs/api/", "../api")])
def test_a_slash_too_many_leads_back(stage, path, there):
    answer = stage.call("GET", path)

    assert answer.status == 308
    assert answer.headers["Location"] == there
