"""The whole service in this process behind a real HTTP server on loopback, with memory in AWS's place.

The routes are those of ``app.py`` with the authorizer in front, as API Gateway
has it, and presigned uploads go to the same server. Once a registration's
answer has been sent, the version is examined as `examination` says: really, in
a child process; by accepting it unseen, which is fast; or not at all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from chalice.test import Client as ChaliceClient
from fakes import Gateway, MemoryArtifacts, MemoryContainer, issuer, token_of

from app import app
from chalicelib.bootstrap import replaced
from chalicelib.ports import Upload

UPLOADS = "/uploads/"
TEAM = "demo"


class UploadableArtifacts(MemoryArtifacts):
    """Files that are uploaded to `url`; `failures` are statuses that the next uploads get instead."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.uploads = 0
        self.failures: list[int] = []

    def presign(self, sha256: str, *, size: int, media_type: str, now: datetime) -> Upload:
        headers = {"content-type": media_type, "x-signed-size": str(size)}
        return Upload("PUT", f"{self.url}{UPLOADS}{sha256}", headers, now + timedelta(minutes=15))

    def put(self, sha256: str, headers: Mapping[str, str], body: bytes) -> int:
        self.uploads += 1
        if self.failures:
            return self.failures.pop(0)
        # As a presigned URL does: other headers than the signed ones, or a second authorisation, are refused.
        if headers.get("x-signed-size") != str(len(body)) or "authorization" in headers:
            return 403
        self.stored[sha256] = body
        return 200


class Service:
    """The running service, as a test sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.examination: Literal["real", "unseen", "none"] = "unseen"
        self.artifacts = UploadableArtifacts(url)
        self.at_hand = MemoryContainer(issuers=(issuer(),))
        self.at_hand.artifacts = self.artifacts
        self.at_hand.settings = replace(self.at_hand.settings, pointer_interval_s=0.01)
        self._gateway = Gateway(app)
        self._lock = threading.Lock()

    def token(self, *roles: str, teams: tuple[str, ...] = (TEAM,)) -> str:
        return token_of(*(roles or ("scientist", "engineer")), teams=teams)

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, Any], bytes]:
        with self._lock:
            if path.startswith(UPLOADS):
                return self.artifacts.put(path.removeprefix(UPLOADS), headers, body), {}, b""
            answer = self._gateway.call(method, path, body=body, headers=headers)
            # API Gateway's own 401 comes without a body from the gateway of the tests.
            content = answer.body or (b"" if answer.json is None else json.dumps(answer.json).encode())
            return answer.status, dict(answer.headers), content

    def examine(self) -> None:
        """Hand the queue's messages to the examiner, as Lambda does."""
        with self._lock:
            bodies, self.at_hand.examination_queue.sent = self.at_hand.examination_queue.sent, []
            if self.examination == "unseen":
                for body in bodies:
                    message = json.loads(body)
                    self.at_hand.accept(message["model"], message["version"])
            elif bodies:
                with ChaliceClient(app) as client:
                    event = client.events.generate_sqs_event(bodies)
                    client.lambda_.invoke("examiner", event)


@contextmanager
def running_service() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, extra, content = service.answer(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, str(value))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()
            if service.examination != "none" and self.command == "POST":
                service.examine()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._answer)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        service = Service(f"http://127.0.0.1:{http.server_port}")
        with replaced(service.at_hand):
            thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            yield service
            http.shutdown()
            thread.join()
