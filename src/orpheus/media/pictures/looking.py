"""Who looks at pictures here? A service, the weights of the extra `labels`, or nobody.

ORPHEUS_LABELS unset      the chat service, where one is configured (ORPHEUS_CHAT_URL)
ORPHEUS_LABELS=service    the same, and its absence is an error that says so
ORPHEUS_LABELS=local      this machine; no picture is sent anywhere
ORPHEUS_LABELS=off        nobody
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Final, Protocol

from orpheus.media.errors import ExtraMissing, InvalidInput
from orpheus.media.pictures import labels, objects, vision
from orpheus.media.pictures.seen import Seen
from orpheus.media.providers import configured, openai
from orpheus.media.providers.configured import Configured

if TYPE_CHECKING:
    from PIL.Image import Image

SETTING: Final = "ORPHEUS_LABELS"
_CHOICES: Final = ("", "service", "local", "off")


class Looker(Protocol):
    """Something that says what is on a picture."""

    name: str
    no_caption: str
    """Why it may give no caption, for people."""

    def look(
        self, picture: Image, full: tuple[int, int], *, least_score: float, caption: bool, spend: openai.Spend
    ) -> Seen: ...


class _Local:
    name = labels.NAME
    no_caption = f"No caption: these labels were made on this machine ({SETTING}=local), and captions need a service."

    def look(
        self, picture: Image, full: tuple[int, int], *, least_score: float, caption: bool, spend: openai.Spend
    ) -> Seen:
        finder = _detector()
        things = finder.things(picture, full, least_score=least_score) if finder is not None else []
        return Seen(_labeller().labels(picture, least_score=least_score), things)


class _Service:
    no_caption = "No caption: the service gave none."

    def __init__(self, chat: Configured) -> None:
        self._chat = chat
        self.name = chat.model

    def look(
        self, picture: Image, full: tuple[int, int], *, least_score: float, caption: bool, spend: openai.Spend
    ) -> Seen:
        return vision.look(self._chat, picture, full, least_score=least_score, caption=caption, spend=spend)


@functools.cache
def _labeller() -> labels.Labeller:
    return labels.Labeller()


@functools.cache
def _detector() -> objects.Detector | None:
    return objects.detector()


def looker() -> Looker:
    """Return who looks at pictures here.

    Raises:
        ExtraMissing: nobody does; the hint says how somebody would.
        InvalidInput: the setting is none of the four.
    """
    chosen = os.environ.get(SETTING, "").strip().lower()
    if chosen not in _CHOICES:
        raise InvalidInput(f"{SETTING} is {chosen[:40]!r}; it may be service, local or off, or not be set")
    if chosen == "local":
        return _Local()
    chat = configured.chat() if chosen in ("", "service") else None
    if chat is not None:
        return _Service(chat)
    raise ExtraMissing(
        "nothing that looks at pictures is configured here",
        hint="Set ORPHEUS_CHAT_URL to a service whose model sees, or install the extra labels and set "
        f"{SETTING}=local; docs/images.md tells more.",
    )
