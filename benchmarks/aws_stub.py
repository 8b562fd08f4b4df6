"""Loopback answers of DynamoDB, S3 and SQS for one model: the least that a cold start calls."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def answering(objects: Mapping[str, bytes], item: Mapping[str, Any]) -> Iterator[str]:
    """The endpoint's URL; `objects` by the last part of their key, `item` answers every GetItem."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body go out in one piece: Nagle's wait for an acknowledgement would be measured.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            content = objects.get(self.path.partition("?")[0].rpartition("/")[2])
            if content is None:
                self._answer(404, b"")
            else:
                self._answer(200, content, "application/octet-stream")

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            target = self.headers.get("X-Amz-Target", "")
            if target.endswith(".GetItem"):
                self._answer(200, json.dumps({"Item": item}).encode(), "application/x-amz-json-1.0")
            elif target.endswith(".SendMessage"):
                message = json.loads(body)["MessageBody"].encode()
                digest = hashlib.md5(message, usedforsecurity=False).hexdigest()
                answer = {"MessageId": "1", "MD5OfMessageBody": digest}
                self._answer(200, json.dumps(answer).encode(), "application/x-amz-json-1.0")
            else:
                self._answer(400, b"{}", "application/x-amz-json-1.0")

        def _answer(self, status: int, content: bytes, kind: str = "text/plain") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            self.wfile.flush()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
