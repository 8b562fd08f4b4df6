"""One call of a webhook: resolved once, checked, and made to exactly the address that was checked."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urljoin

from chalicelib.outbox.addresses import DEFAULT_PORTS, Network, Place, check, parse
from tiltyard.errors import Unavailable

CONNECT_S = 3.0
TOTAL_S = 10.0
MAX_REDIRECTS = 3
MAX_TRIED = 3
# Those that keep method and body (RFC 9110 sections 15.4.8, 15.4.9); by the others a POST becomes a GET.
_REDIRECTS = frozenset({307, 308})

Resolve = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as this machine's resolver gives them; none for a name that isn't known."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return ()
    # Of an IPv6 address with a zone (fe80::1%eth0) the zone is dropped: it is refused whatever the zone.
    return tuple(dict.fromkeys(str(info[4][0]).partition("%")[0] for info in found))


@dataclass(frozen=True, slots=True)
class Reply:
    """The status that a receiver answered with. Its body is never read."""

    status: int

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Caller:
    """Makes calls. `networks` may be called though they are private; `context` verifies certificates."""

    def __init__(
        self,
        networks: Sequence[Network] = (),
        *,
        resolve: Resolve = resolve,
        context: ssl.SSLContext | None = None,
        total_s: float = TOTAL_S,
    ) -> None:
        self._networks = tuple(networks)
        self._resolve = resolve
        self._context = context
        self._total_s = total_s

    def check(self, url: str) -> None:
        """Raises `InvalidInput` unless `url` may be called as things are now."""
        self._checked(parse(url))

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send `body`, follow at most 3 redirects (307, 308), each checked like the first address.

        Takes 10 seconds at most, and what the resolver takes beside.

        Raises
        ------
        InvalidInput
            When the address, or one that it redirects to, may not be called.
        Unavailable
            When nobody answers in time, or not in HTTP, or the certificate isn't the host's.
        """
        end = time.monotonic() + self._total_s
        for _ in range(MAX_REDIRECTS + 1):
            place = parse(url)
            status, location = self._send(place, self._checked(place), body, headers, end)
            if status not in _REDIRECTS or location is None:
                return Reply(status)
            url = urljoin(url, location)
        raise Unavailable(f"it redirects more than {MAX_REDIRECTS} times")

    def _checked(self, place: Place) -> tuple[str, ...]:
        return check(place, self._resolve(place.host, place.port), self._networks)

    def _send(
        self, place: Place, addresses: Sequence[str], body: bytes, headers: Mapping[str, str], end: float
    ) -> tuple[int, str | None]:
        try:
            opened = _connected(addresses, place.port, end)
            with opened, _closed_at(end, opened) as watched:
                connection = self._connection(place, watched)
                connection.request(
                    "POST", place.target, body=body, headers={**headers, "Host": _authority(place)}
                )
                answer = connection.getresponse()
                return answer.status, answer.getheader("location")
        except ssl.SSLCertVerificationError as exc:
            raise Unavailable(f"{place.host} has no certificate of its own: {exc.verify_message}") from exc
        except (OSError, http.client.HTTPException, ValueError) as exc:
            is_late = time.monotonic() >= end
            why = f"took longer than {self._total_s:g} s" if is_late else type(exc).__name__
            raise Unavailable(f"{place.host} gave no answer ({why})") from exc

    def _connection(self, place: Place, watched: _Watched) -> http.client.HTTPConnection:
        """With its socket made beforehand, so that no name is resolved again."""
        if place.scheme == "http":
            connection = http.client.HTTPConnection(place.host, place.port)
        else:
            context = self._context or ssl.create_default_context()
            secure = context.wrap_socket(
                watched.socket, server_hostname=place.host, do_handshake_on_connect=False
            )
            watched.socket = secure
            secure.do_handshake()
            connection = http.client.HTTPSConnection(place.host, place.port, context=context)
        connection.sock = watched.socket
        return connection


@dataclass(slots=True)
class _Watched:
    socket: socket.socket


@contextmanager
def _closed_at(end: float, opened: socket.socket) -> Iterator[_Watched]:
    """Shut the socket at `end`: a timeout of its own counts anew with every byte that trickles in."""
    watched = _Watched(opened)

    def shut() -> None:
        with suppress(OSError):  # closed already
            # Not SSLSocket's own, which takes its state from under the thread that reads.
            socket.socket.shutdown(watched.socket, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, end - time.monotonic()), shut)
    timer.daemon = True
    timer.start()
    try:
        yield watched
    finally:
        timer.cancel()
        watched.socket.close()


def _connected(addresses: Sequence[str], port: int, end: float) -> socket.socket:
    failure: OSError = TimeoutError()
    for address in addresses[:MAX_TRIED]:
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            opened = socket.create_connection((address, port), timeout=min(CONNECT_S, left))
        except OSError as exc:
            failure = exc
            continue
        opened.settimeout(max(0.001, end - time.monotonic()))
        return opened
    raise failure


def _authority(place: Place) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return host if place.port == DEFAULT_PORTS[place.scheme] else f"{host}:{place.port}"
