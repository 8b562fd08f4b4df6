from __future__ import annotations

import chalice.app
import pytest

from chalicelib.handlers import media_types

BINARY = ["application/octet-stream", "image/*"]


@pytest.mark.parametrize("valid", [[], ["application/json"], BINARY, ["*/*"]])
@pytest.mark.parametrize(
    "header",
    ["", "application/json", "Application/JSON; charset=utf-8", "*/*", "text/html, image/*", "a,b;c"],
)
def test_the_remembered_answer_is_chalices_own_every_time(header, valid):
    asked = []

    def own(header, valid):
        asked.append(header)
        parts = [part.strip() for part in header.lower().replace(";", ",").split(",")]
        return "*/*" in header or "*/*" in valid or bool(set(valid) & set(parts))

    matches = media_types.remembered(own)

    assert matches(header, valid) == matches(header, valid) == own(header, valid)
    assert asked == [header, header]
    assert chalice.app._matches_content_type(header, valid) == own(header, valid)


def test_putting_it_in_place_twice_changes_nothing():
    media_types.remember()
    first = chalice.app._matches_content_type

    media_types.remember()

    assert chalice.app._matches_content_type is first
    assert hasattr(first, "cache_clear")
