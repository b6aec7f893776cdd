"""Decides which IP addresses are public, to prevent requests to internal services (SSRF).

Only addresses that are known to be public are allowed. All others are not, and neither are IPv6 addresses that contain
an IPv4 address (mapped, 6to4, Teredo, NAT64). Sources are the registries of IANA:
https://www.iana.org/assignments/iana-ipv4-special-registry and ...ipv6-special-registry.
"""

from ipaddress import IPv4Address, ip_address, ip_network

NOT_PUBLIC_4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        # Public by its number, but it is the metadata service of Azure.
        "168.63.129.16/32",
    )
)  # fmt: skip
UNICAST_6 = ip_network("2000::/3")
NOT_PUBLIC_6 = tuple(
    ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


def is_public(text: str) -> bool:
    """Whether a request may go to this address. A text that is not an address is not public."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_4)
    return address in UNICAST_6 and not any(address in network for network in NOT_PUBLIC_6)
