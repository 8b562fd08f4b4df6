"""The whole API in process, with an engineer's, a scientist's and other tokens at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from bundles import logistic_bundle
from fakes import Answer, Gateway, MemoryContainer, service, token_of

from app import app


@dataclass
class Stage:
    """A stage and shortcuts into it."""

    at_hand: MemoryContainer
    gateway: Gateway

    def call(self, method: str, path: str, json_body: Any = None, *, role: str = "", **more: Any) -> Answer:
        """Call as somebody of team ``airport`` with one role (or with `token=`)."""
        if role:
            more["token"] = token_of(role)
        return self.gateway.call(method, path, json_body, **more)

    def add_model(self, name: str = "delays", team: str = "airport", **more: Any) -> Answer:
        body = {"name": name, "team": team, "task": "binary", **more}
        answer = self.call("POST", "/v1/models", body, token=token_of("scientist", teams=(team,)))
        assert answer.status == 201, answer.body
        return answer

    def add_version(self, name: str = "delays", weight: float = 0.5, *, accepted: bool = True) -> int:
        bundle = logistic_bundle((weight, -0.25))
        self.at_hand.upload(bundle)
        answer = self.call(
            "POST",
            f"/v1/models/{name}/versions",
            {"manifest": bundle.manifest},
            token=token_of("scientist", teams=("airport", "finance")),
        )
        assert answer.status == 202, answer.body
        number = int(answer.json["version"])
        if accepted:
            self.at_hand.accept(name, number)
        return number

    def promote(self, number: int, name: str = "delays", **more: Any) -> Answer:
        body = {"version": number, "reason": "better"}
        return self.call("POST", f"/v1/models/{name}/promote", body, role="engineer", **more)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with service(app) as (at_hand, gateway):
        yield Stage(at_hand, gateway)


@pytest.fixture
def changes(stage: Stage) -> Callable[[], int]:
    """How many changes were committed: what a refused request must not add to."""

    def count() -> int:
        return sum(1 for item in stage.at_hand.lineage.table.dump() if item["pk"] == "AUDIT#PENDING")

    return count
