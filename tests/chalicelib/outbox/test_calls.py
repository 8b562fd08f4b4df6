"""Calls of webhooks against real servers: pinned addresses, redirects, TLS, and receivers that misbehave."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from scripted_server import scripted_server

from chalicelib.outbox.calls import MAX_REDIRECTS, Caller
from tiltyard.errors import InvalidInput, Unavailable

LOOPBACK = (ip_network("127.0.0.0/8"),)
BODY = b'{"id": "1"}'
HEADERS = {"webhook-id": "1.hook", "Content-Type": "application/cloudevents+json"}


def own_caller(**options):
    return Caller(LOOPBACK, **options)


def test_a_delivery_arrives_with_its_headers_and_to_the_byte():
    with scripted_server() as server:
        server.answers = [(204, {}, None)]

        reply = own_caller().post(server.url + "/in?team=a", BODY, HEADERS)

    (seen,) = server.seen
    assert reply.status == 204
    assert (seen.method, seen.path, seen.body) == ("POST", "/in?team=a", BODY)
    assert seen.headers["webhook-id"] == "1.hook"
    assert seen.headers["host"] == server.url.removeprefix("http://")


@pytest.mark.parametrize("status", [200, 201, 301, 302, 303, 400, 404, 410, 500, 503])
def test_the_status_is_given_as_it_was_answered(status):
    with scripted_server() as server:
        server.answers = [(status, {"Location": "http://127.0.0.1:1/"}, {"any": "body"})]

        reply = own_caller().post(server.url, BODY, HEADERS)

    assert reply.status == status
    assert reply.is_success == (status < 300)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_the_method_is_followed_with_the_same_request(status):
    with scripted_server() as server:
        server.answers = [(status, {"Location": "/there?x=1"}, None), (200, {}, None)]

        reply = own_caller().post(server.url + "/here", BODY, HEADERS)

    assert reply.status == 200
    assert [(seen.path, seen.body) for seen in server.seen] == [("/here", BODY), ("/there?x=1", BODY)]


def test_redirects_end():
    with scripted_server() as server:
        server.answers = [(307, {"Location": "/again"}, None)]

        with pytest.raises(Unavailable, match="redirects"):
            own_caller().post(server.url, BODY, HEADERS)

    assert len(server.seen) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/latest/meta-data/",
        "http://10.0.0.1/",
        "https://192.168.1.1/",
        "http://2852039166/",
        "//169.254.169.254/",
        "file:///etc/passwd",
        "http://user@127.0.0.1/",
        "http://93.184.215.14/",
    ],
)
def test_a_redirect_to_where_no_webhook_may_lead_is_refused(location):
    with scripted_server() as server:
        server.answers = [(308, {"Location": location}, None)]

        with pytest.raises(InvalidInput):
            own_caller().post(server.url, BODY, HEADERS)

    assert len(server.seen) == 1


def test_a_name_is_resolved_once_and_the_checked_address_called():
    """What the name says a moment later (DNS rebinding) counts for nothing."""
    asked = []

    with scripted_server() as server:
        server.answers = [(200, {}, None)]
        port = int(server.url.rpartition(":")[2])

        def resolve(host, port):
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

        own_caller(resolve=resolve).post(f"http://hooks.example.org:{port}/", BODY, HEADERS)

    assert asked == ["hooks.example.org"]
    assert server.seen[0].headers["host"] == f"hooks.example.org:{port}"


def test_a_name_that_leads_inside_is_refused_before_anything_is_sent():
    with scripted_server() as server:
        server.answers = [(200, {}, None)]
        port = server.url.rpartition(":")[2]

        with pytest.raises(InvalidInput, match="this machine"):
            Caller(resolve=lambda host, port: ["127.0.0.1"]).post(
                f"https://hooks.example.org:{port}/", BODY, HEADERS
            )

    assert server.seen == []


def test_nobody_at_the_address_is_said():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"

    with pytest.raises(Unavailable, match="gave no answer"):
        own_caller().post(url, BODY, HEADERS)


def test_a_receiver_that_hangs_up_is_said_to():
    with scripted_server() as server:
        server.answers = [None]

        with pytest.raises(Unavailable, match="gave no answer"):
            own_caller().post(server.url, BODY, HEADERS)


@contextmanager
def raw_server(serve) -> Iterator[int]:
    """A TCP server that does with each connection what a test says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        stopped = threading.Event()

        def run() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    try:
                        serve(connection, stopped)
                    except OSError:
                        continue  # the other side is gone, as it should be

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopped.set()
            thread.join()


def never_answer(connection, stopped):
    stopped.wait(20)


def answer_by_drops(connection, stopped):
    """A byte now and then: each comes in time, the answer never."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        if stopped.wait(0.05):
            return
        connection.sendall(bytes([byte]))


def answer_without_end(connection, stopped):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not stopped.is_set():
        connection.sendall(b"y" * 65_536)


@pytest.mark.parametrize("serve", [never_answer, answer_by_drops, answer_without_end])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_never_ends_is_left_at_the_deadline(serve, scheme):
    with raw_server(serve) as port:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            own_caller(total_s=0.5).post(f"{scheme}://127.0.0.1:{port}/", BODY, HEADERS)
        took = time.monotonic() - began

    assert took < 10, "the deadline was half a second"


def test_a_body_without_end_is_not_waited_for():
    def serve(connection, stopped):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"y" * 100)
        stopped.wait(20)

    with raw_server(serve) as port:
        assert own_caller().post(f"http://127.0.0.1:{port}/", BODY, HEADERS).status == 200


@pytest.mark.parametrize("answer", [b"", b"\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/9.9 abc\r\n\r\n"])
def test_what_is_no_http_is_said_to_be_no_answer(answer):
    def serve(connection, stopped):
        connection.recv(65_536)
        connection.sendall(answer)

    with raw_server(serve) as port, pytest.raises(Unavailable):
        own_caller().post(f"http://127.0.0.1:{port}/", BODY, HEADERS)


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """A server's context with a certificate for hooks.example.org, and the context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example.org")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example.org")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(pem + private)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(file)
    return serving, ssl.create_default_context(cadata=pem.decode())


def answer_over_tls(serving):
    def serve(connection, stopped):
        with serving.wrap_socket(connection, server_side=True) as secure:
            received = b""
            while not received.endswith(BODY):
                received += secure.recv(65_536)
            secure.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    return serve


def test_the_certificate_is_checked_by_the_name_though_the_address_is_called(certified):
    serving, trusting = certified

    with raw_server(answer_over_tls(serving)) as port:
        caller = own_caller(context=trusting, resolve=lambda host, port: ["127.0.0.1"])
        reply = caller.post(f"https://hooks.example.org:{port}/", BODY, HEADERS)

    assert reply.status == 202


@pytest.mark.parametrize("host", ["other.example.org", "127.0.0.1"])
def test_a_certificate_of_another_host_is_refused(certified, host):
    serving, trusting = certified

    with raw_server(answer_over_tls(serving)) as port, pytest.raises(Unavailable, match="certificate"):
        own_caller(context=trusting, resolve=lambda host, port: ["127.0.0.1"]).post(
            f"https://{host}:{port}/", BODY, HEADERS
        )


def test_a_certificate_that_nobody_vouches_for_is_refused(certified):
    serving, _ = certified

    with raw_server(answer_over_tls(serving)) as port, pytest.raises(Unavailable, match="certificate"):
        own_caller(resolve=lambda host, port: ["127.0.0.1"]).post(
            f"https://hooks.example.org:{port}/", BODY, HEADERS
        )
