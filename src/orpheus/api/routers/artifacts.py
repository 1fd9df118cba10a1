"""Artifacts and uploaded files: listing, and serving bytes safely."""

from __future__ import annotations

from orpheus.api import body as bodies
from orpheus.api import multipart, render
from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.errors import MalformedBody, RangeNotSatisfiable, TooLarge
from orpheus.api.multipart import clean_name
from orpheus.api.query import NoQuery
from orpheus.api.route import Media, Routes, Sendable
from orpheus.api.routers._find import find_job
from orpheus.api.serving import serve
from orpheus.api.submissions import store_upload, tenant_of
from orpheus.artifacts.errors import MissingObject
from orpheus.artifacts.keys import artifact_key
from orpheus.core.errors import InvalidRequest, OrpheusError, UnknownJob
from orpheus.protocol.jobs import ArtifactPage, FileInfo, Tenant

routes = Routes("files", "Files that go in, and artifacts that come out.")

_BYTES = Media("application/octet-stream", "The bytes, under their own content type.")
_RANGE = {
    "Range": "`bytes=start-end`; one range. Players seek with it.",
    "If-None-Match": "An ETag.",
    "If-Range": "An ETag: the range counts only if the file is still the same.",
}


class UnknownArtifact(OrpheusError):
    """The job has no artifact of that name (yet)."""

    code = "unknown_artifact"
    status = 404


class UnknownFile(OrpheusError):
    """There is no such upload."""

    code = "unknown_file"
    status = 404


@routes.get("/jobs/{job_id}/artifacts", role="read", answers={200: ArtifactPage}, errors=(UnknownJob,))
async def list_artifacts(call: Call) -> Answer:
    """List a job's artifacts: files of accepted attempts."""
    job = await find_job(call)
    rows = await call.services.engine.reads.artifacts(job.job_id)
    return json_answer(ArtifactPage(items=[render.artifact_info(job.job_id, row) for row in rows]))


class DownloadQuery(NoQuery, kw_only=True, forbid_unknown_fields=True):
    download: bool = False
    """Have the browser save it rather than show it."""


@routes.get(
    "/jobs/{job_id}/artifacts/{name:path}",
    role="read",
    query=DownloadQuery,
    answers={200: _BYTES, 206: _BYTES, 304: None},
    errors=(UnknownJob, UnknownArtifact, RangeNotSatisfiable, MissingObject, InvalidRequest),
    request_headers=_RANGE,
    answer_headers={"ETag": "The file's sha256.", "Content-Disposition": "inline or attachment, with its name."},
    timed=False,
)
async def show_artifact(call: Call) -> Sendable:
    """Serve an artifact, whole or in part. Slashes of its name stand in the URL as they are."""
    job = await find_job(call)
    name = call.path["name"]
    for row in await call.services.engine.reads.artifacts(job.job_id):
        if row["name"] == name:
            key = row["key"]
            if row.get("published_at") is not None:
                key = artifact_key(call.services.options.env, job.tenant, job.job_id, name)
            return await serve(
                call,
                key,
                name=name.rsplit("/", 1)[-1],
                content_type=row["content_type"],
                etag=row["sha256"],
                download=call.query.download,
            )
    raise UnknownArtifact(
        f"job {job.job_id} has no artifact {name[:200]!r}", hint=f"GET /jobs/{job.job_id}/artifacts lists them"
    )


class UploadQuery(NoQuery, kw_only=True, forbid_unknown_fields=True):
    name: str | None = None
    """File name, where the body is the bare file."""
    tenant: Tenant | None = None


@routes.post(
    "/files",
    role="submit",
    query=UploadQuery,
    raw_body=(
        Media(
            "multipart/form-data",
            "One file part.",
            {
                "type": "object",
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                },
                "required": ["file"],
                "additionalProperties": False,
            },
        ),
        Media("application/octet-stream", "The bare file; `?name=` names it. Other content types are taken too."),
    ),
    body_optional=True,
    answers={201: FileInfo},
    errors=(MalformedBody, InvalidRequest, TooLarge),
    answer_headers={"Location": "Where the file is."},
    timed=False,
)
async def upload(call: Call) -> Answer:
    """Upload a file: streamed to disk, hashed on the way. Its `file_id` goes into the params of jobs."""
    query: UploadQuery = call.query
    limit = call.services.options.max_upload_bytes
    bodies.check_length(call, limit + multipart.MAX_HEADER_BYTES)
    keys: list[str] = []
    try:
        record = await _receive(call, query, keys)
        await call.services.engine.add_file(record)
    except BaseException:
        for key in keys:
            await call.services.objects.delete(key)
        raise
    location = f"{call.root_path}/files/{record['file_id']}".encode("ascii", "replace")
    return json_answer(render.file_info(record), status=201, headers=[(b"location", location)])


async def _receive(call: Call, query: UploadQuery, keys: list[str]) -> dict[str, object]:
    tenant = query.tenant
    if bodies.content_type(call) != "multipart/form-data":
        name = clean_name(query.name or "unnamed")
        declared = call.header(b"content-type")
        return await store_upload(
            call, bodies.chunks(call), name, declared, tenant=tenant_of(call, tenant, where="query"), uploads=keys
        )
    record: dict[str, object] | None = None
    async for part in multipart.Parts(call.headers[b"content-type"], bodies.chunks(call)):
        if part.filename is None:
            raise InvalidRequest(
                f"body: there is no field {part.name[:80]!r}",
                hint="send one part with a file name; a tenant goes into the query",
                details=[{"path": f"/{part.name[:80]}", "message": "unknown field", "in": "body"}],
            )
        if record is not None:
            raise InvalidRequest("body: more than one file", hint="send one request per file")
        record = await store_upload(
            call,
            part.stream(),
            part.filename,
            part.content_type,
            tenant=tenant_of(call, tenant, where="query"),
            uploads=keys,
        )
    if record is None:
        raise InvalidRequest(
            "body: there is no file in it", hint="send a part with a file name, like curl -F file=@photo.jpg"
        )
    return record


async def _file(call: Call) -> dict[str, object]:
    file_id = call.path["file_id"]
    row = await call.services.engine.reads.file(file_id)
    tenant = call.identity.tenant
    if row is None or (tenant is not None and row["tenant"] != tenant):
        raise UnknownFile(f"there is no file {file_id[:80]!r}")
    return dict(row)


@routes.get("/files/{file_id}", role="read", answers={200: FileInfo}, errors=(UnknownFile,))
async def show_file(call: Call) -> Answer:
    """Show an uploaded file's name, size, hash and type."""
    return json_answer(render.file_info(await _file(call)))


@routes.get(
    "/files/{file_id}/content",
    role="read",
    query=DownloadQuery,
    answers={200: _BYTES, 206: _BYTES, 304: None},
    errors=(UnknownFile, RangeNotSatisfiable, MissingObject, InvalidRequest),
    request_headers=_RANGE,
    answer_headers={"ETag": "The file's sha256."},
    timed=False,
)
async def show_content(call: Call) -> Sendable:
    """Serve an uploaded file's bytes."""
    row = await _file(call)
    return await serve(
        call,
        str(row["key"]),
        name=str(row["name"]),
        content_type=str(row["content_type"]),
        etag=str(row["sha256"]),
        download=call.query.download,
    )


__all__ = ["UnknownArtifact", "UnknownFile", "routes"]
