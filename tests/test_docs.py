"""Routes, settings and problem types have their documents, and the README's example is the one that runs."""

from __future__ import annotations

import base64
import dataclasses
import importlib
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from chalicelib.handlers import problems
from chalicelib.settings import Settings
from tiltyard.errors import every_error
from tiltyard.events.signature import headers

ROOT = Path(__file__).parents[1]


def document(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def first_cells(path: str) -> list[str]:
    """The code in the first cell of every table row."""
    return re.findall(r"^\| `([^`]+)` \|", document(path), flags=re.MULTILINE)


def test_every_route_has_its_document_and_no_other_is_documented():
    app = importlib.import_module("app").app
    routes = {
        f"{method} {path}"
        for path, by_method in app.routes.items()
        for method in by_method
        if method != "HEAD"
    }

    assert set(first_cells("docs/api.md")) == routes


def test_every_problem_type_has_its_document_with_class_and_status():
    rows = re.findall(r"^\| `([a-z-]+)` \| `(\w+)` \| (\d+) \|", document("docs/problems.md"), re.MULTILINE)
    documented = {slug: (name, int(status)) for slug, name, status in rows}

    for error in every_error():
        assert documented[error.problem] == (error.__name__, problems.status_of(error))


def test_problems_of_the_gateway_have_their_document():
    gateway = importlib.import_module("infra.gateway")
    answered = {answer.problem for answer in gateway.ANSWERS.values()}

    assert answered <= set(first_cells("docs/problems.md"))


def test_no_problem_type_is_documented_that_nothing_gives():
    gateway = importlib.import_module("infra.gateway")
    given = {error.problem for error in every_error()}
    given |= {answer.problem for answer in gateway.ANSWERS.values()}

    assert set(first_cells("docs/problems.md")) == given


def test_every_setting_has_its_document():
    fields = {f"TILTYARD_{field.name.upper()}" for field in dataclasses.fields(Settings)}
    documented = {cell for cell in first_cells("docs/settings.md") if cell.startswith("TILTYARD_")}

    assert documented - {"TILTYARD_URL", "TILTYARD_TOKEN"} == fields


def test_every_parameter_of_the_template_has_its_document_and_default():
    template = document("infra/template.yaml")
    block = template[template.index("\nParameters:") : template.index("\nConditions:")]
    parameters = dict(re.findall(r"^  (\w+):\n(?:    .*\n)*?    Default: (.+)$", block, flags=re.MULTILINE))
    rows = re.findall(
        r"^\| `([A-Z][a-z]\w+)` \| `(.*?)` \|", document("docs/settings.md"), flags=re.MULTILINE
    )

    assert dict(rows) == {name: default.strip('"') for name, default in parameters.items()}
    assert set(parameters) == set(re.findall(r"^  (\w+):$", block, flags=re.MULTILINE))


@pytest.mark.parametrize(
    "path", ["README.md", *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]
)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#:]+)\)", document(path))

    for link in links:
        assert ((ROOT / path).parent / link).exists(), f"{path} links to {link}"


def test_the_readmes_example_is_the_one_that_is_run():
    (block,) = re.findall(r"```python\n(.*?)```", document("README.md"), flags=re.DOTALL)

    assert block == document("examples/quickstart.py")
    assert len(block.splitlines()) <= 20


def test_the_readme_gets_to_its_commands_within_a_screen():
    lines = document("README.md").splitlines()

    assert next(i for i, line in enumerate(lines) if line.startswith("make demo")) < 15


def test_every_event_has_its_document():
    from chalicelib.outbox.events import ACTIONS

    assert tuple(first_cells("docs/events.md")) == ACTIONS


def test_the_receiver_of_the_document_takes_each_genuine_event_once():
    (block,) = re.findall(r"```python\n(.*?)```", document("docs/webhooks.md"), flags=re.DOTALL)
    written: dict[str, Any] = {}
    exec(block, written)
    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()
    body, handled = b'{"id": "event-1"}', []
    genuine = headers((secret,), delivery_id="event-1.hook", at=datetime.now(UTC), body=body)
    replayed = headers((secret,), delivery_id="event-0.hook", at=datetime(2026, 1, 1, tzinfo=UTC), body=body)
    server = written["receiver"](secret, handled.append, port=0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        sent = [(genuine, body), (genuine, body), (genuine, body + b" "), (replayed, body)]
        statuses = [httpx.post(url, content=content, headers=signed).status_code for signed, content in sent]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    assert statuses == [200, 200, 401, 401]
    assert handled == [{"id": "event-1"}]


def test_decisions_are_numbered_without_gaps_and_have_their_parts():
    paths = sorted((ROOT / "docs/decisions").glob("*.md"))

    assert [int(path.name[:4]) for path in paths] == list(range(1, len(paths) + 1))
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert "Status: " in text
        assert all(f"## {part}" in text for part in ("Context", "Outcome", "Consequences"))
