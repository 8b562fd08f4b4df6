"""A replay on a stack of its own: rows of 2013 are counted, and pass by ticks."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from waiting import waited_for

from tiltyard import Client
from tiltyard.local.stack import Stack

THEN = datetime(2013, 2, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def replaying(package, tmp_path_factory):
    stack = Stack(tmp_path_factory.mktemp("stacks"), "replay")
    try:
        url = stack.up(package, variables={"TILTYARD_CLOCK": "replay"}).url
        roles = ["scientist", "engineer", "caller", "admin"]
        with Client(url, stack.token(subject="t", roles=roles, teams=["demo"], ttl_s=3600)) as client:
            yield client
    finally:
        stack.reset()


def test_a_day_of_long_ago_passes_in_a_moment(replaying):
    client, generator = replaying, np.random.default_rng(3)
    client.tick(THEN)
    rows = pd.DataFrame({"height": generator.normal(size=800), "width": generator.normal(size=800)})
    target = (rows["height"] + rows["width"] > 0).astype(int)
    model = LogisticRegression().fit(rows[:400], target[:400])
    version = client.register("past", model, data=rows[400:], target=target[400:], team="demo", progress=None)
    client.promote("past", version.version, reason="the first one")

    at = [THEN + timedelta(minutes=3 * n) for n in range(400)]
    client.predict("past", rows[400:], at=at)
    end = THEN + timedelta(days=1)
    waited_for(
        lambda: (
            sum(w["rows"] for w in client.quality("past", start=THEN, end=end, step="hour").windows) == 400
        )
    )
    clock = client.tick(end + timedelta(minutes=20))

    assert (clock.is_replay, clock.is_behind, clock.closed_until) == (True, False, end)
    assert client.champion("past").version == version.version
    (reign,) = client.timeline("past")
    assert THEN <= reign.started_at < THEN + timedelta(minutes=10)
    (day,) = [w for w in client.quality("past", start=THEN, end=end).windows if w["rows"]]
    assert day["closed"] == day["hours"] == 20
