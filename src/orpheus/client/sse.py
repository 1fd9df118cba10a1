"""How is a stream of server-sent events read? Chunks of bytes in, messages out (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
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
        *lines, rest = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = rest + held
        found = []
        for line in lines:
            message = self._line(line.decode("utf-8", "replace"))
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
        return Message(event or "message", "\n".join(data), identity)
