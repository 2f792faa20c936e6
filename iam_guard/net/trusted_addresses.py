"""Classification of server addresses (loopback, public), and the TLS context that verifies servers."""

from __future__ import annotations

import ipaddress
import ssl
from typing import Final

from iam_guard.errors import ConfigurationError

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def trusting(ca_file: str, *, place: str) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's authorities and those of a file; `place` names the setting."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError):
            message = f"expected a file of PEM certificates, got `{ca_file}`"
            raise ConfigurationError(message, place=place) from None
    return context


def is_public(address: str) -> bool:
    """Return whether an address is public: routable on the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.sixtofour is not None or ip.teredo is not None or ip in _NAT64:
            return False  # embeds an IPv4 address of the sender's choice
        ip = ip.ipv4_mapped or ip
    return ip.is_global and not ip.is_multicast
