"""Pages for people: try a model with its own example row, and browse the API. Asked without a token.

A page's links are relative, so it works under any stage or domain. Nothing on
it comes from elsewhere, and the Content-Security-Policy lets nothing else in or
out; the token that a person pastes stays in the page's memory.

Everything is text, as API Gateway takes it without binary media types; it
compresses what is large (``minimum_compression_size`` in ``.chalice/config.json``).
"""

from __future__ import annotations

from collections.abc import Mapping

from chalice.app import Blueprint, Response

from chalicelib.handlers import assets
from chalicelib.handlers.problems import path_of, problem_details
from tiltyard.errors import NotFound

bp = Blueprint(__name__)

Headers = dict[str, str | list[str]]

_COMMON = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
)

# Our own page builds its document from nodes and text alone, and the browser holds it to that.
TRY_POLICY = (
    _COMMON + "style-src 'self'; img-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
)

# Swagger UI has images in its style sheet.
BROWSE_POLICY = _COMMON + "style-src 'self'; img-src 'self' data:"

_FOR_EVERYTHING: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@bp.route("/docs", methods=["GET"])
@problem_details
def try_model() -> Response:
    """Fill in a model's example row and send it."""
    return _page("docs.html", policy=TRY_POLICY, name="docs")


@bp.route("/docs/api", methods=["GET"])
@problem_details
def browse() -> Response:
    """The OpenAPI document in Swagger UI."""
    return _page("browse.html", policy=BROWSE_POLICY, name="api")


@bp.route("/docs/assets/{release}/{name}", methods=["GET"])
@problem_details
def read_asset(release: str, name: str) -> Response:
    """A file of the pages; another release's is gone, and its page loads anew."""
    content = assets.asset(name)
    if release != assets.release():
        raise NotFound(f"{name!r} is there, but not of release {release!r}: load the page again.")
    headers: Headers = {
        **_FOR_EVERYTHING,
        "Content-Type": assets.media_type(name),
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cache-Control": "public, max-age=31536000, immutable",
    }
    return Response(content, headers=headers)


def _page(file: str, *, policy: str, name: str) -> Response:
    if path_of(bp.current_request).endswith("/"):
        # Under `docs/` the page's relative links would lead elsewhere.
        return Response("", status_code=308, headers={"Location": f"../{name}"})
    headers: Headers = {
        **_FOR_EVERYTHING,
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        # Neither on disk nor in the back-forward cache: what was typed goes with the page.
        "Cache-Control": "no-store",
    }
    return Response(assets.html(file), headers=headers)
