"""What does a client hear that does not speak HTTP? The envelope of every other error, not a line of plain text.

Such requests never reach the application: the parser refuses them (an unknown method, a URL beyond its limit, two lengths
for one body), so the answer is made where the connection is.
"""

from __future__ import annotations

import secrets

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orpheus.api.errors import MalformedBody, envelope

MALFORMED = MalformedBody(
    "this is not an HTTP request that can be read",
    hint="look at the method, the length of the URL and the headers; one length for the body is enough",
)


class Http1(HttpToolsProtocol):
    """uvicorn's protocol, with errors in the one shape there is."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and hang up: where the next request begins is not known."""
        correlation_id = secrets.token_hex(16)
        body = envelope(MALFORMED, correlation_id)
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-correlation-id: {correlation_id}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
