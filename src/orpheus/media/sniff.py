"""What is this file? Answered from its first bytes, never from its name.

The table lists every type that is accepted and, for a message that helps, some that are not. Each accepted type names the
one decoder that may open it (`opener`), so that a playlist or script in disguise never reaches a demuxer that follows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from orpheus.media.errors import CorruptMedia, UnsupportedMedia

HEAD_BYTES: Final = 4096
"""How much of a file `sniff` wants to see."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type of file we take. `opener` is Pillow's format, or FFmpeg's demuxer; `suffixes` are the names it usually has."""

    kind: str
    """"image", "av" (video or audio: its streams tell) or "pdf"."""
    content_type: str
    opener: str
    label: str
    suffixes: tuple[str, ...]


JPEG = Type("image", "image/jpeg", "JPEG", "JPEG image", (".jpg", ".jpeg", ".jpe", ".jfif"))
PNG = Type("image", "image/png", "PNG", "PNG image", (".png", ".apng"))
GIF = Type("image", "image/gif", "GIF", "GIF image", (".gif",))
WEBP = Type("image", "image/webp", "WEBP", "WebP image", (".webp",))
TIFF = Type("image", "image/tiff", "TIFF", "TIFF image", (".tif", ".tiff"))
BMP = Type("image", "image/bmp", "BMP", "BMP image", (".bmp", ".dib"))
HEIC = Type("image", "image/heic", "HEIF", "HEIC image", (".heic", ".heif", ".hif"))
AVIF = Type("image", "image/avif", "AVIF", "AVIF image", (".avif",))
PDF = Type("pdf", "application/pdf", "pdf", "PDF document", (".pdf",))
MP4 = Type("av", "video/mp4", "mov", "MP4 file", (".mp4", ".m4v", ".m4a", ".m4b", ".3gp", ".3g2"))
MOV = Type("av", "video/quicktime", "mov", "QuickTime file", (".mov", ".qt", ".mp4"))
MATROSKA = Type("av", "video/x-matroska", "matroska", "Matroska or WebM file", (".mkv", ".webm", ".mka"))
AVI = Type("av", "video/x-msvideo", "avi", "AVI file", (".avi",))
MPEGTS = Type("av", "video/mp2t", "mpegts", "MPEG transport stream", (".ts", ".mts", ".m2ts"))
FLV = Type("av", "video/x-flv", "flv", "Flash video", (".flv",))
MP3 = Type("av", "audio/mpeg", "mp3", "MP3 recording", (".mp3",))
AAC = Type("av", "audio/aac", "aac", "AAC recording", (".aac",))
FLAC = Type("av", "audio/flac", "flac", "FLAC recording", (".flac",))
WAV = Type("av", "audio/wav", "wav", "WAV recording", (".wav", ".wave"))
OGG = Type("av", "audio/ogg", "ogg", "Ogg file", (".ogg", ".oga", ".ogv", ".opus"))
AIFF = Type("av", "audio/aiff", "aiff", "AIFF recording", (".aif", ".aiff", ".aifc"))

ACCEPTED: Final = (
    JPEG, PNG, GIF, WEBP, TIFF, BMP, HEIC, AVIF, PDF, MP4, MOV, MATROSKA, AVI, MPEGTS, FLV, MP3, AAC, FLAC, WAV, OGG, AIFF,
)  # fmt: skip

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_ISO_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})


def sniff(head: bytes, *, size_bytes: int) -> Type:
    """Name the type of a file that begins with `head` (its first `HEAD_BYTES`, or all of a shorter file).

    Raises:
        CorruptMedia: the file is empty.
        UnsupportedMedia: it is none of the accepted types; the message says what it is instead, where that is known.
    """
    if size_bytes == 0 or not head:
        raise CorruptMedia("the file is empty (0 bytes)", hint="Check that the upload was complete, and send it again.")
    for matches, found in _SIGNATURES:
        if matches(head):
            return found
    iso = _iso_media(head)
    if iso is not None:
        return iso
    raise UnsupportedMedia(
        f"this is {describe_foreign(head)}, not an image, a video, a recording or a PDF", hint=_TAKES
    )


def _starts(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magics)


def _riff(form: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] in (b"RIFF", b"RF64") and head[8:12] == form


def _transport_stream(head: bytes) -> bool:
    """188-byte packets (192 with time codes), each with the sync byte 0x47: four in a row are no accident."""
    for first, step in ((0, 188), (4, 192)):
        places = range(first, first + 4 * step, step)
        if len(head) > places[-1] and all(head[place] == 0x47 for place in places):
            return True
    return False


def _mpeg_audio(head: bytes) -> bool:
    """A frame header of layer III: 11 sync bits, a version, layer 01, and a bit rate and sample rate that exist."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer == 1 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3


def _adts(head: bytes) -> bool:
    return len(head) > 6 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 15 < 13


def _iso_media(head: bytes) -> Type | None:
    """Boxes of ISO media: MP4, QuickTime, HEIC and AVIF share them; the brands of the first box tell them apart."""
    if len(head) < 12 or head[4:8] not in _ISO_BOXES:
        return None
    if head[4:8] != b"ftyp":
        return MOV
    end = min(max(int.from_bytes(head[:4], "big"), 16), len(head), 256)
    major = head[8:12]
    brands = {major, *(head[at : at + 4] for at in range(16, end - 3, 4))}
    if major in _AVIF_BRANDS or (major in (b"mif1", b"msf1") and brands & _AVIF_BRANDS):
        return AVIF
    if major in _HEIF_BRANDS:
        return HEIC
    return MOV if major == b"qt  " else MP4


_SIGNATURES: tuple[tuple[Callable[[bytes], bool], Type], ...] = (
    (_starts(b"\xff\xd8\xff"), JPEG),
    (_starts(b"\x89PNG\r\n\x1a\n"), PNG),
    (_starts(b"GIF87a", b"GIF89a"), GIF),
    (_riff(b"WEBP"), WEBP),
    (_starts(b"II*\x00", b"MM\x00*"), TIFF),
    (lambda head: head[:2] == b"BM" and head[6:10] == bytes(4) and len(head) > 26, BMP),
    (_starts(b"%PDF-"), PDF),
    (_starts(b"\x1a\x45\xdf\xa3"), MATROSKA),
    (_riff(b"AVI "), AVI),
    (_riff(b"WAVE"), WAV),
    (_starts(b"fLaC"), FLAC),
    (_starts(b"OggS"), OGG),
    (lambda head: head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"), AIFF),
    (_starts(b"FLV\x01"), FLV),
    (_starts(b"ID3"), MP3),
    (_mpeg_audio, MP3),
    (_adts, AAC),
    (_transport_stream, MPEGTS),
)


def _is_html(head: bytes) -> bool:
    return head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html", b"<script", b"<body"))


_FOREIGN: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (_starts(b"PK\x03\x04", b"PK\x05\x06"), "a ZIP archive (or an office document)"),
    (_starts(b"\x1f\x8b"), "a gzip archive"),
    (_starts(b"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive"),
    (_starts(b"Rar!\x1a\x07"), "a RAR archive"),
    (_starts(b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe"), "a program"),
    (_starts(b"#!"), "a script"),
    (lambda head: _is_html(head) and b"%PDF-" in head, "an HTML page with a PDF hidden behind it"),
    (lambda head: b"%PDF-" in head[:1024], "something else with a PDF hidden behind it"),
    (
        lambda head: b"<svg" in head[:1024].lower(),
        "an SVG drawing, which can carry scripts and references to other files",
    ),
    (_is_html, "an HTML page"),
    (lambda head: head.lstrip().startswith(b"<?xml"), "an XML document"),
    (_starts(b"#EXTM3U"), "a playlist, which only points at other files"),
    (_starts(b"ffconcat"), "an ffconcat script, which only points at other files"),
    (_starts(b"8BPS"), "a Photoshop document"),
    (_starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an old office document"),
)

_TAKES = (
    "Taken are images (JPEG, PNG, GIF, WebP, HEIC, AVIF, TIFF, BMP), videos (MP4, MOV, MKV, WebM, AVI, TS), "
    "recordings (MP3, WAV, FLAC, AAC, M4A, Ogg) and PDFs. The content counts, not the name."
)


def describe_foreign(head: bytes) -> str:
    """Say in words what bytes of no accepted type look like."""
    for matches, words in _FOREIGN:
        if matches(head):
            return words
    try:
        head[:512].decode("utf-8")
    except UnicodeDecodeError as error:
        # A character cut in two by the 512th byte is still text.
        if error.start < len(head[:512]) - 4:
            return "data of an unknown kind"
    if any(byte < 9 for byte in head[:512]):
        return "data of an unknown kind"
    return "plain text"


def name_disagrees(name: str, found: Type) -> bool:
    """Tell whether the file's suffix promises another type. Only worth a remark: the content decides."""
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    return bool(suffix) and suffix not in found.suffixes
