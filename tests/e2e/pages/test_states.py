"""What the page does with every state of a service and with odd contracts, in a real browser."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import numpy as np
import pytest
from bundles import bundle_of, logistic, signature_of

from chalicelib.bootstrap import utc_now
from tiltyard.contract.features import Boolean, DateTimePart, FeatureSpec, MissingIndicator
from tiltyard.contract.signature import Column

MARKUP = '<img src="x" onerror="window.hacked = true">'
POINTED = "a/b~c"

ROW = {
    "distance": 1400.5,
    "gate": 7,
    "carrier": "UA",
    "weekend": False,
    "departs": "2013-02-01T08:15:00Z",
    POINTED: None,
    "__proto__": 1.25,
}


def every_type():
    """A bundle with a column of every type, odd names among them; it takes `ROW`."""
    columns = [
        Column("distance", "number", minimum=80.0, maximum=4983.0),
        Column("gate", "integer", minimum=1.0, maximum=60.0),
        Column("carrier", "string", categories=("AA", "UA", MARKUP)),
        Column("weekend", "boolean"),
        Column("departs", "datetime"),
        Column(POINTED, "number", is_nullable=True),
        Column("__proto__", "number"),
        Column("passenger", "string", role="subject", is_input=False, is_nullable=True, is_personal=True),
        Column("constructor", "number", role="segment", is_input=False, is_nullable=True),
    ]
    operations = (
        MissingIndicator("carrier", "carrier_missing"),
        Boolean("weekend"),
        DateTimePart("departs", "hour", "hour"),
        MissingIndicator(POINTED, "missing"),
    )
    numbers = ("distance", "gate", "weekend", "__proto__", "carrier_missing", "hour", "missing")
    signature = signature_of(
        columns, features=FeatureSpec(numbers, (), operations), classes=("on time", MARKUP), target="late"
    )
    weights = (0.001, -0.05, 1.0, 0.5, 0.0, 0.01, 0.25)
    margin = np.array([1400.5, 7, 0, 1.25, 0, 8, 1]) @ np.array(weights)
    p = 1 / (1 + np.exp(-margin))
    return bundle_of(logistic(weights), signature, rows=[ROW], expected=[[1 - p, p]])


class Registry:
    """Puts models into the service, as a scientist and engineer of its team."""

    def __init__(self, service) -> None:
        self.service = service
        self.http = httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {service.token()}"})

    def model(self, name: str = "flights", *, versions: int = 0, promote: bool = False) -> None:
        self._send("POST", "/v1/models", {"name": name, "team": "demo", "task": "binary"})
        for _ in range(versions):
            bundle = every_type()
            self.service.at_hand.upload(bundle)
            self._send("POST", f"/v1/models/{name}/versions", {"manifest": bundle.manifest})
            self.service.examine()
        if promote:
            self._send("POST", f"/v1/models/{name}/promote", {"version": versions, "reason": "the first"})

    def alias(self, name: str, model: str = "flights") -> None:
        self._send("PUT", f"/v1/models/{model}/aliases/{name}", {"version": 1})

    def _send(self, method, path, body):
        answer = self.http.request(method, path, json=body)
        assert answer.status_code < 300, answer.text


@pytest.fixture
def registry(service):
    registry = Registry(service)
    with registry.http:
        yield registry


@pytest.fixture
def signed_in(service, visit):
    """Opens the page and signs in with these roles."""

    def opened(*roles: str, **options):
        seen = visit(f"{service.url}/docs", **options)
        sign_in(seen.page, service.token(*(roles or ("caller", "scientist"))))
        return seen

    return opened


def sign_in(page, token: str) -> None:
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_label("Token", exact=True).press("Enter")


def send(page):
    """Send the row, and the body that went."""
    with page.expect_request("**/predict*") as sent:
        page.get_by_role("button", name="Send the row").click()
    return json.loads(sent.value.post_data)


def test_a_team_without_models_is_told_how_to_get_one(signed_in):
    page = signed_in().page

    page.get_by_text("Your teams have no model yet").wait_for()

    assert page.locator("#model").is_hidden()


def test_a_model_without_versions_says_so(registry, signed_in):
    registry.model()

    page = signed_in().page

    page.get_by_text("This model has no version yet").wait_for()
    assert page.locator("#target").is_disabled()
    assert page.locator("#row-section").is_hidden()


def test_a_rejected_version_says_why(registry, service, signed_in):
    service.examination = "none"
    registry.model(versions=0)
    bundle = every_type()
    service.at_hand.upload(bundle)
    registry._send("POST", "/v1/models/flights/versions", {"manifest": bundle.manifest})
    service.at_hand.accept("flights", 1, reasons=("an operator that isn't allowed",))

    page = signed_in().page

    page.get_by_text("version 1 is rejected").wait_for()
    page.get_by_text("an operator that isn't allowed").wait_for()


def test_without_a_champion_a_version_can_be_asked(registry, signed_in):
    registry.model(versions=1)
    page = signed_in().page

    page.get_by_text("This model has no champion yet").wait_for()
    send(page)

    page.get_by_text("flights, version 1, as direct").wait_for()


def test_an_alias_answers_under_its_name(registry, signed_in):
    registry.model(versions=1)
    registry.alias("night")
    page = signed_in().page

    page.locator("#target").select_option(label="alias night (version 1)")
    page.locator("#send").wait_for()
    send(page)

    page.get_by_text("flights, version 1, as night").wait_for()
    assert "flights@night/predict'" in page.locator("#curl").text_content()


def test_the_form_sends_every_type_as_it_is(registry, signed_in):
    registry.model(versions=1, promote=True)
    seen = signed_in()

    body = send(seen.page)
    seen.page.locator("#answer .value").wait_for()

    assert body == {"rows": [ROW]}
    assert seen.complaints == []


@pytest.mark.parametrize("fragment", ["#second", "#nobody", "#%zz"])
def test_a_link_opens_with_its_model(registry, service, visit, fragment):
    registry.model("first", versions=1, promote=True)
    registry.model("second", versions=1, promote=True)

    seen = visit(f"{service.url}/docs{fragment}")
    sign_in(seen.page, service.token("caller"))

    seen.page.locator("#send").wait_for()
    assert seen.page.locator("#model").input_value() == ("second" if fragment == "#second" else "first")
    assert seen.complaints == []


def test_what_may_be_left_out_is_sent_when_it_is_filled_in(registry, signed_in):
    registry.model(versions=1, promote=True)
    page = signed_in().page
    page.get_by_text("2 more that may be left out").click()
    page.get_by_label("passenger").fill("P-17")
    page.get_by_label("no value of a/b~c").uncheck()
    page.get_by_label(POINTED, exact=True).fill("-1.5e-3")

    body = send(page)

    assert body["rows"] == [{**ROW, POINTED: -0.0015, "passenger": "P-17"}]


def test_an_unseen_value_is_answered_with_its_warning(registry, signed_in):
    registry.model(versions=1, promote=True)
    page = signed_in().page
    page.get_by_label("carrier", exact=True).select_option(label="another value…")
    page.get_by_label("Another value of carrier").fill("ZZ")
    page.get_by_label("distance").fill("9000")

    body = send(page)

    page.get_by_text("a category that the model wasn't registered with").wait_for()
    page.get_by_text("beyond the range that the model was registered with").wait_for()
    assert (body["rows"][0]["carrier"], body["rows"][0]["distance"]) == ("ZZ", 9000)


def test_markup_in_names_stays_text(registry, signed_in):
    registry.model(versions=1, promote=True)
    seen = signed_in()
    page = seen.page
    page.get_by_label("carrier", exact=True).select_option(label=MARKUP)

    send(page)
    page.locator("#answer .value").wait_for()

    assert page.locator("#answer strong").first.inner_text() == MARKUP
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img").count() == 0
    assert seen.complaints == []


def test_a_value_of_no_number_is_named_before_anything_is_sent(registry, signed_in):
    registry.model(versions=1, promote=True)
    seen = signed_in()
    page = seen.page
    page.get_by_label("distance").fill("far")
    page.get_by_label("gate").fill("7.5")

    page.get_by_role("button", name="Send the row").click()

    problem = page.locator("#answer-problem")
    problem.get_by_text("must be a whole number").wait_for()
    problem.get_by_role("button", name="gate").click()
    assert page.evaluate("document.activeElement.id") == page.get_by_label("gate").get_attribute("id")
    assert page.get_by_label("distance").get_attribute("aria-invalid") == "true"
    assert not [url for url in seen.requests if "predict" in url]


def test_a_fault_that_the_service_finds_leads_to_its_field(registry, signed_in):
    registry.model(versions=1, promote=True)
    page = signed_in().page
    page.get_by_label("departs").fill("yesterday")

    send(page)

    problem = page.locator("#answer-problem")
    problem.get_by_text("The rows break the model's contract.").wait_for()
    problem.get_by_role("button", name="departs").click()
    assert page.get_by_label("departs").get_attribute("aria-invalid") == "true"
    assert page.locator("#answer-problem code").inner_text()  # the request's id


def test_a_viewer_is_told_before_and_refused_after(registry, signed_in):
    registry.model(versions=1, promote=True)
    page = signed_in("viewer").page

    page.get_by_text("To ask this needs one of the roles").wait_for()
    send(page)

    page.locator("#answer-problem").get_by_text("(403)").wait_for()


def test_a_bad_token_is_refused_and_nothing_is_shown(registry, service, visit):
    page = visit(f"{service.url}/docs").page

    sign_in(page, "not.a.token")

    page.locator("#who-problem").get_by_text("The token isn't valid").wait_for()
    assert page.locator("#which-section").is_hidden()
    assert page.evaluate("document.activeElement.id") == "token"


def test_what_can_be_no_token_is_not_even_sent(service, visit):
    seen = visit(f"{service.url}/docs")

    sign_in(seen.page, "a token with\u00a0spaces")

    seen.page.get_by_text("That is no token").wait_for()
    assert not [url for url in seen.requests if "/v1/" in url]


def test_a_token_that_expires_meanwhile_is_named(registry, service, signed_in):
    registry.model(versions=1, promote=True)
    page = signed_in().page
    page.locator("#send").wait_for()
    service.at_hand.now = utc_now() + timedelta(hours=2)

    send(page)

    page.locator("#answer-problem").get_by_text("The token isn't valid").wait_for()


def test_forgetting_the_token_leaves_nothing_of_it(registry, service, signed_in):
    registry.model(versions=1, promote=True)
    seen = signed_in()
    page = seen.page
    send(page)
    page.locator("#answer .value").wait_for()

    page.get_by_role("button", name="Forget the token").click()

    assert page.locator("#which-section, #row-section, #answer-section").locator("visible=true").count() == 0
    assert "ada@example.org" not in page.content()
    assert page.get_by_label("Token", exact=True).input_value() == ""
    seen.check_kept_nothing(service.url)
    page.reload()
    assert page.get_by_label("Token", exact=True).input_value() == ""


def test_a_service_that_is_away_is_named(registry, signed_in):
    registry.model(versions=1, promote=True)
    page = signed_in().page
    page.route("**/predict", lambda route: route.abort())

    send(page)

    page.locator("#answer-problem").get_by_text("The service didn't answer").wait_for()


def test_an_answer_that_comes_too_late_is_dropped(registry, signed_in):
    registry.model("first", versions=1, promote=True)
    registry.model("second", versions=1, promote=True)
    page = signed_in().page
    page.locator("#send").wait_for()
    held = []
    page.route("**/first/predict", lambda route: held.append(route))
    send(page)

    page.locator("#model").select_option("second")
    page.locator("#send").wait_for()
    held[0].continue_()
    send(page)

    page.get_by_text("second, version 1, as champion").wait_for()
    assert page.get_by_text("first, version 1").count() == 0


def test_the_whole_way_goes_by_keyboard(registry, service, visit):
    registry.model(versions=1, promote=True)
    page = visit(f"{service.url}/docs").page
    keys = page.keyboard

    for _ in range(4):  # skip link, two pages, the token
        keys.press("Tab")
    keys.insert_text(service.token("caller"))
    keys.press("Enter")
    page.locator("#send").wait_for()
    page.wait_for_function("document.activeElement.id === 'model'")
    keys.press("Tab")
    keys.press("Tab")
    assert page.evaluate("document.activeElement.labels[0].textContent") == "distance"
    keys.press("Enter")

    page.locator("#answer .value").wait_for()
    assert page.locator("#status").inner_text().startswith("The answer: late = ")
