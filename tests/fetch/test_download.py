"""Downloads of what others name: limits, faults, and addresses that may not be reached."""

from __future__ import annotations

import socket
import time

import pytest

from orpheus.core.fetching import why_no_url
from orpheus.fetch import download as room
from orpheus.fetch.download import Failed, Limits, download

LOCAL = Limits(allow_private=True)


def failed(url, tmp_path, limits=LOCAL):
    with pytest.raises(Failed) as caught:
        download(url, tmp_path / "file", limits)
    return caught.value


def test_a_file_arrives(site, tmp_path):
    """With a name, its content type by its content, and its progress told."""
    url = site.serve("/pictures/a%20b.png", b"\x89PNG\r\n\x1a\n" + b"x" * 500_000, Content_Type="text/plain")
    told = []
    found = download(
        f"{url}?signature=secret", tmp_path / "file", LOCAL, heard=lambda done, size: told.append((done, size))
    )
    assert (found.name, found.content_type, found.size_bytes) == ("a b.png", "image/png", 500_008)
    assert "secret" not in found.shown_url and site.asked == ["/pictures/a%20b.png?signature=secret"]
    assert (tmp_path / "file").stat().st_size == 500_008 and told[-1] == (500_008, 500_008)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="talk.mp4"', "talk.mp4"),
        ("attachment; filename=../../etc/passwd", "passwd"),
        ("attachment; filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
        ('attachment; filename="a\\b|c?.txt"', "b_c_.txt"),
        ("", "x.bin"),
    ],
)
def test_a_name_is_only_a_name(site, tmp_path, disposition, name):
    """As the server says, without anything that could be a path."""
    headers = {"Content_Disposition": disposition} if disposition else {}
    assert download(site.serve("/d/x.bin", b"1", **headers), tmp_path / "file", LOCAL).name == name


HOSTILE = [
    "127.0.0.1",
    "localhost",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[fe80::1]",
    "[fc00::1]",
    "169.254.169.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
]


@pytest.mark.parametrize("host", HOSTILE)
def test_hostile_addresses_are_refused(site, tmp_path, host):
    """However they are written, before anything is sent (address_refused)."""
    error = failed(f"http://{host}:{site.port}/x", tmp_path, Limits())
    assert error.code in ("address_refused", "fetch_failed") and error.final, error.message
    if host not in ("[fe80::1]", "[::]", "[::1]", "[fc00::1]"):  # a machine without IPv6 may not know these at all
        assert error.code == "address_refused", error.message
    assert site.asked == []


def test_one_private_address_among_others_is_enough(site, tmp_path, monkeypatch):
    """A name that means a public and a private address is refused as a whole."""
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, site.port)) for ip in ("93.184.216.34", "127.0.0.1")]
    monkeypatch.setattr(room.socket, "getaddrinfo", lambda *_a, **_k: both)
    assert failed(f"http://example.org:{site.port}/x", tmp_path, Limits()).code == "address_refused"


def test_a_name_that_changes_its_mind(site, tmp_path, monkeypatch):
    """The checked address is connected to; the name is not asked again (rebinding)."""
    asked = []

    def resolve(host, port, **_):
        asked.append(host)
        ip = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))]

    reached = []

    class Socket(socket.socket):
        def connect(self, address):
            reached.append(address)
            raise ConnectionRefusedError("nobody is there")

    monkeypatch.setattr(room.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(room.socket, "socket", Socket)
    error = failed(f"http://rebind.example:{site.port}/x", tmp_path, Limits())
    assert not error.final and asked == ["rebind.example"] and reached == [("93.184.216.34", site.port)]


def test_every_hop_is_checked(site, tmp_path, monkeypatch):
    """A redirect from a public host into this machine is refused."""
    real = room.why_private
    url = site.redirect("/start", f"http://localhost:{site.port}/secret")
    site.serve("/secret", b"secret")
    monkeypatch.setattr(room, "why_private", lambda ip: None if len(site.asked) == 0 else real(ip))
    assert failed(url, tmp_path, Limits()).code == "address_refused"
    assert site.asked == ["/start"]


def test_redirects_are_followed_and_bounded(site, tmp_path):
    """Relative ones too; a circle ends; other schemes are no place to go."""
    site.serve("/end.txt", b"here")
    site.redirect("/a", "/b")
    site.redirect("/b", f"{site.url}/end.txt")
    assert download(f"{site.url}/a", tmp_path / "file", LOCAL).name == "end.txt"
    error = failed(site.redirect("/round", "/round"), tmp_path)
    assert error.final and "redirects" in error.message
    for to in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/"):
        assert failed(site.redirect("/away", to), tmp_path).final


@pytest.mark.parametrize(
    ("status", "final"), [(404, True), (403, True), (410, True), (500, False), (502, False), (408, False)]
)
def test_which_answers_are_final(site, tmp_path, status, final):
    """4xx says that the file is not there; 5xx that the server is not well."""
    error = failed(site.serve("/x", b"no", status=status), tmp_path)
    assert (error.code, error.final) == ("fetch_failed", final) and str(status) in error.message


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_may_ask_to_wait(site, tmp_path, status):
    """Its Retry-After is heeded, within reason."""
    assert failed(site.serve("/x", b"", status=status, Retry_After="7"), tmp_path).retry_after_s == 7
    assert failed(site.serve("/x", b"", status=status, Retry_After="99999999"), tmp_path).retry_after_s == 600
    assert failed(site.serve("/x", b"", status=status, Retry_After="soon"), tmp_path).retry_after_s is None


def test_size_is_limited(site, tmp_path):
    """Announced or not."""
    limits = Limits(max_bytes=1000, allow_private=True)
    error = failed(site.serve("/big", b"x" * 1001), tmp_path, limits)
    assert (error.code, error.final) == ("too_large", True)

    def endless(request):
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        for _ in range(100):
            request.wfile.write(b"y" * 1000)
        request.close_connection = True

    site.answers["/endless"] = endless
    assert failed(f"{site.url}/endless", tmp_path, limits).code == "too_large"
    assert download(site.serve("/fits", b"x" * 1000), tmp_path / "file", limits).size_bytes == 1000


def test_time_is_limited(site, tmp_path):
    """A server that sends byte by byte does not hold a worker for ever."""

    def trickle(request):
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        for _ in range(200):
            request.wfile.write(b"z")
            request.wfile.flush()
            time.sleep(0.02)

    site.answers["/slow"] = trickle
    error = failed(f"{site.url}/slow", tmp_path, Limits(timeout_s=0.2, allow_private=True))
    assert not error.final and "0.2 s" in error.message


def test_a_cut_is_noticed(site, tmp_path):
    """Fewer bytes than announced is a failure, and another try may help."""
    error = failed(site.serve("/cut", b"half", announce=8, Connection="close"), tmp_path)
    assert not error.final


def test_a_dead_server_may_come_back(tmp_path):
    """Nobody listens: try again later."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert not failed(f"http://127.0.0.1:{port}/x", tmp_path).final


@pytest.mark.parametrize(
    "url",
    [
        "",
        "talk.mp4",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "http://",
        "http:///x",
        "https://user:password@example.org/x",
        "http://example.org:99999/x",
        "http://exa mple.org/",
        "http://example.org/\r\nX: y",
        "http://[::1/x",
        "http://example.org/" + "x" * 5000,
    ],
)
def test_what_is_no_url(url, tmp_path):
    """Told by how it is written, before anything is asked."""
    assert why_no_url(url)
    assert failed(url, tmp_path).final
