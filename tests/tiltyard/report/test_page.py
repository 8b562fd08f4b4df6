"""The whole page: well-formed, of one piece, escaped, and with nothing of another place."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from html_document import Document
from series_bodies import NO_ROWS, column, drift_body, quality_body, verdict

from chalicelib.handlers.series_schemas import Drift, Quality
from tiltyard.report.markup import text
from tiltyard.report.monitoring import monitoring_page
from tiltyard.report.page import Section, page

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = '</title><script>alert("x")</script>&amp;\'" onload="x\x07\u202e'
SHOWN = HOSTILE.replace("\x07", "\ufffd")


def bodies(name="temp", step="day"):
    drift = drift_body(
        {
            name: [verdict("drift", 0.4, -1.25), verdict("steady", 0.01, 0.0), NO_ROWS],
            "carrier": [verdict(), verdict(), NO_ROWS],
            "prediction": [verdict("small", 0.01), verdict(), NO_ROWS],
        },
        step=step,
    )
    quality = quality_body(
        {
            name: [column(missing=100, above=3), column(coerced=1, constant=True), column(0)],
            "carrier": [column(unseen=5), column(unseen=0), column(0, unseen=0)],
        },
        step=step,
        reference={name: 0.05},
        late=[2, 0, 0],
        flagged=[{"anomalous": 7}, {}, {}],
        actions=[{"flag": 7}, {}, {}],
        rules=[{name: 7}, {}, {}],
    )
    return drift, quality


def written(name="temp", step="day"):
    return monitoring_page(*bodies(name, step), written_at=NOON)


@pytest.mark.parametrize("step", ["hour", "day", "week"])
def test_the_made_up_bodies_are_as_the_service_gives_them(step):
    drift, quality = bodies(step=step)

    assert Drift.model_validate(drift)
    assert Quality.model_validate(quality)


def test_a_hostile_name_is_text_wherever_it_stands():
    document = Document(written(HOSTILE))

    assert document.named("script") == []
    assert [key for _, given in document.tags for key in given if key.startswith("on")] == []
    # Summary, table and charts of drift; table, charts and rule of quality.
    assert document.words.count(SHOWN) > 8
    assert f"worst: {SHOWN}" in document.words


def test_nothing_is_asked_of_another_place():
    content = written()
    document = Document(content)

    linked = [
        given[key] for _, given in document.tags for key in ("src", "href", "srcset", "data") if key in given
    ]
    assert all(link.startswith("#") for link in linked)
    assert "://" not in content
    assert "url(" not in content
    assert "@import" not in content
    policy = next(given for given in document.named("meta") if "http-equiv" in given)
    assert policy["content"].startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_headings_go_down_by_one_and_ids_are_there_once():
    document = Document(written())

    levels = [int(tag[1]) for tag, _ in document.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [given["id"] for _, given in document.tags if "id" in given]
    assert len(set(ids)) == len(ids)
    assert {given["href"].removeprefix("#") for given in document.named("a")} <= set(ids)
    assert len(document.tables) == len(document.named("caption")) == 3


def test_each_chart_is_an_image_with_a_name_and_a_description():
    charts = re.findall(r"<svg .*?</svg>", written(HOSTILE), flags=re.DOTALL)

    assert len(charts) == 9
    for chart in charts:
        root = ElementTree.fromstring(chart)
        assert root.attrib["role"] == "img"
        assert root.find("title").text
        assert root.find("desc").text


def test_the_page_says_of_what_and_when_it_speaks():
    words = Document(written()).words

    assert "late-flights in production" in words
    assert "Version 3, 1 Feb 2026 to 3 Feb 2026 (UTC), by the day." in words
    assert "Written by Tiltyard on 1 Mar 2026, 12:00 UTC." in words


def test_hours_are_told_with_their_time_and_weeks_by_their_last_day():
    assert "1 Feb 2026, 00:00 to 1 Feb 2026, 03:00 (UTC), by the hour" in written(step="hour")
    assert "1 Feb 2026 to 21 Feb 2026 (UTC), by the week" in written(step="week")


def test_windows_that_still_fill_and_the_day_of_knowledge_are_told():
    drift, quality = bodies()
    drift["windows"][1]["closed"] = 0
    drift["known_on"] = "2026-02-10"

    words = Document(monitoring_page(drift, quality, written_at=NOON)).words

    assert "1 day isn't over yet: more rows will change the figures." in words
    assert "As it was known on 10 Feb 2026; what came later is left out." in words


def test_a_window_that_ends_after_the_report_is_told_though_all_of_its_hours_are_closed():
    words = Document(monitoring_page(*bodies(), written_at=datetime(2026, 2, 3, 12, tzinfo=UTC))).words

    assert "1 day isn't over yet" in words


def test_a_single_section_needs_no_list_of_sections():
    document = Document(page("Title", "Below", [Section("One", "Found <nothing>.", [text("&")])]))

    assert document.named("nav") == []
    assert "Found <nothing>.&" in document.words
