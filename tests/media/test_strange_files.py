"""Odd, lying and harmful files that are made here byte by byte: each is taken as what it is, or refused for a reason that is told."""

import hashlib
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orpheus.media import guard, pdf, video
from orpheus.media.errors import CorruptMedia, Refused, TooLarge, UnsupportedMedia

LINE = b"BT /F1 24 Tf 50 700 Td (Hello, pages of a strange document) Tj ET"


# PDFs


def pdf_of(*objects: bytes, trailer: bytes = b"") -> bytes:
    """Write numbered objects as a PDF; the first is the catalog."""
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R%s>>" % (count, table, count, trailer)
    return out + head + b"\nstartxref\n%d\n%%%%EOF" % len(out)


def page_of(content: bytes = LINE, more: bytes = b"", box: bytes = b"0 0 612 792") -> list[bytes]:
    return [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[%s]%s/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>" % (box, more),
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]


def _rc4(key: bytes, data: bytes) -> bytes:
    state, place, out = list(range(256)), 0, bytearray()
    for turn in range(256):
        place = (place + state[turn] + key[turn % len(key)]) % 256
        state[turn], state[place] = state[place], state[turn]
    turn = place = 0
    for byte in data:
        turn = (turn + 1) % 256
        place = (place + state[turn]) % 256
        state[turn], state[place] = state[place], state[turn]
        out.append(byte ^ state[(state[turn] + state[place]) % 256])
    return bytes(out)


def encrypted(password: bytes) -> bytes:
    """Encrypt a page as PDF 1.1 does (standard security handler, revision 2); with no user password anybody may read it."""
    filler = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")

    def padded(text: bytes) -> bytes:
        return (text + filler)[:32]

    def md5(data: bytes) -> bytes:
        return hashlib.md5(data, usedforsecurity=False).digest()

    own, name = _rc4(md5(padded(b"owner"))[:5], padded(password)), b"0123456789abcdef"
    key = md5(padded(password) + own + struct.pack("<i", -4) + name)[:5]
    objects = page_of(_rc4(md5(key + struct.pack("<I", 4)[:3] + b"\0\0")[:10], LINE))
    user = _rc4(key, filler)
    handler = b"<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P -4>>" % (own.hex().encode(), user.hex().encode())
    ids = name.hex().encode()
    return pdf_of(*objects, handler, trailer=b"/Encrypt 6 0 R/ID[<%s><%s>]" % (ids, ids))


# Pictures


def png_of(width: int, height: int, rows: bytes, *chunks: tuple[bytes, bytes], depth: int = 8) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


SMALL = (b"\0" + b"\x80" * 120) * 30
BOMB = b"c\0\0" + zlib.compress(b"A" * 20_000_000, 9)
GIF_BOMB = (
    b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\xf0\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0"
    + struct.pack("<HH", 65535, 65535) + b"\0\x02\x02\x44\x01\0\x3b"
)  # fmt: skip

TAKEN: dict[str, tuple[bytes, dict[str, Any]]] = {
    "open.pdf": (encrypted(b""), {"kind": "pdf", "pages": 1}),
    "turned.pdf": (pdf_of(*page_of(more=b"/Rotate 90")), {"kind": "pdf", "pages": 1}),
    "no-area.pdf": (pdf_of(*page_of(box=b"0 0 0 0")), {"kind": "pdf", "pages": 1}),
    "backwards.pdf": (pdf_of(*page_of(box=b"612 792 0 0")), {"kind": "pdf", "pages": 1}),
    "boundless.pdf": (pdf_of(*page_of(box=b"0 0 9999999 9999999")), {"kind": "pdf", "pages": 1}),
    "deep.png": (png_of(40, 30, (b"\0" + b"\x80\0" * 120) * 30, depth=16), {"kind": "image", "width": 40}),
}
REFUSED: dict[str, tuple[bytes, type[Refused], str]] = {
    "closed.pdf": (encrypted(b"secret"), UnsupportedMedia, "password"),
    "empty.pdf": (
        pdf_of(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"),
        CorruptMedia,
        "no pages",
    ),
    "circle.pdf": (
        pdf_of(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"),
        CorruptMedia,
        "broken",
    ),
    "profile-bomb.png": (png_of(40, 30, SMALL, (b"iCCP", BOMB)), CorruptMedia, "too large"),
    "words-bomb.png": (png_of(40, 30, SMALL, (b"zTXt", BOMB)), CorruptMedia, "too large"),
    "short.png": (png_of(4000, 3000, b"\0" * 100), CorruptMedia, "truncated"),
    "bomb.gif": (GIF_BOMB, TooLarge, "megapixels"),
    "script.gif": (b"GIF89a/*" + b"<script>" * 10, CorruptMedia, "broken"),
    "one-byte.mp3": (b"\xff", UnsupportedMedia, ""),
    "zeros.mp4": (b"\0" * 100_000, UnsupportedMedia, "unknown"),
}


def facts_of(path: Path) -> dict[str, Any]:
    checked = guard.call("validate", path=path, name=path.name)
    return guard.call("extract", path=path, sniffed=checked["sniffed"], opener=checked["opener"])


@pytest.mark.parametrize("name", list(TAKEN))
def test_what_is_odd_is_taken(tmp_path: Path, name: str) -> None:
    data, expected = TAKEN[name]
    (tmp_path / name).write_bytes(data)
    facts = facts_of(tmp_path / name)
    assert expected.items() <= facts.items()
    if facts["kind"] == "pdf":
        ((page, _),) = pdf.texts(tmp_path / name)
        assert "Hello, pages" in page["text"]


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_lies_or_harms_is_refused_and_says_why(tmp_path: Path, name: str) -> None:
    data, error, words = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=f"(?i){words}"):
        guard.call("validate", path=tmp_path / name, name=name)


def test_a_drawing_of_many_lines_is_not_looked_through_for_scans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five million lines that took minutes."""
    monkeypatch.setattr(pdf, "_LOOKED_THROUGH", 50)
    lines = b"0 0 m 9 9 l S\n" * 100
    scan = b"q 612 0 0 792 0 0 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \xff EI Q\n"
    for name, content, scans in (("behind.pdf", lines + scan, []), ("before.pdf", scan + lines, [1])):
        (tmp_path / name).write_bytes(pdf_of(*page_of(content)))
        assert pdf.pictured(tmp_path / name, [""]) == scans, name


# Videos and recordings


def made(path: Path, *words: object) -> Path:
    argv = [video.ffmpeg(), "-nostdin", "-loglevel", "error", "-y", *map(str, words), str(path)]
    subprocess.run(argv, check=True)
    return path


TONE, BARS = ("-f", "lavfi", "-i", "sine=d=1"), ("-f", "lavfi", "-i", "testsrc2=s=322x242:r=25:d=2")
PLAIN = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0")


def _with_cover(path: Path) -> Path:
    Image.new("RGB", (64, 64), "red").save(path.parent / "cover.jpg")
    cover = (
        "-i",
        path.parent / "cover.jpg",
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "mjpeg",
        "-disposition:v",
        "attached_pic",
    )
    return made(path, *TONE, *cover, "-c:a", "aac")


FILMS: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "sound.mp4": (
        lambda path: made(path, *TONE, "-c:a", "aac"),
        {"kind": "audio", "has_video": False, "content_type": "audio/mp4"},
    ),
    "cover.m4a": (_with_cover, {"kind": "audio", "has_video": False, "has_audio": True}),
    "six.flac": (
        lambda path: made(path, *TONE, "-af", "pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0"),
        {"kind": "audio", "channels": 6},
    ),
    "one.mkv": (
        lambda path: made(path, *BARS, "-frames:v", 1, *PLAIN),
        {"kind": "video", "width": 322, "height": 242, "has_audio": False},
    ),
    "uneven.mp4": (
        lambda path: made(path, *BARS, "-vf", "select='not(mod(n,7))+lt(n,20)'", "-fps_mode", "vfr", *PLAIN),
        {"kind": "video", "has_audio": False},
    ),
    "wide-pixels.mp4": (
        lambda path: made(path, *BARS, "-vf", "scale=72:58,setsar=2", *PLAIN),
        {"width": 144, "height": 58},
    ),
}


@pytest.mark.parametrize("name", list(FILMS))
def test_unusual_recordings_are_described_truly(tmp_path: Path, name: str) -> None:
    write, expected = FILMS[name]
    facts = facts_of(write(tmp_path / name))
    assert expected.items() <= facts.items(), facts


def test_films_that_lie_about_their_length_or_frames(tmp_path: Path) -> None:
    data = made(tmp_path / "plain.mp4", *BARS, *PLAIN).read_bytes()
    times, sizes, moov = data.index(b"stts") + 8, data.index(b"stsz") + 12, data.index(b"moov") - 4
    for name, bad, error in (
        ("ages.mp4", data[:times] + struct.pack(">III", 1, 2**31 - 1, 2**31 - 1) + data[times + 12 :], TooLarge),
        ("frames.mp4", data[:sizes] + struct.pack(">I", 2**28 - 16) + data[sizes + 4 :], CorruptMedia),
        ("headless.mp4", data[:moov], CorruptMedia),
    ):
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(error):
            guard.call("validate", path=tmp_path / name, name=name)
