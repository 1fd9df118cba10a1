"""Types are told from content alone."""

import pytest

from orpheus.media.errors import CorruptMedia, UnsupportedMedia
from orpheus.media.sniff import describe_foreign, name_disagrees, sniff


def box(brand: bytes, *others: bytes) -> bytes:
    body = b"ftyp" + brand + bytes(4) + b"".join(others)
    return (len(body) + 4).to_bytes(4, "big") + body + bytes(64)


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "audio/wav"),
        (b"RIFF\0\0\0\0AVI LIST", "video/x-msvideo"),
        (b"II*\x00", "image/tiff"),
        (b"%PDF-1.7", "application/pdf"),
        (box(b"heic", b"mif1", b"heic"), "image/heic"),
        (box(b"mif1", b"mif1", b"heic"), "image/heic"),
        (box(b"avif", b"avif", b"mif1"), "image/avif"),
        (box(b"mif1", b"mif1", b"avif"), "image/avif"),
        (box(b"isom", b"isom", b"mp41"), "video/mp4"),
        (box(b"qt  "), "video/quicktime"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "video/quicktime"),
        (b"\x1a\x45\xdf\xa3", "video/x-matroska"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"\xff\xf1\x50\x80\x00\x1f\xfc", "audio/aac"),
        (b"fLaC", "audio/flac"),
        (b"OggS", "audio/ogg"),
        (b"".join(b"\x47" + bytes(187) for _ in range(5)), "video/mp2t"),
    ],
)
def test_accepted_types_are_told_by_their_first_bytes(head: bytes, content_type: str) -> None:
    assert sniff(head, size_bytes=1000).content_type == content_type


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"PK\x03\x04", "ZIP"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b'<?xml version="1.0"?><svg>', "SVG"),
        (b"#EXTM3U\n", "playlist"),
        (b"ffconcat version 1.0", "ffconcat"),
        (b"<html>%PDF-1.4", "PDF hidden"),
        (b"\x7fELF", "program"),
        (b"hello there", "plain text"),
        ("grüße".encode() * 200, "plain text"),
        (b"\x00\x01\x02\x03\xff\xfe", "unknown"),
        (b"RIFF\0\0\0\0RMID", "unknown"),
        (b"\x47" + bytes(800), "unknown"),
    ],
)
def test_others_are_refused_by_what_they_are(head: bytes, words: str) -> None:
    with pytest.raises(UnsupportedMedia, match=words) as refused:
        sniff(head, size_bytes=len(head))
    assert "JPEG" in refused.value.hint


def test_an_empty_file_says_so() -> None:
    with pytest.raises(CorruptMedia, match="empty"):
        sniff(b"", size_bytes=0)


def test_a_wrong_suffix_is_noticed_not_trusted() -> None:
    webp = sniff(b"RIFF\0\0\0\0WEBP", size_bytes=12)
    assert name_disagrees("photo.jpg", webp)
    assert not name_disagrees("photo.WEBP", webp)
    assert not name_disagrees("photo", webp)


def test_every_possible_beginning_gets_a_verdict() -> None:
    """No head makes the sniffer fall over, however short."""
    for first in range(256):
        for length in (1, 2, 3, 4, 8, 12):
            head = bytes([first]) * length
            try:
                sniff(head, size_bytes=length)
            except UnsupportedMedia:
                assert describe_foreign(head)
