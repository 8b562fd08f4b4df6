"""The main path through the packaged service on an embedded AWS, from registration to rollback."""

from __future__ import annotations

import threading
import time

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tiltyard import Client
from tiltyard.errors import (
    Conflict,
    Forbidden,
    Incompatible,
    InvalidRows,
    NotFound,
    Unauthenticated,
)

ATOL = 1e-4
SOON_S = 30.0


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "distance": generator.normal(1000, 300, 1200),
            "gust": np.where(generator.random(1200) < 0.3, np.nan, generator.normal(20, 5, 1200)),
            "carrier": generator.choice(["AA", "B6", "UA"], 1200),
            "weekend": generator.random(1200) < 0.3,
        }
    )
    score = frame["distance"] / 500 + (frame["carrier"] == "UA") + generator.normal(size=1200)
    return frame, (score > score.median()).astype(int)


def gradient_boosting(rows, rounds):
    frame, target = rows
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model = make_pipeline(
        make_column_transformer((encoder, ["carrier"]), remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=rounds, random_state=0),
    )
    return model.fit(frame[:800], target[:800])


@pytest.fixture
def engineer(live):
    with live.client("scientist", "engineer") as client:
        yield client


def register(client, name, model, rows):
    frame, target = rows
    return client.register(name, model, data=frame[800:], target=target[800:], team="demo", progress=None)


def test_a_model_goes_from_registration_to_rollback_without_a_failed_request(live, engineer, rows):
    frame = rows[0][800:840]
    models = {1: gradient_boosting(rows, 20), 2: gradient_boosting(rows, 60)}
    expected = {version: model.predict_proba(frame)[:, 1] for version, model in models.items()}
    for version, model in models.items():
        assert register(engineer, "whole-path", model, rows).version == version
    engineer.promote("whole-path", 1, reason="the first")
    seen, failures, done = [], [], threading.Event()

    def call():
        with live.client("caller") as caller:
            while not done.is_set():
                try:
                    answers = caller.predict("whole-path", frame)
                except Exception as error:
                    failures.append(error)
                    return
                (version,) = answers.versions
                seen.append((version, np.abs(answers.scores - expected[version]).max()))

    def wait_for(version):
        end, start = time.monotonic() + SOON_S, len(seen)
        while time.monotonic() < end and not failures:
            if any(found == version for found, _ in seen[start:]):
                return
            time.sleep(0.05)
        pytest.fail(f"version {version} gave no answer within {SOON_S:g} s")

    callers = [threading.Thread(target=call) for _ in range(2)]
    for thread in callers:
        thread.start()
    try:
        wait_for(1)
        engineer.promote("whole-path", 2, reason="better")
        wait_for(2)
        engineer.rollback("whole-path", reason="worse after all")
        wait_for(1)
    finally:
        done.set()
        for thread in callers:
            thread.join(60)

    assert not failures
    assert max(difference for _, difference in seen) <= ATOL
    assert [reign.version for reign in engineer.timeline("whole-path")] == [1, 2, 1]


def test_the_same_model_twice_is_the_same_version(engineer, rows):
    first = register(engineer, "twice", gradient_boosting(rows, 10), rows)

    again = register(engineer, "twice", gradient_boosting(rows, 10), rows)

    assert again == first


def test_a_large_input_is_answered_in_parts(engineer, rows, champion):
    frame = pd.DataFrame({"height": np.linspace(-3, 3, 6_000), "width": 0.0})

    answers = engineer.predict(champion, frame)

    assert len(answers) == 6_000
    # In the order of the rows, as far as a float32 tells neighbours apart.
    assert (np.diff(answers.scores) > -1e-6).all()


def test_aliases_answer_beside_the_champion(engineer, champion):
    engineer.set_alias(champion, "night", 1)

    answers = engineer.predict(f"{champion}@night", [{"height": 1.0, "width": 1.0}])

    assert answers[0].body["value"] == "1"
    engineer.delete_alias(champion, "night")
    with pytest.raises(NotFound):
        engineer.alias(champion, "night")


def test_a_policy_is_followed_by_champion_alias_and_version(engineer, champion):
    far_out = [{"height": 99.0, "width": 0.0}]
    rule = {"name": "too-far", "when": "out_of_range", "columns": ["height"], "action": "abstain"}
    engineer.set_alias(champion, "dusk", 1)

    put = engineer.put_policy(champion, {"format": 1, "humility": [rule]})
    deadline = time.monotonic() + SOON_S
    while (answer := engineer.predict(champion, far_out)[0].body)["action"] != "abstain":
        assert time.monotonic() < deadline, f"policy {put.number} isn't followed: {answer}"
        time.sleep(0.2)
    by_alias = engineer.predict(f"{champion}@dusk", far_out)[0].body
    directly = engineer.predict(champion, far_out, version=1)[0].body

    for body in (answer, by_alias, directly):
        assert (body["value"], body["rules"]) == (None, ["too-far"])
    engineer.delete_alias(champion, "dusk")
    assert engineer.put_policy(champion, {"format": 1}, after=put.number).number == put.number + 1


def test_a_bad_row_is_refused_with_its_place(engineer, champion):
    with pytest.raises(InvalidRows) as caught:
        engineer.predict(champion, [{"height": 1.0, "width": "wide"}])

    assert [fault.pointer for fault in caught.value.faults] == ["/rows/0/width"]


def test_callers_of_the_champion_are_protected_from_another_contract(engineer, rows, champion):
    frame, target = rows
    other = LogisticRegression().fit(frame.loc[:799, ["distance"]], target[:800])
    version = engineer.register(
        champion, other, data=frame.loc[800:, ["distance"]], target=target[800:], progress=None
    )

    with pytest.raises(Incompatible):
        engineer.promote(champion, version.version, reason="not the same columns")
    assert engineer.champion(champion).version == 1


def test_two_promotions_at_once_have_one_winner_a_generation(live, engineer, rows):
    name = "race"
    first, second, third = (
        register(engineer, name, gradient_boosting(rows, rounds), rows).version for rounds in (5, 6, 7)
    )
    engineer.promote(name, first, reason="the first")
    outcomes = []

    def promote(version):
        with live.client("engineer") as client:
            try:
                outcomes.append(client.promote(name, version, reason="race").generation)
            except Conflict as error:
                outcomes.append(type(error))

    threads = [threading.Thread(target=promote, args=(version,)) for version in (second, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    generations = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert generations
    assert len(set(generations)) == len(generations)
    assert [reign.generation for reign in engineer.timeline(name)] == list(range(1 + len(generations), 0, -1))


def test_roles_teams_and_tokens_are_held(live, champion):
    row = [{"height": 1.0, "width": 1.0}]

    with live.client("viewer") as viewer:
        assert viewer.champion(champion).version == 1
        with pytest.raises(Forbidden):
            viewer.predict(champion, row)
    with live.client("caller") as caller, pytest.raises(Forbidden):
        caller.promote(champion, 1, reason="not mine to do")
    with live.client("scientist", "engineer", teams=("other",)) as stranger, pytest.raises(NotFound):
        stranger.model(champion)
    with Client(live.url, "not.a.token") as nobody, pytest.raises(Unauthenticated):
        nobody.model(champion)


def test_every_answer_names_its_request_and_an_unknown_route_is_a_problem(live):
    alive = httpx.get(f"{live.url}/v1/health/live")
    unknown = httpx.get(f"{live.url}/v1/nothing", headers={"Authorization": f"Bearer {live.token('viewer')}"})

    assert alive.status_code == 200
    assert alive.headers["x-request-id"]
    assert unknown.status_code == 404
    assert unknown.json()["type"] == "/problems/not-found"
