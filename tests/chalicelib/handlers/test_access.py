"""Roles and teams: the rules alone, and every route held to them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.app import Request
from fakes import token_of
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.handlers.access import (
    OPERATE,
    PREDICT,
    READ,
    REGISTER,
    Principal,
    attempt,
    principal_of,
    require,
    require_team,
)
from chalicelib.lineage.pseudonyms import KeyedPseudonyms
from tiltyard.errors import Forbidden, NotFound, Unauthenticated

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROLES = ("viewer", "caller", "scientist", "engineer", "business", "risk", "privacy", "auditor", "admin")


def request_with(context: Any = None, headers: dict[str, str] | None = None, body: str = "{}") -> Request:
    event = {
        "requestContext": {
            "httpMethod": "POST",
            "resourcePath": "/v1/models/{model}/promote",
            "path": "/api/v1/models/delays/promote",
            "requestId": "request-1",
            "authorizer": context,
        },
        "path": "/v1/models/delays/promote",
        "headers": headers or {},
        "multiValueQueryStringParameters": None,
        "pathParameters": {"model": "delays"},
        "stageVariables": None,
        "body": body,
    }
    return Request(event, SimpleNamespace(aws_request_id="function-1"))


def who(*roles: str, teams: tuple[str, ...] = ("airport",)) -> Principal:
    return Principal("ada", frozenset(roles), frozenset(teams), exp=2_000_000_000)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_its_own_team(role):
    assert require(who(role), "airport", READ) == role


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("roles", [READ, REGISTER, OPERATE, PREDICT])
def test_another_teams_model_is_not_found_except_across_teams(role, roles):
    principal = who(role)

    if role == "admin" or (role == "auditor" and roles == READ):
        assert require(principal, "finance", roles) == role
    elif role == "auditor":
        with pytest.raises(Forbidden):
            require(principal, "finance", roles)
    else:
        with pytest.raises(NotFound, match="no model"):
            require(principal, "finance", roles)


@pytest.mark.parametrize("role", ROLES)
def test_role_must_be_among_those_that_may(role):
    if role in {"engineer", "admin"}:
        assert require(who(role), "airport", OPERATE) == role
    else:
        with pytest.raises(Forbidden, match="admin, engineer"):
            require(who(role), "airport", OPERATE)


def test_role_of_one_team_does_not_reach_across_with_auditor():
    with pytest.raises(Forbidden):
        require(who("auditor", "engineer"), "finance", OPERATE)


def test_unknown_model_and_anothers_sound_alike():
    messages = []
    for team in (None, "finance"):
        with pytest.raises(NotFound) as caught:
            require(who("engineer"), team, OPERATE, what="model 'delays'")
        messages.append(str(caught.value))

    assert messages[0] == messages[1]


def test_no_role_reads_nothing():
    with pytest.raises(Forbidden, match="any role"):
        require(who(), "airport", READ)


def test_specific_role_is_recorded_before_admin():
    assert require(who("admin", "engineer"), "airport", OPERATE) == "engineer"


def test_bringing_something_into_another_team_is_forbidden():
    with pytest.raises(Forbidden, match="not in team 'finance'"):
        require_team(who("scientist", "auditor"), "finance", REGISTER)


@pytest.mark.parametrize(
    "context",
    [
        None,
        "ada",
        {},
        {"sub": "ada"},
        {"sub": "", "exp": "2000000000"},
        {"sub": "ada", "exp": "soon"},
        {"sub": "ada", "exp": "nan"},
        {"sub": "ada", "exp": "1e999"},
        {"sub": "ada", "exp": "99999999999999"},
        {"sub": "ada", "exp": str(int(NOW.timestamp()))},
        {"sub": "ada", "exp": str(int(NOW.timestamp()) - 1)},
    ],
)
def test_no_believable_caller_is_unauthenticated(context):
    with pytest.raises(Unauthenticated):
        principal_of(request_with(context), now=NOW)


def test_context_becomes_a_principal():
    context = {
        "sub": "ada",
        "exp": "2000000000",
        "roles": "engineer viewer",
        "teams": "airport",
        "iss": "https://i",
    }

    principal = principal_of(request_with(context), now=NOW)

    assert principal.roles == {"engineer", "viewer"}
    assert principal.teams == {"airport"}
    assert principal.name == "ada (https://i)"


@given(
    context=st.dictionaries(
        st.sampled_from(["sub", "exp", "roles", "teams", "iss"]),
        st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.text())),
    )
)
def test_any_context_is_a_principal_or_unauthenticated(context):
    try:
        principal = principal_of(request_with(context), now=NOW)
    except Unauthenticated:
        return

    assert principal.exp > NOW.timestamp()
    assert principal.sub
    assert all(" " not in word for word in principal.roles | principal.teams)


def key_of(*, sub: str = "ada", key: str = "k", body: str = "{}") -> Any:
    principal = Principal(sub, frozenset({"engineer"}), frozenset({"airport"}), exp=2_000_000_000)
    made = attempt(
        request_with({}, {"Idempotency-Key": key}, body),
        principal,
        "engineer",
        pseudonyms=KeyedPseudonyms(b"p" * 32),
        now=NOW,
    )
    return made.idempotency


def test_idempotency_key_is_bound_to_the_caller():
    assert key_of() == key_of()
    assert key_of().key != key_of(sub="grace").key
    assert key_of().key != key_of(key="l").key


def test_idempotency_key_remembers_the_body():
    assert key_of().key == key_of(body='{"version": 1}').key
    assert key_of().body != key_of(body='{"version": 1}').body


def test_attempt_names_request_and_pseudonym():
    made = attempt(
        request_with({}), who("engineer"), "engineer", pseudonyms=KeyedPseudonyms(b"p" * 32), now=NOW
    )

    assert made.request_id == "request-1"
    assert made.idempotency is None
    assert made.actor != made.name == "ada"


# Route, body, and the roles that may (beside admin): READ is every role.
MATRIX = [
    ("GET", "/v1/models/delays", None, set(ROLES)),
    ("PATCH", "/v1/models/delays", {"description": "d"}, {"scientist", "engineer"}),
    ("GET", "/v1/models/delays/versions", None, set(ROLES)),
    ("GET", "/v1/models/delays/versions/1", None, set(ROLES)),
    ("POST", "/v1/models/delays/versions", {"manifest": {}}, {"scientist"}),
    ("GET", "/v1/models/delays/aliases", None, set(ROLES)),
    ("GET", "/v1/models/delays/aliases/blue", None, set(ROLES)),
    ("PUT", "/v1/models/delays/aliases/blue", {"version": 1}, {"engineer"}),
    ("DELETE", "/v1/models/delays/aliases/blue", None, {"engineer"}),
    ("POST", "/v1/models/delays/promote", {"version": 2, "reason": "r"}, {"engineer"}),
    ("POST", "/v1/models/delays/rollback", {"reason": "r"}, {"engineer"}),
    ("GET", "/v1/models/delays/champion", None, set(ROLES)),
    ("GET", "/v1/models/delays/timeline", None, set(ROLES)),
    ("POST", "/v1/models/delays/predict", {"rows": [{"a": 1, "b": 2}]}, {"caller", "scientist", "engineer"}),
]


@pytest.fixture
def furnished(stage):
    """A model of team airport with two versions, a champion and an alias."""
    stage.add_model()
    stage.add_version(weight=0.5)
    stage.add_version(weight=0.6)
    stage.promote(1)
    stage.call("PUT", "/v1/models/delays/aliases/blue", {"version": 1}, role="engineer")
    return stage


@pytest.mark.parametrize(("method", "path", "body", "may"), MATRIX)
def test_every_route_keeps_roles_and_teams(furnished, method, path, body, may):
    for role in (r for r in ROLES if r not in may and r != "admin"):
        refused = furnished.call(method, path, body, role=role)
        assert (refused.status, refused.problem) == (403, "forbidden"), role
    for role in (r for r in ROLES if r not in {"admin", "auditor"}):
        hidden = furnished.call(method, path, body, token=token_of(role, teams=("finance",)))
        assert (hidden.status, hidden.problem) == (404, "not-found"), role
    role = sorted(may)[0]
    granted = furnished.call(method, path, body, role=role)
    assert granted.status not in {401, 403, 404}, (role, granted.body)


@pytest.mark.parametrize(("method", "path", "body", "may"), MATRIX)
def test_every_route_needs_a_token(furnished, method, path, body, may):
    nobody = furnished.call(method, path, body)
    stranger = furnished.call(method, path, body, token="x.y.z")

    assert nobody.status == 401
    assert stranger.status == 401


def test_expiry_is_checked_again_behind_the_cache(furnished):
    furnished.at_hand.now = datetime(2099, 1, 1, tzinfo=UTC)

    answer = furnished.call("GET", "/v1/models/delays", role="viewer")

    assert (answer.status, answer.problem) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_lists_show_ones_teams_and_auditors_all(stage):
    stage.add_model("delays", "airport")
    stage.add_model("fares", "finance")

    def names(token: str) -> list[str]:
        return [item["name"] for item in stage.call("GET", "/v1/models", token=token).json["items"]]

    assert names(token_of("viewer", teams=("finance",))) == ["fares"]
    assert names(token_of("viewer", teams=())) == []
    assert names(token_of("auditor", teams=())) == ["delays", "fares"]


def test_me_says_who_one_is(stage):
    answer = stage.call("GET", "/v1/me", token=token_of("engineer", "viewer", teams=("airport",)))

    assert answer.status == 200
    assert answer.json["sub"] == "ada@example.org"
    assert answer.json["roles"] == ["engineer", "viewer"]
    assert answer.json["teams"] == ["airport"]
