"""Who is calling and what they may do (DESIGN section 5).

The authorizer's policy lets every route through and may be cached, so the
handler decides: it checks the expiry again, then the team, then the role.

- No token, or one that has expired: `Unauthenticated`.
- A model that isn't there, or is another team's: `NotFound`, with the same words.
- The role is missing in one's own team: `Forbidden`.

Roles don't include one another, except that every role reads as ``viewer`` and
``admin`` does everything. ``auditor`` and ``admin`` act across teams.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chalice.app import Request

from chalicelib.handlers.problems import path_of, request_id
from chalicelib.lineage.records import Attempt, IdempotencyKey
from chalicelib.ports import Pseudonyms
from tiltyard.errors import Forbidden, MalformedRequest, NotFound, Unauthenticated

VIEWER = "viewer"
CALLER = "caller"
SCIENTIST = "scientist"
ENGINEER = "engineer"
RISK = "risk"
AUDITOR = "auditor"
ADMIN = "admin"

READ = frozenset({VIEWER})
PREDICT = frozenset({CALLER, SCIENTIST, ENGINEER})
PREDICT_VERSION = frozenset({SCIENTIST, ENGINEER})
REGISTER = frozenset({SCIENTIST})
DESCRIBE = frozenset({SCIENTIST, ENGINEER})
OPERATE = frozenset({ENGINEER})

_ACROSS_TEAMS = frozenset({AUDITOR, ADMIN})

MAX_KEY_LENGTH = 255

# The end of the year 9999: no time that can be written lies beyond it.
_LAST_SECOND = 253_402_300_799


@dataclass(frozen=True, slots=True)
class Principal:
    """The verified caller. `exp` is the token's expiry in seconds since the epoch.

    A subject is unique only within its issuer (OpenID Connect Core section 2),
    so `name`, which pseudonyms are made of, holds both.
    """

    sub: str
    roles: frozenset[str]
    teams: frozenset[str]
    exp: int
    issuer: str = ""

    @property
    def name(self) -> str:
        return f"{self.sub} ({self.issuer})" if self.issuer else self.sub

    @property
    def visible_teams(self) -> frozenset[str] | None:
        """The teams whose models may be listed; None: every team's."""
        return None if self.roles & _ACROSS_TEAMS else self.teams


def principal_of(request: Request, *, now: datetime) -> Principal:
    """The caller, from the authorizer's context.

    Raises
    ------
    Unauthenticated
        Without a context (the route has no authorizer before it), or when the
        token has expired since the authorizer's answer was cached.
    """
    context = request.context.get("authorizer")
    if not isinstance(context, Mapping):
        raise Unauthenticated("Send a bearer token of a configured issuer in the Authorization header.")
    sub, exp = context.get("sub"), _seconds(context.get("exp"))
    if not isinstance(sub, str) or not sub or exp is None:
        raise Unauthenticated("The token names no subject, or no expiry that could be.")
    if now.timestamp() >= exp:
        raise Unauthenticated(
            f"The token expired at {datetime.fromtimestamp(exp, UTC).isoformat()}; get a new one."
        )
    return _principal(sub, exp, *[str(context.get(name) or "") for name in ("roles", "teams", "iss")])


@functools.lru_cache(maxsize=256)
def _principal(sub: str, exp: int, roles: str, teams: str, issuer: str) -> Principal:
    """Kept, for the same token comes with many requests."""
    return Principal(sub, frozenset(roles.split()), frozenset(teams.split()), exp, issuer)


def require(principal: Principal, team: str | None, roles: Collection[str], *, what: str = "model") -> str:
    """The role by which `principal` may act on something of `team`.

    Parameters
    ----------
    team
        The owning team, or None when there is no such thing.
    roles
        The roles that may; ``viewer`` among them means every role may.
    what
        Names the thing in the message of `NotFound`: ``model 'fraud'``.

    Raises
    ------
    NotFound
        When there is no such thing or it is another team's.
    Forbidden
        When it is one's own team's, and none of one's roles may.
    """
    is_own = team is not None and team in principal.teams
    across = principal.roles & _ACROSS_TEAMS
    if team is None or not (is_own or across):
        raise NotFound(f"There is no {what}, or it is not your team's.")
    return _granted(principal.roles if is_own else across, roles)


def require_anywhere(principal: Principal, roles: Collection[str]) -> str:
    """The role by which `principal` may do what belongs to no team (uploading a file by its digest)."""
    return _granted(principal.roles, roles)


def require_team(principal: Principal, team: str, roles: Collection[str]) -> str:
    """The role by which `principal` may bring something into `team`.

    Raises `Forbidden` for a team that isn't one's own: a team's name is no secret.
    """
    if team not in principal.teams and ADMIN not in principal.roles:
        own = ", ".join(sorted(principal.teams)) or "none"
        raise Forbidden(f"You are not in team {team!r}; your teams: {own}.")
    return _granted(principal.roles, roles)


def attempt(
    request: Request, principal: Principal, role: str, *, pseudonyms: Pseudonyms, now: datetime
) -> Attempt:
    """Who tries what and when, with the ``Idempotency-Key`` bound to caller, method and path."""
    actor = pseudonyms.actor(principal.name)
    return Attempt(
        actor=actor,
        name=principal.name,
        role=role,
        at=now,
        request_id=request_id(request),
        idempotency=_idempotency(request, actor),
    )


def _idempotency(request: Request, actor: str) -> IdempotencyKey | None:
    header = request.headers.get("idempotency-key")
    if header is None:
        return None
    if not 1 <= len(header) <= MAX_KEY_LENGTH or not all(" " <= c <= "~" for c in header):
        raise MalformedRequest(f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable ASCII characters.")
    # Line feeds can't be in any of the parts, so no two calls share a text.
    bound = "\n".join((actor, request.method, path_of(request), header))
    raw = request.raw_body
    body = raw.encode() if isinstance(raw, str) else raw
    return IdempotencyKey(
        key=hashlib.sha256(bound.encode()).hexdigest(), body=hashlib.sha256(body).hexdigest()
    )


def _granted(held: frozenset[str], roles: Collection[str]) -> str:
    may = held if VIEWER in roles else held & frozenset(roles)
    # The specific role is what the record names; admin only when nothing else grants it.
    for role in sorted(may - {ADMIN}):
        return role
    if ADMIN in held:
        return ADMIN
    needed = "any role" if VIEWER in roles else "one of " + ", ".join(sorted({*roles, ADMIN}))
    raise Forbidden(f"This needs {needed}; your token grants {', '.join(sorted(held)) or 'none'}.")


def _seconds(value: object) -> int | None:
    try:
        seconds = int(float(value)) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and 0 <= seconds <= _LAST_SECOND else None
