"""What do clients call files, and what do workers get? `{"file_id"}` and `{"artifact"}` become `{"$file": …}`,
`{"url"}` becomes `{"$url": …}` for the job to fetch.

Guided by the workflow's params schema, in which `"x-orpheus": "file"` marks a file; only there is a conversion made, so
an ordinary param may be called `file_id`. Whatever else begins with `$` and means something to a worker (`$file`,
`$spill`, `$secret`) is refused from outside: it could name another tenant's objects or the worker's secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from orpheus.api.calls import Call
from orpheus.api.kept_markers import markers_of, put_back, set_aside
from orpheus.api.render import file_value
from orpheus.core.errors import InvalidParams
from orpheus.core.fetching import URL, why_no_url
from orpheus.core.job import Job
from orpheus.core.plain import NotPlain, check_plain, pointer
from orpheus.core.schema import FILE_MARK, resolve_pointer
from orpheus.core.sensitive import HIDDEN, StillHidden, restored
from orpheus.core.values import PASSED_THROUGH, operator_of

Path = tuple[str | int, ...]

_HIDDEN = msgspec.json.encode(HIDDEN)

_WAYS = '{"file_id": …} (POST /files), {"url": …} or {"artifact": {"job": …, "name": …}}'


def stands_for_itself(params: dict[str, Any]) -> bool:
    """Tell at a glance that nothing in decoded params can be a file, reserved or hidden: the hot path, they may stay as they are."""
    for name, value in params.items():
        kind = type(value)
        if kind is dict or kind is list or (kind is str and value == HIDDEN) or name.startswith("$"):
            return False
    return True


async def resolve_files(call: Call, params: Mapping[str, Any], workflow: Any, tenant: str) -> dict[str, Any]:
    """Return the params as the engine takes them.

    Args:
        workflow: its name, or the graph's JSON.
        tenant: whose files may be meant.

    Raises:
        InvalidParams: a file that does not exist, a way of naming it that is not supported, or a reserved value.
    """
    plain = dict(params)
    if stands_for_itself(plain):
        return plain
    refuse_reserved(plain)
    schema = await call.services.catalog.params_schema(workflow)
    return await convert(call, _unhidden(schema, plain, None), schema, tenant)


async def resolve_params_of(call: Call, job: Job, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return edited params of an existing job as the engine takes them: by the definition the job keeps.

    Whoever copied them from the shown job has `***` where they are sensitive: there the job's own values stay. A param that
    is just what the job has stays as it is, and so does a file that stands in it: they need not be named anew.
    """
    schema = await call.services.catalog.schema_of(job.definition_id)
    kept, _result = await call.services.engine.reads.job_payload(job.job_id)
    same = {
        name for name, value in params.items() if isinstance(kept, Mapping) and name in kept and kept[name] == value
    }
    markers = markers_of(kept)
    edited = {name: set_aside(value, markers) for name, value in params.items() if name not in same}
    refuse_reserved(edited)
    converted = put_back(await convert(call, _unhidden(schema, edited, kept), schema, job.tenant), markers)
    return {name: kept[name] if name in same else converted[name] for name in params}


def _unhidden(schema: Any, params: dict[str, Any], kept: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or _HIDDEN not in msgspec.json.encode(params):
        return params  # `***` stands nowhere in them, so nothing is to be put back
    try:
        whole = restored(schema, params, kept)
    except StillHidden as fault:
        raise _refuse(fault.path, str(fault), "send the value itself") from None
    return params if whole == HIDDEN else dict(whole)


def refuse_reserved(params: Mapping[str, Any]) -> None:
    """Refuse what only we may say.

    Raises:
        InvalidParams: it is no plain JSON, or holds a `$file`, `$spill` or `$secret`.
    """
    try:
        if not check_plain(dict(params)):
            return
    except NotPlain as fault:
        raise InvalidParams(
            f"params: {fault}", details=[{"path": f"/params{fault.pointer}", "message": str(fault)}]
        ) from None
    stack: list[tuple[Any, Path]] = [(params, ())]
    while stack:
        value, path = stack.pop()
        operator = operator_of(value)
        if operator in PASSED_THROUGH or operator == URL:
            raise _refuse(path, f"{operator} values cannot be sent", f"name a file by {_WAYS}")
        if isinstance(value, dict):
            stack.extend((inner, (*path, key)) for key, inner in value.items())
        elif isinstance(value, list):
            stack.extend((inner, (*path, index)) for index, inner in enumerate(value))


async def convert(call: Call, params: dict[str, Any], schema: Any, tenant: str) -> dict[str, Any]:
    """Convert every file of `params` that the schema knows of."""
    if not isinstance(schema, Mapping):
        return params
    converted = await _Conversion(call, schema, tenant).value(params, [schema], ())
    assert isinstance(converted, dict), "an object stays an object"
    return converted


class _Conversion:
    """One walk over one job's params."""

    def __init__(self, call: Call, root: Any, tenant: str) -> None:
        self._call = call
        self._root = root
        self._tenant = tenant

    async def value(self, value: Any, schemas: list[Any], path: Path) -> Any:
        if not isinstance(value, dict | list):
            return value
        shapes = list(_alternatives(self._root, schemas))
        if not shapes:
            return value
        if isinstance(value, dict) and any(shape.get(FILE_MARK) == "file" for shape in shapes):
            return await self._file(value, path)
        if isinstance(value, dict):
            return {
                key: await self.value(inner, list(_of_property(shapes, key)), (*path, key))
                for key, inner in value.items()
            }
        return [
            await self.value(inner, list(_of_item(shapes, index)), (*path, index)) for index, inner in enumerate(value)
        ]

    async def _file(self, value: dict[str, Any], path: Path) -> dict[str, Any]:
        if set(value) == {"file_id"} and isinstance(value["file_id"], str):
            return await self._uploaded(value["file_id"], path)
        if set(value) == {"artifact"} and isinstance(value["artifact"], dict):
            return await self._artifact(value["artifact"], path)
        if set(value) == {"url"} and isinstance(value["url"], str):
            why = why_no_url(value["url"])
            if why is not None:
                raise _refuse((*path, "url"), why, "An http or https URL, like https://example.org/talk.mp4.")
            return {URL: value["url"]}  # a task of the job fetches it
        raise _refuse(path, "this is no file", f"name it by {_WAYS}")

    async def _uploaded(self, file_id: str, path: Path) -> dict[str, Any]:
        row = await self._call.services.engine.reads.file(file_id)
        if row is None or row["tenant"] != self._tenant:
            raise _refuse((*path, "file_id"), f"there is no file {file_id[:64]!r}", "upload it with POST /files")
        return file_value(row)

    async def _artifact(self, named: dict[str, Any], path: Path) -> dict[str, Any]:
        job_id, name = named.get("job"), named.get("name")
        if set(named) != {"job", "name"} or not isinstance(job_id, str) or not isinstance(name, str):
            raise _refuse((*path, "artifact"), "an artifact is named by job and name", _WAYS)
        services = self._call.services
        job = await services.engine.reads.job(job_id)
        if job is None or job.tenant != self._tenant:
            raise _refuse((*path, "artifact", "job"), f"there is no job {job_id[:64]!r}", "")
        for row in await services.engine.reads.artifacts(job_id):
            if row["name"] == name:
                # Where its run wrote it: that stays for whoever uses it, also when the job is rewound or pruned (R23).
                return file_value({**row, "name": name.rsplit("/", 1)[-1]})
        raise _refuse(
            (*path, "artifact", "name"),
            f"job {job_id} has no artifact {name[:80]!r}",
            f"see GET /jobs/{job_id}/artifacts",
        )


def _refuse(path: Path, message: str, hint: str) -> InvalidParams:
    where = pointer("params", *path)
    return InvalidParams(f"{where}: {message}", hint=hint, details=[{"path": where, "message": message}])


def _alternatives(root: Any, schemas: list[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every schema object that may describe the value, through `$ref`, `anyOf`, `oneOf` and `allOf`."""
    stack = list(schemas)
    seen: set[int] = set()
    while stack and len(seen) < 200:
        schema = stack.pop()
        if not isinstance(schema, Mapping) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield schema
        if isinstance(schema.get("$ref"), str):
            stack.append(resolve_pointer(root, schema["$ref"]))
        for word in ("anyOf", "oneOf", "allOf"):
            branches = schema.get(word)
            if isinstance(branches, list):
                stack.extend(branches)


def _of_property(shapes: list[Mapping[str, Any]], key: str) -> Iterator[Any]:
    for shape in shapes:
        properties = shape.get("properties")
        if isinstance(properties, Mapping) and key in properties:
            yield properties[key]
        elif isinstance(shape.get("additionalProperties"), Mapping):
            yield shape["additionalProperties"]


def _of_item(shapes: list[Mapping[str, Any]], index: int) -> Iterator[Any]:
    for shape in shapes:
        prefix = shape.get("prefixItems")
        if isinstance(prefix, list) and index < len(prefix):
            yield prefix[index]
        elif isinstance(shape.get("items"), Mapping):
            yield shape["items"]


def file_param(schema: Any, part: str) -> tuple[str, bool] | None:
    """Tell which param a multipart file part is for, and whether the param is a list of files.

    A part named like a file param is for that one; a part called `file` is for the only (or first) file param.
    """
    if not isinstance(schema, Mapping) or not isinstance(schema.get("properties"), Mapping):
        return None
    candidates: list[tuple[str, bool]] = []
    for name, inner in schema["properties"].items():
        shapes = list(_alternatives(schema, [inner]))
        if any(shape.get(FILE_MARK) == "file" for shape in shapes):
            candidates.append((name, False))
        elif any(item.get(FILE_MARK) == "file" for item in _alternatives(schema, list(_of_item(shapes, 0)))):
            candidates.append((name, True))
    for candidate in candidates:
        if candidate[0] == part:
            return candidate
    return candidates[0] if candidates and part in ("file", "files") else None
