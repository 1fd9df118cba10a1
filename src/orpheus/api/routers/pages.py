"""The dashboard and the documentation: static files, served by us and by nobody else."""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
from importlib import resources
from pathlib import Path

import msgspec

from orpheus.api.calls import Answer, Call, Headers
from orpheus.api.errors import NotFound
from orpheus.api.query import NoQuery
from orpheus.api.route import Media, Routes

routes = Routes("pages")

_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".png": b"image/png",
    ".json": b"application/json",
}
_CSP = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    b"connect-src 'self'; font-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger UI writes style attributes.
_DOCS_CSP = _CSP.replace(b"style-src 'self'", b"style-src 'self' 'unsafe-inline'")


class AnyQuery(msgspec.Struct, kw_only=True):
    """Pages take what they are given."""


@functools.cache
def _dashboard(name: str) -> tuple[bytes, bytes, bytes] | None:
    """Return bytes, content type and ETag of a file of the dashboard."""
    suffix = Path(name).suffix
    if suffix not in _TYPES or "/" in name or "\\" in name or name.startswith("."):
        return None
    try:
        data = (resources.files("orpheus.dashboard") / name).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ModuleNotFoundError):
        return None
    return data, _TYPES[suffix], b'"' + hashlib.sha256(data).hexdigest()[:32].encode() + b'"'


@functools.cache
def swagger_folder() -> Path | None:
    """Return where Swagger UI's assets lie, None when the package that brings them is not installed."""
    spec = importlib.util.find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "static"
    return folder if (folder / "swagger-ui-bundle.js").is_file() else None


@functools.cache
def _version() -> str:
    """Return what tells the dashboard's files from those of another release: a browser may keep them as long as it likes."""
    files = sorted(each.name for each in resources.files("orpheus.dashboard").iterdir() if each.is_file())
    known = [found[2] for found in map(_dashboard, files) if found is not None]
    return hashlib.sha256(b"".join(known)).hexdigest()[:12]


@functools.cache
def _front() -> tuple[bytes, bytes, bytes]:
    """Return the page itself, which names its files by their version: only it is asked for again."""
    found = _dashboard("index.html")
    assert found is not None, "the page is part of the package"
    data = found[0].replace(b'"static/', b'"static/%b/' % _version().encode())
    return data, found[1], b'"' + hashlib.sha256(data).hexdigest()[:32].encode() + b'"'


@functools.cache
def _packed(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _static(call: Call, name: str, *, csp: bytes = _CSP, lasting: bool = False) -> Answer:
    found = _front() if name == "index.html" else _dashboard(name)
    if found is None:
        raise NotFound(f"there is no page {name[:100]!r}")
    data, content_type, etag = found
    headers: Headers = [
        (b"etag", etag),
        (b"cache-control", b"public, max-age=31536000, immutable" if lasting else b"no-cache"),
        (b"content-security-policy", csp),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
    ]
    if call.headers.get(b"if-none-match") == etag:
        return Answer(b"", 304, None, headers)
    headers.append((b"vary", b"accept-encoding"))
    if b"gzip" in call.headers.get(b"accept-encoding", b""):
        headers.append((b"content-encoding", b"gzip"))
        data = _packed(data)
    return Answer(data, content_type=content_type, headers=headers)


_HTML = {200: Media("text/html", schema={"type": "string"})}


@routes.get("/", role="open", query=AnyQuery, answers=_HTML, hidden=True)
async def index(call: Call) -> Answer:
    """Show the dashboard."""
    return _static(call, "index.html")


@routes.get("/static/{name}", role="open", query=NoQuery, answers=_HTML, hidden=True)
async def static(call: Call) -> Answer:
    """Serve a file of the dashboard."""
    return _static(call, call.path["name"])


@routes.get("/static/{version}/{name}", role="open", query=NoQuery, answers=_HTML, hidden=True)
async def versioned(call: Call) -> Answer:
    """Serve a file of the dashboard that may be kept; a page of another release gets today's, which may not."""
    return _static(call, call.path["name"], lasting=call.path["version"] == _version())


@routes.get("/docs", role="open", query=AnyQuery, answers=_HTML, hidden=True)
async def docs(call: Call) -> Answer:
    """Show the API's documentation."""
    return _static(call, "docs.html" if swagger_folder() is not None else "docs-plain.html", csp=_DOCS_CSP)


@functools.cache
def _swagger(name: str) -> bytes | None:
    folder = swagger_folder()
    if folder is None or name not in ("swagger-ui-bundle.js", "swagger-ui.css"):
        return None
    return (folder / name).read_bytes()


@routes.get("/docs/assets/{name}", role="open", query=NoQuery, answers=_HTML, hidden=True)
async def docs_asset(call: Call) -> Answer:
    """Serve a part of Swagger UI."""
    name = call.path["name"]
    data = _swagger(name)
    if data is None:
        raise NotFound(f"there is no page {name[:100]!r}")
    headers: Headers = [(b"cache-control", b"public, max-age=3600"), (b"content-security-policy", _DOCS_CSP)]
    return Answer(data, content_type=_TYPES[Path(name).suffix], headers=headers)


@routes.get("/favicon.ico", role="open", query=AnyQuery, answers=_HTML, hidden=True)
async def favicon(call: Call) -> Answer:
    """Show the icon."""
    return _static(call, "icon.svg")
