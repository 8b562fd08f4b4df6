"""How the page looks and reads: contrast, narrow screens, names of controls, every shape of an answer."""

from __future__ import annotations

import json
from functools import partial

import pytest

# Contrast of every visible text against what lies behind it (WCAG 2.2, 1.4.3), worst first.
# Controls that are switched off are exempt.
CONTRAST = """() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const channel = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const found = parse(getComputedStyle(e).backgroundColor);
      if (found[3] === 1) return found;
    }
    return parse(getComputedStyle(document.body).backgroundColor);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const isControl = element.matches("input, select");
    const hasText = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim() !== "");
    if (!(isControl || hasText) || element.matches("option, meter, :disabled")) continue;
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(parse(style.color)), luminance(ground(element))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    found.push({ text: element.textContent.slice(0, 40), ratio: (light + 0.05) / (dark + 0.05), isLarge });
  }
  return found.sort((a, b) => a.ratio - b.ratio);
}"""

UNNAMED = """() => [...document.querySelectorAll("main input, main select, main button")]
  .filter((e) => e.checkVisibility())
  .filter((e) => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim()))
  .map((e) => e.outerHTML)"""

CONTRACT = {
    "signature": {
        "format": 1,
        "task": "binary",
        "target": "late",
        "classes": ["0", "1"],
        "threshold": 0.5,
        "columns": [
            {
                "name": "distance",
                "type": "number",
                "role": "feature",
                "input": True,
                "nullable": True,
                "personal": False,
                "categories": None,
                "range": [80.0, 4983.0],
            }
        ],
    },
    "example": {"distance": 1400.0},
}


def answer_of(**prediction):
    whole = {"id": "p-1", "value": "1", "warnings": [], "action": "answer", **prediction}
    return {"model": "flights", "version": 3, "role": "champion", "predictions": [whole]}


EXPLAINED = answer_of(
    score=0.61,
    set=["0", "1"],
    action="override",
    model_value="0",
    rules=["unknown-airport"],
    warnings=[
        {"column": "origin", "kind": "unseen_category"},
        {"column": "distance", "kind": "extreme", "p": 0.0012},
    ],
    explanation={
        "base": -0.4,
        "values": {"distance": 1.25, "origin": -0.5},
        "scale": "log-odds",
        "method": "kernel",
        "coalitions": 500,
        "background": 50,
        "seed": 0,
        "error": 0.03,
    },
)


def fulfil(body, route):
    route.fulfill(json=body)


@pytest.fixture
def page_with(service, visit):
    """The page with a model whose every answer is given."""

    def opened(answer, status=200, **options):
        seen = visit(f"{service.url}/docs", **options)
        page = seen.page
        version = {"version": 3, "stage": "champion", "reasons": []}
        bodies = {
            "**/v1/models?*": {"items": [{"name": "flights"}], "next": None},
            "**/flights/champion": {"version": 3},
            "**/flights/aliases?*": {"items": [], "next": None},
            "**/flights/versions?*": {"items": [version], "next": None},
            "**/versions/3/contract": CONTRACT,
        }
        for pattern, body in bodies.items():
            page.route(pattern, partial(fulfil, body))
        page.route("**/predict", lambda route: route.fulfill(status=status, body=json.dumps(answer)))
        page.get_by_label("Token", exact=True).fill(service.token("caller"))
        page.get_by_label("Token", exact=True).press("Enter")
        page.locator("#send").click()
        page.locator("#answer .value, #answer-problem .note").first.wait_for()
        return seen

    return opened


PROBLEM = {
    "title": "Rows",
    "detail": "The rows break the contract.",
    "errors": [{"pointer": "/rows/0/distance", "detail": "is missing"}, {"pointer": "", "detail": "is odd"}],
    "instance": "r-1",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("answer", "status"), [(EXPLAINED, 200), (PROBLEM, 422)])
def test_every_text_can_be_read(page_with, scheme, answer, status):
    page = page_with(answer, status, color_scheme=scheme).page
    page.evaluate("for (const found of document.querySelectorAll('details')) found.open = true")

    texts = page.evaluate(CONTRAST)

    assert len(texts) > 20
    assert [text for text in texts if text["ratio"] < (3 if text["isLarge"] else 4.5)] == []


def test_the_schemes_differ(page_with):
    grounds = {
        page_with(EXPLAINED, color_scheme=scheme).page.evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        for scheme in ("light", "dark")
    }

    assert len(grounds) == 2


def test_a_narrow_screen_needs_no_sideways_scrolling(page_with):
    page = page_with(EXPLAINED, viewport={"width": 320, "height": 640}).page
    page.evaluate("for (const found of document.querySelectorAll('details')) found.open = true")

    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_every_control_has_a_name(page_with):
    page = page_with(PROBLEM, 422).page

    assert page.evaluate(UNNAMED) == []


def test_all_that_an_answer_says_is_shown(page_with):
    seen = page_with(EXPLAINED)

    text = seen.page.locator("#answer").inner_text()

    for part in (
        "late = 1",
        "A rule of the policy replaced the model's own value.",
        "0.61, the positive class's probability",
        "0, 1: at the policy's level one of these is the true class",
        "unknown-airport",
        "origin: a category that the model wasn't registered with",
        "distance: unusually far out for this column (p = 0.0012)",
        "Starting from -0.4, the mean over typical rows on the scale of log-odds.",
        "Estimated from 500 combinations: three standard errors are at most 0.03.",
        "+1.25",
        "-0.5",
    ):
        assert part in text
    assert seen.complaints == []


@pytest.mark.parametrize(
    ("prediction", "parts"),
    [
        ({"value": None, "action": "abstain", "rules": ["odd"]}, ["no answer", "withholds an answer"]),
        ({"value": 12.5, "interval": [8.25, None]}, ["late = 12.5", "from 8.25 to ∞"]),
        ({"value": "b", "scores": {"a": 0.25, "b": 0.75}}, ["late = b", "Probability of each class", "0.75"]),
        ({"value": "1", "set": []}, ["empty: no class fits this row"]),
        ({"action": "flag"}, ["have someone look at it"]),
        ({"action": "constructor", "warnings": [{"column": "x", "kind": "toString"}]}, ["x: toString"]),
    ],
)
def test_every_shape_of_an_answer_is_read(page_with, prediction, parts):
    seen = page_with(answer_of(**prediction))

    text = seen.page.locator("#answer").inner_text()

    assert [part for part in parts if part not in text] == []
    assert seen.complaints == []


@pytest.mark.parametrize("status", [500, 502, 200])
def test_an_answer_that_is_no_json_is_named(page_with, service, status):
    seen = page_with(EXPLAINED)
    seen.page.unroute("**/predict")
    seen.page.route("**/predict", lambda route: route.fulfill(status=status, body="<html>oops</html>"))

    seen.page.locator("#send").click()

    seen.page.locator("#answer-problem").get_by_text(f"The service answered {status}").wait_for()
