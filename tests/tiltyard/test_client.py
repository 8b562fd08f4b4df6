"""The client against the service's own routes, over HTTP."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import bundles
import pytest
from in_process import running_service

from tiltyard import Client
from tiltyard.client import registration
from tiltyard.client.registration import Registration, silent
from tiltyard.client.transport import Transport
from tiltyard.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    InvalidRows,
    NotFound,
    NotReady,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)

ROW = {"a": 1.0, "b": 2.0}


@pytest.fixture
def service():
    with running_service() as service:
        yield service


@pytest.fixture
def client(service):
    with Client(service.url, service.token()) as client:
        yield client


@pytest.fixture
def hand_in(service):
    """Register a bundle that was built by hand, as `Client.register` does once it has one."""

    def hand_in(bundle=None, *, name="delays", wait=True):
        with Client(service.url, service.token()) as client:
            if not any(model.name == name for model in client.models()):
                client.create_model(name, team="demo", task="binary")
        http = Transport(service.url, service.token(), sleep=lambda _: None)
        handed = Registration(http, name, bundle or bundles.logistic_bundle(), silent, sleep=lambda _: None)
        handed.upload()
        version = handed.register(description="by hand")
        return handed.wait(version.version) if wait else version

    return hand_in


def test_a_model_is_created_read_and_listed(client):
    made = client.create_model("delays", team="demo", task="binary", description="late or not")

    assert client.model("delays") == made
    assert list(client.models()) == [made]
    assert (made.team, made.task, made.owner) == ("demo", "binary", "ada@example.org")


def test_lists_are_read_page_by_page(client, monkeypatch):
    monkeypatch.setattr("tiltyard.client.client.PAGE", 2)
    for number in range(5):
        client.create_model(f"model-{number}", team="demo", task="regression")

    assert [model.name for model in client.models()] == [f"model-{number}" for number in range(5)]


def test_a_bundle_goes_from_upload_to_candidate(service, client, hand_in):
    service.examination = "real"

    version = hand_in()

    assert (version.version, version.stage, version.description) == (1, "candidate", "by hand")
    assert version.digest == bundles.logistic_bundle().digest
    assert client.version("delays", 1) == version
    assert service.artifacts.uploads == 5


def test_the_same_bundle_again_uploads_nothing_and_is_the_same_version(service, client, hand_in):
    first = hand_in()

    again = hand_in()

    assert again == first
    assert service.artifacts.uploads == 5
    assert [version.version for version in client.versions("delays")] == [1]


def test_an_upload_that_fails_is_begun_again(service, hand_in):
    service.artifacts.failures = [500, 403]

    assert hand_in().stage == "candidate"
    assert service.artifacts.uploads == 7


def test_an_upload_that_keeps_failing_says_which_file_and_why(service, hand_in):
    service.artifacts.failures = [500] * 99

    with pytest.raises(Unavailable, match=r"model.onnx could not be uploaded: the storage answered 500"):
        hand_in()


def test_a_rejected_version_is_raised_with_its_reasons(service, hand_in):
    service.examination = "real"
    honest = bundles.logistic_bundle()
    lying = bundles.bundle_of(
        honest.files["model.onnx"], honest.signature, rows=[ROW] * 50, expected=[[0.9, 0.1]] * 50
    )

    with pytest.raises(NotReady, match="Version 1 of 'delays' was rejected") as caught:
        hand_in(lying)
    assert caught.value.faults


def test_a_version_that_is_not_examined_in_time_is_not_ready(service, client, hand_in):
    service.examination = "none"
    version = hand_in(wait=False)

    with pytest.raises(NotReady, match="is still being examined after 0"):
        client.wait("delays", version.version, timeout_s=0)


def test_predictions_come_in_the_order_of_the_rows(client, hand_in):
    client.promote("delays", hand_in().version, reason="the first")
    rows = [{"a": float(i), "b": 0.0} for i in range(10)]

    answers = client.predict("delays", rows, ids=[f"row-{i}" for i in range(10)])

    assert [answer.id for answer in answers] == [f"row-{i}" for i in range(10)]
    assert answers.scores.tolist() == sorted(answers.scores.tolist())
    assert answers.versions == (1,)
    assert set(answers.values) <= {"no", "yes"}
    assert answers[0].warnings == ()


def test_large_inputs_are_answered_in_parts(service, client, hand_in, monkeypatch):
    client.promote("delays", hand_in().version, reason="the first")
    before = len(service.at_hand.telemetry_queue.sent)
    rows = [{"a": i % 10, "b": i / 1000} for i in range(12_000)]

    answers = client.predict("delays", rows)

    assert len(answers) == 12_000
    assert len({answer.id for answer in answers}) == 12_000
    sent = len(service.at_hand.telemetry_queue.sent) + len(service.at_hand.spool.stored)
    assert sent - before == 3


def test_an_odd_value_is_a_warning_on_its_row(client, hand_in):
    client.promote("delays", hand_in().version, reason="the first")

    answers = client.predict("delays", [ROW, {"a": 99.0, "b": 0.0}])

    assert [answer.warnings for answer in answers] == [(), ({"column": "a", "kind": "out_of_range"},)]


def test_a_bad_row_is_refused_with_its_place(client, hand_in):
    client.promote("delays", hand_in().version, reason="the first")

    with pytest.raises(InvalidRows) as caught:
        client.predict("delays", [ROW, {"a": 1.0, "b": "two"}])
    assert [fault.pointer for fault in caught.value.faults] == ["/rows/1/b"]


def test_no_rows_are_refused_by_the_service(client, hand_in):
    client.promote("delays", hand_in().version, reason="the first")

    with pytest.raises(InvalidRows, match="/rows"):
        client.predict("delays", [])


def test_policies_are_put_and_read(client):
    client.create_model("delays", team="demo", task="binary")
    default = client.policy("delays")

    first = client.put_policy("delays", {"format": 1, "humility": []}, after=0)
    with pytest.raises(PreconditionFailed):
        client.put_policy("delays", {"format": 1}, after=0)
    second = client.put_policy("delays", default.document)

    assert (default.number, default.put_at, first.number, second.number) == (0, None, 1, 2)
    assert second.digest == default.digest
    assert first.document == {**default.document, "humility": []}
    assert client.policy("delays", 1) == first
    assert client.policy("delays") == second
    with pytest.raises(InvalidInput) as refused:
        client.put_policy("delays", {"format": 1, "humilty": []})
    assert [fault.pointer for fault in refused.value.faults] == ["/humilty"]


def test_aliases_and_versions_can_be_asked(client, hand_in):
    client.promote("delays", hand_in().version, reason="the first")
    second = hand_in(bundles.logistic_bundle((0.1, 0.2)))

    alias = client.set_alias("delays", "night", second.version)

    assert client.alias("delays", "night") == alias
    assert [a.alias for a in client.aliases("delays")] == ["night"]
    assert client.predict("delays@night", [ROW]).versions == (2,)
    assert client.predict("delays", [ROW], version=2).versions == (2,)
    client.delete_alias("delays", "night")
    with pytest.raises(NotFound):
        client.alias("delays", "night")


def test_swaps_are_told_by_champion_and_timeline(client, hand_in):
    first = client.promote("delays", hand_in().version, reason="the first")
    between = datetime.now(UTC)
    time.sleep(0.01)
    second = client.promote("delays", hand_in(bundles.logistic_bundle((1, 1))).version, reason="better")

    back = client.rollback("delays", reason="worse after all")

    assert (first.previous, second.previous, back.version, back.previous) == (None, 1, 1, 2)
    assert client.champion("delays").version == 1
    assert client.champion("delays", as_of=between).generation == first.generation
    assert client.champion("delays", as_of=between - timedelta(days=1)) is None
    reigns = list(client.timeline("delays"))
    assert [(reign.version, reign.action, reign.reason) for reign in reigns] == [
        (1, "rollback", "worse after all"),
        (2, "promote", "better"),
        (1, "promote", "the first"),
    ]
    assert [reign.ended_at for reign in reigns] == [None, back.started_at, second.started_at]


def test_promoting_the_champion_is_a_conflict(client, hand_in):
    version = hand_in()
    client.promote("delays", version.version, reason="the first")

    with pytest.raises(Conflict, match="is the champion already"):
        client.promote("delays", version.version, reason="again")


def test_roles_and_teams_come_back_as_errors(service, client, hand_in):
    version = hand_in()

    with Client(service.url, service.token("viewer")) as viewer, pytest.raises(Forbidden, match="engineer"):
        viewer.promote("delays", version.version, reason="r")
    with Client(service.url, service.token(teams=("other",))) as other, pytest.raises(NotFound):
        other.model("delays")
    with Client(service.url, "not.a.token") as nobody, pytest.raises(Unauthenticated):
        nobody.model("delays")


def test_me_is_who_the_token_says(client):
    me = client.me()

    assert (me.sub, me.roles, me.teams) == ("ada@example.org", ("engineer", "scientist"), ("demo",))


def test_registering_a_new_model_from_two_teams_asks_which(service):
    with (
        Client(service.url, service.token(teams=("a", "b"))) as client,
        pytest.raises(InvalidInput, match="say team=") as caught,
    ):
        client.register("delays", object(), data=[], target=[])
    assert caught.value.faults[0].detail == "your teams: a, b"


def test_registering_without_the_training_extra_says_what_to_install(client, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tiltyard.training.bundle", None)

    with pytest.raises(InvalidInput, match=r"pip install 'tiltyard\[training\]'"):
        client.register("delays", object(), data=[], target=[])


def test_the_environment_names_the_service(service, monkeypatch):
    monkeypatch.setenv("TILTYARD_URL", service.url + "/")
    monkeypatch.setenv("TILTYARD_TOKEN", service.token())

    with Client.from_env() as client:
        assert client.url == service.url
        assert client.me().teams == ("demo",)


def test_an_environment_without_url_says_what_to_do(monkeypatch):
    monkeypatch.delenv("TILTYARD_URL", raising=False)

    with pytest.raises(InvalidInput, match="TILTYARD_URL is not set"):
        Client.from_env()


def test_progress_goes_to_stderr_by_default(capsys):
    registration.to_stderr("converting")

    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "converting\n")
