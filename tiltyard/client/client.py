"""`Client`: everything that a program asks of a Tiltyard."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Unpack, cast, overload
from urllib.parse import quote

import httpx

from tiltyard.client.alerts import AlertCalls
from tiltyard.client.audit import AuditCalls
from tiltyard.client.clock import ClockCalls
from tiltyard.client.lineage import LineageCalls
from tiltyard.client.reconciliation import ReconciliationCalls
from tiltyard.client.records import (
    Alias,
    Contract,
    Me,
    Model,
    Policy,
    Prediction,
    Predictions,
    Reign,
    Swap,
    Version,
)
from tiltyard.client.registration import (
    PATIENCE_S,
    Progress,
    Registration,
    build,
    check_name,
    model_path,
    silent,
    to_stderr,
    wait_for,
)
from tiltyard.client.rows import Frame, Request, Row, Time
from tiltyard.client.series import SeriesCalls
from tiltyard.client.telemetry import TelemetryCalls
from tiltyard.client.transport import Token, Transport, time_text
from tiltyard.client.webhooks import WebhookCalls
from tiltyard.contract.signature import Task
from tiltyard.errors import Conflict, Fault, InvalidInput, NotFound
from tiltyard.training.options import Options

PAGE = 200


class Client(
    LineageCalls,
    AuditCalls,
    WebhookCalls,
    SeriesCalls,
    TelemetryCalls,
    ReconciliationCalls,
    AlertCalls,
    ClockCalls,
):
    """Talks to one Tiltyard; safe to share between threads.

    Parameters
    ----------
    url
        Where the API lives (`tiltyard local up` prints it, `tiltyard deploy` will).
    token
        A bearer token of one of its issuers, or a function that gives the
        current one (called for every request, so let it cache).

    Every method raises the errors of `tiltyard.errors`: `NotFound` for a model
    that isn't there or is another team's, `Forbidden` when the role is missing,
    `Unavailable` when the service can't be reached. Calls that can't do harm
    twice are repeated with growing pauses.
    """

    def __init__(
        self, url: str, token: Token | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = Transport(url, token, transport=transport)

    @classmethod
    def from_env(cls) -> Client:
        """The Tiltyard that ``TILTYARD_URL`` and ``TILTYARD_TOKEN`` name."""
        url = os.environ.get("TILTYARD_URL")
        if not url:
            raise InvalidInput("TILTYARD_URL is not set: export the URL that `tiltyard local up` prints.")
        return cls(url, os.environ.get("TILTYARD_TOKEN") or None)

    @property
    def url(self) -> str:
        return self._http.url

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def me(self) -> Me:
        """Who one is to this Tiltyard: subject, roles and teams of the token."""
        return Me.of(self._http.get("/v1/me").body)

    # Models and versions

    def create_model(
        self, name: str, *, team: str, task: str, owner: str | None = None, description: str = ""
    ) -> Model:
        """Create a model of `task` ``binary``, ``multiclass`` or ``regression``."""
        body = {"name": name, "team": team, "task": task, "owner": owner, "description": description}
        given = {key: value for key, value in body.items() if value}
        return Model.of(self._http.write("POST", "/v1/models", given).body)

    def model(self, name: str) -> Model:
        return Model.of(self._http.get(model_path(name)).body)

    def models(self) -> Iterator[Model]:
        """The models of one's teams, by name."""
        return map(Model.of, self._pages("/v1/models"))

    def version(self, name: str, version: int) -> Version:
        return Version.of(self._http.get(f"{model_path(name)}/versions/{version:d}").body)

    def contract(self, name: str, version: int) -> Contract:
        """What a version takes and gives, and a row that it answers."""
        return Contract.of(self._http.get(f"{model_path(name)}/versions/{version:d}/contract").body)

    def versions(self, name: str) -> Iterator[Version]:
        """The versions of a model, newest first."""
        return map(Version.of, self._pages(f"{model_path(name)}/versions"))

    def archive(self, name: str, version: int, *, reason: str) -> Version:
        """Put a version away: it can't answer or be promoted until it is restored. Nothing is deleted.

        `Conflict` for the champion, a challenger, and a version that an alias names.
        """
        path = f"{model_path(name)}/versions/{version:d}/archive"
        return Version.of(self._http.write("POST", path, {"reason": reason}).body)

    def restore(self, name: str, version: int, *, reason: str) -> Version:
        """Put an archived version back to the stage that it had."""
        path = f"{model_path(name)}/versions/{version:d}/restore"
        return Version.of(self._http.write("POST", path, {"reason": reason}).body)

    def register(
        self,
        name: str,
        model: object,
        *,
        data: object,
        target: object,
        team: str | None = None,
        owner: str | None = None,
        description: str = "",
        wait: bool = True,
        progress: Progress | None = to_stderr,
        **options: Unpack[Options],
    ) -> Version:
        """Make a fitted model a version that can be promoted.

        Infers the contract from `data`, converts the model to ONNX, proves on every
        row that both answer alike, uploads the bundle and waits for the examination.
        The same bundle twice gives the same version.

        Parameters
        ----------
        name
            The model to add a version to; it is created when it isn't there.
        model
            A fitted scikit-learn estimator or pipeline, an XGBoost, LightGBM or
            CatBoost model, or a ready ONNX file (a path to it, or its bytes).
        data, target
            Labelled rows that the model was NOT fitted on: columns as callers will send
            them, in a pandas DataFrame, and the true values (or the name of their column).
            They become the reference that production is compared with; on rows that a
            model has learned by heart that comparison is worthless.
        team, owner
            Of a model that is created: one's only team, and oneself, when left out.
        wait
            False returns the version while it is still ``validating``.
        progress
            Called with a line at a time; None shows nothing.
        options
            task (inferred when left out), threshold (.5), classes
            (``{0: "on time", 1: "late"}``); columns with a role: sensitive, subject, time,
            calendar, personal; what may come beyond `data`: categories, ranges, nullable;
            tolerance; for a ready ONNX file contract and output; for the lineage graph
            trained_on (``{"flights 2013": rows}``) and run.
            `tiltyard.training.options.Options` and docs/register.md say more of each.

        Raises
        ------
        UnconvertibleModel, ParityFailed
            Before anything is sent, saying how to mend the pipeline.
        NotReady
            With the reasons, if the examination rejects the version.
        """
        show = progress or silent
        check_name(name)
        existing = self._model_or_none(name)
        owning_team = existing.team if existing else team or self._only_team(name)
        if existing is not None and options.get("task") is None:
            options["task"] = cast(Task, existing.task)
        bundle = build(model, progress=show, data=data, target=target, **options)
        if existing is None:
            self._create(name, team=owning_team, task=bundle.manifest["task"], owner=owner)
            show(f"{name}: created for team {owning_team}")
        registration = Registration(self._http, name, bundle, show)
        registration.upload()
        version = registration.register(description=description)
        return registration.wait(version.version) if wait else version

    def wait(
        self, name: str, version: int, *, timeout_s: float = PATIENCE_S, progress: Progress | None = None
    ) -> Version:
        """Wait until a version has been examined; raises `NotReady` with the reasons if it was rejected."""
        return wait_for(self._http, name, version, progress=progress or silent, timeout_s=timeout_s)

    # Predictions

    def predict(
        self,
        name: str,
        rows: Sequence[Row] | Frame,
        *,
        ids: Sequence[str] | None = None,
        subjects: Sequence[str] | None = None,
        at: Time | Sequence[Time] | None = None,
        version: int | None = None,
        explain: bool = False,
    ) -> Predictions:
        """Answer rows with a model's champion.

        Parameters
        ----------
        name
            A model, or ``model@alias``.
        rows
            A list of mappings, or a pandas DataFrame. Missing values (None, NaN,
            NaT, NA) are sent as null. More than 5,000 rows or 3 MB are sent in parts.
        ids
            Names of the rows, by which outcomes find them later; made when left out.
        subjects
            The person each row is about.
        at
            When the rows happened: one time for all, or one each. Now, when left out.
        version
            Ask this version instead (needs the role scientist or engineer).
        explain
            Say as well which columns moved each answer, and how far. Takes far
            longer, so it is asked for 20 rows at a time.

        Raises
        ------
        InvalidRows
            With a pointer to each value that breaks the contract; no row of that
            part is answered then.
        """
        request = Request.of(rows, ids=ids, subjects=subjects, at=at, explain=explain)
        parts = (self.answer(name, part, version=version) for part in request.batches())
        return Predictions(name, tuple(item for part in parts for item in part))

    def answer(self, name: str, request: Request, *, version: int | None = None) -> list[Prediction]:
        """Answer rows that fit one request, as `Request.batches` gives them."""
        path = f"{model_path(name)}/predict" + ("" if version is None else f"?version={version:d}")
        # Rows have ids, so a request that is sent twice is counted once.
        body = self._http.post(path, request.body(), is_repeatable=True).body
        return [Prediction.of(p, body["version"]) for p in body["predictions"]]

    # Who answers

    def promote(self, name: str, version: int, *, reason: str) -> Swap:
        """Make a version the champion: it answers within seconds, and no request fails meanwhile."""
        body = {"version": version, "reason": reason}
        return Swap.of(self._http.write("POST", f"{model_path(name)}/promote", body).body)

    def rollback(self, name: str, *, reason: str, version: int | None = None) -> Swap:
        """Return to the last champion, or to any past one."""
        body: dict[str, Any] = {"reason": reason}
        if version is not None:
            body["version"] = version
        return Swap.of(self._http.write("POST", f"{model_path(name)}/rollback", body).body)

    def explanation(self, name: str, prediction: str) -> Mapping[str, Any]:
        """Why a stored prediction came out as it did: ``base``, and what each column added (``values``).

        The version that made it explains it, whoever is champion now. `NotFound` until
        its record was taken, some seconds after the answer, and once it has expired.
        """
        path = f"{model_path(name)}/predictions/{quote(prediction, safe='')}/explanation"
        found: Mapping[str, Any] = self._http.get(path).body["explanation"]
        return found

    @overload
    def champion(self, name: str) -> Reign: ...
    @overload
    def champion(self, name: str, as_of: datetime | None) -> Reign | None: ...
    def champion(self, name: str, as_of: datetime | None = None) -> Reign | None:
        """Who answers now, or answered at `as_of` (UTC when it names no zone).

        None for a time at which nobody did; `NotFound` when nobody does now.
        """
        body = self._http.get(f"{model_path(name)}/champion", as_of=time_text(as_of)).body
        return None if body["version"] is None else Reign.of(body)

    def timeline(self, name: str) -> Iterator[Reign]:
        """Every reign, newest first."""
        return map(Reign.of, self._pages(f"{model_path(name)}/timeline"))

    def set_alias(self, name: str, alias: str, version: int, *, pinned: bool | None = None) -> Alias:
        """Point a name of one's own at a version: ``predict("model@alias", …)`` asks it.

        A pinned one neither moves nor goes until it is unpinned; None leaves that as it is.
        """
        body = {"version": version} if pinned is None else {"version": version, "pinned": pinned}
        return Alias.of(self._http.write("PUT", f"{model_path(name)}/aliases/{alias}", body).body)

    def alias(self, name: str, alias: str) -> Alias:
        return Alias.of(self._http.get(f"{model_path(name)}/aliases/{alias}").body)

    def aliases(self, name: str) -> Iterator[Alias]:
        return map(Alias.of, self._pages(f"{model_path(name)}/aliases"))

    def delete_alias(self, name: str, alias: str) -> None:
        self._http.write("DELETE", f"{model_path(name)}/aliases/{alias}", None)

    def policy(self, name: str, number: int | None = None) -> Policy:
        """The policy that holds for a model's answers, or the one that was put under `number`."""
        return Policy.of(self._http.get(f"{model_path(name)}/policy", number=number).body)

    def put_policy(self, name: str, document: Mapping[str, Any], *, after: int | None = None) -> Policy:
        """Put a policy in force; predictors follow within seconds.

        With `after`, only if the policy of that number still holds:
        `PreconditionFailed` otherwise, and nothing changes. What the policy leaves
        out gets its default, not the value that held before.
        """
        if_match = None if after is None else f'"{after}"'
        path = f"{model_path(name)}/policy"
        return Policy.of(self._http.write("PUT", path, dict(document), if_match=if_match).body)

    def _create(self, name: str, *, team: str, task: str, owner: str | None) -> None:
        try:
            self.create_model(name, team=team, task=task, owner=owner)
        except Conflict:
            self.model(name)  # somebody else was faster; raises if it is another team's

    def _only_team(self, name: str) -> str:
        teams = self.me().teams
        if len(teams) != 1:
            raise InvalidInput(
                f"There is no model {name!r} yet, and you are in {len(teams)} teams: say team=….",
                faults=[Fault("/team", f"your teams: {', '.join(teams) or 'none'}")],
            )
        return teams[0]

    def _model_or_none(self, name: str) -> Model | None:
        try:
            return self.model(name)
        except NotFound:
            return None

    def _pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        cursor: str | None = None
        while True:
            page = self._http.get(path, limit=PAGE, cursor=cursor).body
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return
