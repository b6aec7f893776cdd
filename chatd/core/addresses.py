"""The client address of a connection, and the bucket that an address counts for.

X-Forwarded-For is a claim. It is accepted only from the proxies in the configuration and read from the right; the first
address that is not such a proxy is the client's. One IPv6 customer has a /64, so limits count by /64.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The value of a Host header (RFC 9110, section 7.2): an IPv6 address in brackets, or a name or IPv4 address; then the
# port.
HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{0,255}))(?::[0-9]{0,5})?")

# A name has 253 characters at most; a port has five, and a colon.
MAX_HOST = 259

# Real chains of proxies are shorter.
MAX_CHAIN = 32

# Addresses whose bucket is remembered.
MAX_CACHED = 10_000


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Addresses or networks. Raises ValueError."""
    return tuple(ip_network(text, strict=False) for text in texts)


def is_trusted(peer: str, proxies: Sequence[Network]) -> bool:
    if not proxies:
        return False
    address = parse(peer)
    return address is not None and any(address in network for network in proxies if network.version == address.version)


def client_address(peer: str, forwarded: str, proxies: Sequence[Network]) -> str:
    """The client behind `peer`, given the value of X-Forwarded-For ("" for none)."""
    if not forwarded or not is_trusted(peer, proxies):
        return peer
    client = peer
    for hop in reversed(forwarded.split(",")[-MAX_CHAIN:]):
        address = parse(hop.strip())
        if address is None:
            break
        client = str(address)
        if not is_trusted(client, proxies):
            break
    return client


@lru_cache(maxsize=MAX_CACHED)
def bucket(address: str) -> str:
    """What limits count as one address: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return address if parsed is None else str(parsed)


def parse(text: str) -> Address | None:
    """The parsed address; None if the text is not an address. An IPv4 address mapped into IPv6 counts as IPv4."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def name_of(host: str) -> str:
    """The name or address in a Host header, without the port; "" if the header is not valid, such as with userinfo."""
    match = HOST.fullmatch(host)
    return (match[1] or match[2]) if match else ""


def is_loopback(host: str) -> bool:
    """Whether a name or an address is one of this machine for everybody who uses it."""
    host = host.lower().removesuffix(".")
    address = parse(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def can_be_encoded(host: str) -> bool:
    """Whether a Host header has the length and the labels that a name allows (RFC 1035, section 2.3.4). Routing encodes
    it.

    Only ASCII: IDNA takes 5 microseconds for each other character.
    """
    if len(host) > MAX_HOST or not host.isascii():
        return False
    try:
        host.partition(":")[0].encode("idna")
    except UnicodeError:
        return False
    return True
