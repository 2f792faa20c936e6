"""uvicorn with the TLS extension of ASGI: the verified client certificates of a connection, for `scope["extensions"]`.

For versions of uvicorn without the extension. Pass it to the server, and enable TLS certificates in the guard:

    uvicorn.run(app, http=CertificateProtocol, ssl_certfile="server.pem", ssl_keyfile="server.key",
                ssl_ca_certs="fleet-ca.pem", ssl_cert_reqs=ssl.CERT_OPTIONAL)
    open_guard(…, client_certificates=["tls"])

The handshake proves that the client has the key; the guard's trust anchors define which certificates are accepted. So
`ssl_ca_certs` has their authorities. Python before 3.13 returns only the client's own certificate, which is enough if
a trust anchor signed it directly.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class CertificateProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, with the client certificates of a TLS connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("ssl_object")
        chain = [] if connection is None else verified_chain(connection)
        app = self.app

        async def with_tls(scope: Any, receive: Any, send: Any) -> None:
            if connection is not None:
                tls = {"server_cert": None, "client_cert_chain": chain, "client_cert_error": None}
                scope = {**scope, "extensions": {**scope.get("extensions", {}), "tls": tls}}
            await app(scope, receive, send)

        self.app = with_tls


def verified_chain(connection: Any) -> list[str]:
    """Return the client's certificates in PEM, its own first; an empty list if it sent none."""
    if hasattr(connection, "get_verified_chain"):
        return [ssl.DER_cert_to_PEM_cert(each) for each in connection.get_verified_chain()]
    own = connection.getpeercert(binary_form=True)
    return [ssl.DER_cert_to_PEM_cert(own)] if own else []
