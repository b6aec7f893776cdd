"""The client address of a connection."""

import pytest

from chatd.core.addresses import bucket, client_address, is_loopback, parse_networks

PROXIES = parse_networks(["10.0.0.0/8", "::1", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, junk, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "junk", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.1", ",".join(["10.0.0.2"] * 10_000), "10.0.0.2"),
    ],
)
def test_forwarded_addresses_are_accepted_only_from_trusted_proxies(peer: str, forwarded: str, client: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


def test_addresses_of_one_ipv6_network_count_once() -> None:
    assert bucket("2001:db8::1") == bucket("2001:db8::ffff:1") != bucket("2001:db8:0:1::1")
    assert bucket("192.0.2.1") == bucket("::ffff:192.0.2.1") != bucket("192.0.2.2")
    assert bucket("fe80::1%eth0") == bucket("fe80::2")
    assert bucket("unknown") == "unknown"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LocalHost.", True),
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("", False),
        ("localhost.example.org", False),
        ("a.localhost", False),
        ("127.0.0.1.example.org", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_names_and_addresses_of_the_own_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
