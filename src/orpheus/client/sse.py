"""How is a stream of server-sent events read? Chunks of bytes in, messages out (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import re

import msgspec

_USUAL = re.compile(r"id: (.*)\nevent: (.+)\ndata: (.*)\n\n")
"""A message as the server writes nearly all: taken in one go where one begins."""


class Message(msgspec.Struct):
    event: str
    data: str
    id: str | None
    """The id this message carried itself; None when it carried none."""


class SSEParser:
    """Collects lines into messages. Chunks may cut anywhere, also inside a character or between CR and LF."""

    def __init__(self) -> None:
        self._rest = b""
        self._event = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, chunk: bytes) -> list[Message]:
        """Return the messages that `chunk` completes."""
        text = self._rest + chunk
        if text.endswith(b"\r"):  # the LF may be in the next chunk
            text, held = text[:-1], b"\r"
        else:
            held = b""
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = text.rfind(b"\n") + 1
        self._rest = text[end:] + held
        lines = text[:end].decode("utf-8", "replace")
        found = []
        at = 0
        if not self._event and not self._data and self._id is None:
            while (usual := _USUAL.match(lines, at)) is not None:
                found.append(Message(*usual.group(2, 3, 1)))
                at = usual.end()
        for line in lines[at:].split("\n")[:-1]:
            if line.startswith("data: "):  # next to every line is one of these three
                self._data.append(line[6:])
            elif line.startswith("id: "):
                self._id = line[4:]
            elif line.startswith("event: "):
                self._event = line[7:]
            else:
                message = self._line(line)
                if message is not None:
                    found.append(message)
        return found

    def _line(self, line: str) -> Message | None:
        if not line:
            return self._finish()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            self._id = value
        return None  # a comment (":…") keeps the connection alive and says nothing else

    def _finish(self) -> Message | None:
        event, data, identity = self._event, self._data, self._id
        self._event, self._data, self._id = "", [], None
        if not data and not event and identity is None:
            return None
        return Message(event or "message", data[0] if len(data) == 1 else "\n".join(data), identity)
