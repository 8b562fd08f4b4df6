"""The files behind our pages: our own, and Swagger UI's out of a pinned wheel.

All of them are served under one name, the digest of everything that they hold:
a file may then name another one relatively (as ES modules do), what is served
under the name never changes, and a cache may keep it for good.

Swagger UI's files are those of the `fastapi-swagger` wheel in ``requirements.lock``
(hash-checked when it is installed). Nothing of that package is imported: in the
functions' zip there are only its two files. What is served is held against
`VENDORED`, so other bytes than those that were read and tested never leave.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from tiltyard.errors import IntegrityError, NotFound

PAGES = Path(__file__).parents[1] / "pages"

OWN = (
    "answer.js",
    "api.js",
    "browse.js",
    "curl.js",
    "docs.css",
    "docs.js",
    "dom.js",
    "form.js",
    "icon.svg",
)

VENDORED: Mapping[str, str] = {
    "swagger-ui-bundle.js": "3f6abf70480db7e07914df4c98a77385f22ea585eaf457a3e6415ba0eae2d167",
    "swagger-ui.css": "c3cfe8248c4b0b89673600fb829924eafbac6de4bc4b2b06f5f5243483074d0a",
}
"""SHA-256 of the files of Swagger UI 5.34.0 (Apache-2.0) as fastapi-swagger 0.4.64 (MIT) holds them."""

VENDOR_PACKAGE = "fastapi_swagger"
VENDOR_FOLDER = "resources"

MEDIA_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_RELEASE = "RELEASE"


@functools.cache
def release() -> str:
    """Names all files as they are now: 16 hexadecimal digits of the SHA-256 of their digests."""
    digests = {name: hashlib.sha256(_own(name).encode()).hexdigest() for name in OWN} | dict(VENDORED)
    listed = "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def asset(name: str) -> str:
    """The text of a file.

    Raises
    ------
    NotFound
        For any name but those of `OWN` and `VENDORED`.
    IntegrityError
        When a vendored file is missing or holds other bytes than its digest says.
    """
    if name in OWN:
        return _own(name)
    if name in VENDORED:
        return _vendored(name)
    raise NotFound(f"The pages have no file {name!r}.")


def media_type(name: str) -> str:
    return MEDIA_TYPES[Path(name).suffix]


@functools.cache
def html(name: str) -> str:
    """One of our pages, its links leading to the files of this release."""
    return (PAGES / name).read_text(encoding="utf-8").replace(_RELEASE, release())


@functools.cache
def _own(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


@functools.cache
def _vendored(name: str) -> str:
    content = (vendor_folder() / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != VENDORED[name]:
        raise IntegrityError(f"{name} holds other bytes than those of the wheel that was tested.")
    return content.decode("utf-8")


def vendor_folder() -> Path:
    """Where Swagger UI's files lie; the package is found, never imported.

    Raises `IntegrityError` when it isn't there: a zip that was packaged without it.
    """
    spec = importlib.util.find_spec(VENDOR_PACKAGE)
    if spec is None or spec.origin is None:
        raise IntegrityError(f"{VENDOR_PACKAGE} is not installed: run `make setup`, or package again.")
    return Path(spec.origin).with_name(VENDOR_FOLDER)
