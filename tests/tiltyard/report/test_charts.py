"""Charts are whole SVG whatever they are given, and say in words what they show."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.report.charts import MOST_BARS, SMALL, Bar, Level, bars, over_time, small_multiples
from tiltyard.report.wording import ROWS, SHARE, Times

HOSTILE = '<script>alert("x")</script>&\'\x00\ud800'


def times(count):
    return Times([f"{n} Feb" for n in range(count)], [f"{n} Feb 2026" for n in range(count)])


def drawn(svg):
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root[0].tag == "title"
    assert root[0].text == root.attrib["aria-label"]
    assert root[1].tag == "desc"
    assert "nan" not in svg.lower()
    assert "inf" not in re.sub(r"[^\d. -]", " ", svg)
    return root


def of_class(root, name):
    return [e for e in root.iter() if name in e.attrib.get("class", "").split()]


def numbers(path):
    return [float(n) for n in re.findall(r"-?\d+\.\d+", path)]


@pytest.mark.parametrize("values", [[], [None], [None] * 300])
def test_a_chart_without_values_says_so(values):
    root = drawn(over_time("Effect", values, times(len(values))))

    assert root.find("desc").text == "No values."
    assert [e.text for e in of_class(root, "empty")] == ["no values"]
    assert of_class(root, "line") == []


def test_one_window_is_as_wide_as_the_chart():
    root = drawn(over_time("Effect", [0.4], times(1)))

    (line,) = of_class(root, "line")
    x0, y0, x1, y1 = numbers(line.attrib["d"])
    assert y0 == y1
    assert x1 - x0 > 800
    assert root.find("desc").text == "1 value in 1 window. Largest 0.400 (0 Feb 2026)."


def test_a_window_without_a_value_leaves_a_gap():
    root = drawn(over_time("Effect", [0.1, 0.1, None, 0.2], times(4)))

    (line,) = of_class(root, "line")
    assert line.attrib["d"].count("M") == 2


def test_values_stand_higher_the_larger_they_are_and_the_level_between_them():
    root = drawn(over_time("Effect", [0.1, 0.3], times(2), level=Level(0.2, "limit")))

    low, high = sorted(set(numbers(of_class(root, "line")[0].attrib["d"])[1::2]), reverse=True)
    assert high < float(of_class(root, "level")[0].attrib["y1"]) < low
    assert "limit" in root.find("desc").text


def test_marked_windows_are_shaded_by_their_runs_and_each_is_dotted():
    root = drawn(
        over_time(
            "Effect",
            [0.1, 0.2, 0.3, None, 0.4],
            times(5),
            marked=[False, True, True, False, True],
            mark="drift",
        )
    )

    said = [shade.find("title").text for shade in of_class(root, "shade")]
    assert said == ["1 Feb 2026 to 2 Feb 2026: drift, 0.300 at most", "4 Feb 2026: drift, 0.400"]
    assert sum(dots.attrib["d"].count("Z") for dots in of_class(root, "dot")) == 3
    assert root.find("desc").text.endswith("3 windows drift.")


def test_hundreds_of_windows_are_marked_by_the_line_alone():
    values = [n / 800 for n in range(800)]

    svg = over_time("Effect", values, times(800), marked=[n % 2 == 0 for n in range(800)], size=SMALL)

    root = drawn(svg)
    assert of_class(root, "dot") == []
    assert len(of_class(root, "stroke")) == 400
    assert len([e for e in root.iter("text") if (e.text or "").endswith("Feb")]) == SMALL.ticks


@pytest.mark.parametrize(
    ("unit", "values", "top"),
    [(ROWS, [3], "3"), (SHARE, [0.25], "30.0%"), (SHARE, [0.0], "1%"), (ROWS, [1_200_000], "1,500,000")],
)
def test_the_axis_has_round_numbers(unit, values, top):
    root = drawn(over_time("Chart", values, times(1), unit=unit))

    labels = [e.text for e in root.iter("text")]
    assert top.replace(".0", "") in [label.replace(".0%", "%") for label in labels]


@given(
    st.lists(st.none() | st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf]), max_size=30),
    st.sampled_from([ROWS, SHARE]),
)
def test_no_number_falls_outside_of_the_drawing(values, unit):
    root = drawn(over_time("Any", values, times(len(values)), unit=unit, marked=[True] * len(values)))

    for line in of_class(root, "line"):
        found = numbers(line.attrib["d"])
        assert all(0 <= x <= 900 for x in found[::2])
        assert all(0 <= y <= 190 for y in found[1::2])


def test_hostile_names_are_text():
    root = drawn(bars(HOSTILE, [Bar(HOSTILE * 20, 0.5)], level=Level(0.1, HOSTILE)))

    assert [e.tag for e in root.iter() if e.tag == "script"] == []
    assert root[0].text == '<script>alert("x")</script>&\'\ufffd\ufffd'


def test_bars_are_as_long_as_their_figures_on_one_scale():
    root = drawn(bars("Effect", [Bar("temp", 0.4, is_marked=True, note="drift"), Bar("carrier", 0.1)]))

    first, second = of_class(root, "bar")
    assert float(first.attrib["width"]) == pytest.approx(4 * float(second.attrib["width"]), rel=0.001)
    assert of_class(root, "marked") == [first]
    assert root.find("desc").text == "temp 0.400 drift; carrier 0.100."
    assert "◆ 0.400 drift" in [e.text for e in root.iter("text")]


def test_long_labels_are_cut_and_told_in_full():
    name = "航空会社" * 30

    root = drawn(bars("Effect", [Bar(name, 0.0)]))

    (label,) = of_class(root, "label")
    assert label.find("title").text == name
    assert label.find("title").tail.endswith("…")
    assert len(label.find("title").tail) < 20


@pytest.mark.parametrize("count", [0, 1, 500])
def test_bars_of_any_number(count):
    root = drawn(bars("Effect", [Bar(f"c{n}", 0.0) for n in range(count)], level=Level(0.02, "small")))

    assert len(of_class(root, "bar")) == min(count, MOST_BARS)
    assert len(of_class(root, "empty")) == (count == 0)


def test_no_multiples_leave_nothing():
    assert small_multiples([]) == ""
