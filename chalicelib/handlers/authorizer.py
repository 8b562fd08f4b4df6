"""The authorizer: believes a token and lets every route through; the handlers decide (see `access`).

API Gateway caches its answer for 60 s and answers 401 itself when it fails with
the word ``Unauthorized``; any other failure is a 500.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

from chalice.app import AuthRequest, AuthResponse, Blueprint

from chalicelib.bootstrap import container
from tiltyard.errors import Unauthenticated

if TYPE_CHECKING:
    from chalicelib.handlers.tokens import Verifier
    from chalicelib.settings import Issuer

CACHED_S = 60

bp = Blueprint(__name__)
log = logging.getLogger("tiltyard.authorizer")


class Unauthorized(Exception):
    """What API Gateway wants to hear for a 401, and nothing more."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


@bp.authorizer(ttl_seconds=CACHED_S, name="authorizer")
def bearer(request: AuthRequest) -> AuthResponse:
    """Verify the bearer token and pass on who it speaks for."""
    try:
        claims = _verifier(container().settings.issuers).verify(request.token)
    except Unauthenticated as exc:
        # The caller hears no reason; whoever runs the stage finds it here. No part of the token is in it.
        log.warning("refused a token: %s", exc)
        raise Unauthorized from None
    context = claims.to_context()
    return AuthResponse(routes=["*"], principal_id=claims.sub, context=context)


@functools.lru_cache(maxsize=1)
def _verifier(issuers: tuple[Issuer, ...]) -> Verifier:
    # PyJWT and cryptography load here: this module is imported wherever a route names its authorizer.
    from chalicelib.handlers.tokens import Verifier

    return Verifier(issuers)
