"""Which addresses webhooks may lead to: none that isn't of the public Internet, however it is written."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.outbox.addresses import MAX_URL, Place, check, parse, refusal
from chalicelib.outbox.calls import Caller
from tiltyard.errors import InvalidInput

# IANA's registries of special-purpose addresses (RFC 6890), multicast, and what translates to them.
NOT_PUBLIC = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "::ffff:0:0/104",
    "::ffff:127.0.0.0/104",
    "::ffff:10.0.0.0/104",
    "::ffff:169.254.0.0/112",
    "::ffff:192.168.0.0/112",
    "::7f00:0/104",
    "64:ff9b::7f00:0/104",
    "64:ff9b::a9fe:0/112",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:db8::/32",
    "2002:7f00::/24",
    "2002:a00::/24",
    "2002:a9fe::/32",
    "2002:c0a8::/32",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fd00:ec2::254/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]
PUBLIC = ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
EXAMPLE = parse("https://hooks.example.org/in")


@pytest.mark.parametrize("network", NOT_PUBLIC)
def test_no_address_of_a_special_range_may_be_called(network):
    found = ip_network(network)

    for address in (found[0], found[found.num_addresses // 2], found[-1]):
        assert refusal(address) is not None, address
        with pytest.raises(InvalidInput):
            check(EXAMPLE, [str(address)], [])


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_internet_may_be_called(address):
    assert refusal(ip_address(address)) is None
    assert check(EXAMPLE, [address], []) == (address,)


@settings(max_examples=500)
@given(st.sampled_from(NOT_PUBLIC), st.data())
def test_any_address_of_these_ranges_is_refused(network, data):
    found = ip_network(network)
    assert refusal(found[data.draw(st.integers(0, found.num_addresses - 1))]) is not None


def test_one_private_address_among_public_ones_refuses_them_all():
    with pytest.raises(InvalidInput, match=r"10\.0\.0\.7"):
        check(EXAMPLE, ["93.184.215.14", "10.0.0.7"], [])


def test_a_name_without_addresses_is_refused():
    with pytest.raises(InvalidInput, match="resolves to no address"):
        check(EXAMPLE, [], [])


def test_a_network_of_the_settings_may_be_called_by_plain_http_too():
    own = [ip_network("10.1.0.0/16")]

    assert check(parse("http://intranet/hook"), ["10.1.2.3"], own) == ("10.1.2.3",)
    with pytest.raises(InvalidInput):
        check(parse("http://intranet/hook"), ["10.2.0.1"], own)
    with pytest.raises(InvalidInput, match="https"):
        check(parse("http://hooks.example.org/"), ["93.184.215.14"], own)


# Spellings of 127.0.0.1 that resolvers take, and names that lead to it.
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "0",
        "localhost",
        "LOCALHOST",
        "localhost.",
    ],
)
def test_odd_spellings_of_this_machine_are_refused(host):
    with pytest.raises(InvalidInput):
        Caller().check(f"https://{host}/hook")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.org",
        "//hooks.example.org/",
        "ftp://hooks.example.org/",
        "file:///etc/passwd",
        "gopher://hooks.example.org/",
        "https://",
        "https:///path",
        "https://user:word@hooks.example.org/",
        "https://hooks.example.org@127.0.0.1/",
        "https://hooks.example.org:0/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org:x/",
        "https://hooks.example.org/#top",
        "https://hooks.example.org/a b",
        "https://hooks.example.org\\@127.0.0.1/",
        "https://hooks.example.org/\r\nX-Evil: 1",
        "https://hööks.example.org/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://hooks.example.org/" + "a" * MAX_URL,
    ],
)
def test_what_could_be_misread_is_no_address_of_a_webhook(url):
    with pytest.raises(InvalidInput) as raised:
        parse(url)

    (fault,) = raised.value.faults
    assert fault.pointer == "/url"


def test_a_url_is_taken_apart():
    assert parse("https://hooks.example.org:8443/in?a=1&b=2") == Place(
        "https", "hooks.example.org", 8443, "/in?a=1&b=2"
    )
    assert parse("https://[2606:4700::1]") == Place("https", "2606:4700::1", 443, "/")
