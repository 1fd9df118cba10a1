"""A receiver of webhooks with nothing but the standard library: checks the signature, drops repeats, answers.

export WEBHOOK_SECRET=$(orpheus webhooks secret --url http://127.0.0.1:8700)
python examples/webhook_receiver.py 9000
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300.0


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Check a call as Standard Webhooks says: over the bytes that came, and not from long ago."""
    sent_at = headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(now - int(sent_at)) > TOLERANCE_S:
        return False
    signed = f"{headers.get('webhook-id', '')}.{sent_at}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = (one.removeprefix("v1,") for one in headers.get("webhook-signature", "").split())
    return any(hmac.compare_digest(wanted, one) for one in given)


class Inbox:
    """What has come, each delivery once: it may be sent again when our answer was lost."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.seen: set[str] = set()
        self.news: list[str] = []

    def take(self, headers: Mapping[str, str], body: bytes, now: float) -> int:
        """Take a call and return the status to answer."""
        if not is_genuine(self.secret, headers, body, now):
            return 401
        if headers["webhook-id"] not in self.seen:
            self.seen.add(headers["webhook-id"])
            told = json.loads(body)
            self.news.append(f"{told['type']} {told['data'].get('job_id', '')}".strip())
        return 204


def handler(inbox: Inbox) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            before = len(inbox.news)
            status = inbox.take({name.lower(): value for name, value in self.headers.items()}, body, time.time())
            for line in inbox.news[before:]:
                sys.stdout.write(f"{line}\n")
            self.send_response(status)
            self.end_headers()

    return Handler


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    with ThreadingHTTPServer(("127.0.0.1", port), handler(Inbox(os.environ["WEBHOOK_SECRET"]))) as server:
        server.serve_forever()
