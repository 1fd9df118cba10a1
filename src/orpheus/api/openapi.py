"""The OpenAPI document, made from the declarations that also decode: it cannot say something else.

Every error an endpoint may answer is listed with its code; the error envelope is one shared schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from orpheus.api.errors import Forbidden
from orpheus.api.route import Endpoint, Media, Problem
from orpheus.core.errors import InvalidRequest
from orpheus.core.graph_json import graph_schema
from orpheus.protocol.errors import ErrorBody

_REF = "#/components/schemas/{name}"
_PATH_PARAM = re.compile(r"{(\w+)(?::path)?}")

_DESCRIPTION = """Orpheus runs durable jobs. Every error has the same shape: `code`, `message`, `hint`, `retryable`,
`correlation_id` and, for errors in a body or query, `details` with JSON Pointers. Every answer carries
`X-Correlation-ID` and `traceparent`, taken from the request when it has them."""


def build(endpoints: Iterable[Endpoint], *, tags: Mapping[str, str], version: str, root_path: str) -> dict[str, Any]:
    """Return the document."""
    shown = [endpoint for endpoint in endpoints if not endpoint.hidden]
    types = _Types(shown)
    paths: dict[str, Any] = {}
    for endpoint in shown:
        path = _PATH_PARAM.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, types)
    _link(paths, {endpoint.operation_id for endpoint in shown if endpoint.timed})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Orpheus",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": root_path or "/"}],
        "tags": [{"name": name, "description": text} for name, text in tags.items()],
        "paths": paths,
        "components": {
            "schemas": {**types.components, "Workflow": _workflow()},
            "headers": {
                "X-Correlation-ID": {
                    "description": "Names the request in logs and events.",
                    "schema": {"type": "string"},
                },
                "traceparent": {"description": "W3C trace context.", "schema": {"type": "string"}},
            },
        },
    }


def _workflow() -> dict[str, Any]:
    """Return the JSON Schema of a workflow definition, its inner references made to lead through this document."""
    schema: dict[str, Any] = _moved(graph_schema(), "#/components/schemas/Workflow")
    schema.pop("$schema", None)
    schema.pop("$id", None)
    return schema


def _moved(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return {
            key: place + inner[1:] if key == "$ref" and isinstance(inner, str) else _moved(inner, place)
            for key, inner in value.items()
        }
    return [_moved(inner, place) for inner in value] if isinstance(value, list) else value


_MAKERS = (("/jobs", "job_id"), ("/files", "file_id"), ("/workflows", "name"))


def _link(paths: dict[str, Any], quick: set[str]) -> None:
    """Say which operations take what another one made, so that tools can walk from one to the next; only those that
    answer at once, because a tool that follows a job's log without an end does not come back."""
    for made_at, name in _MAKERS:
        links = {
            operation["operationId"]: {
                "operationId": operation["operationId"],
                "parameters": {name: f"$response.body#/{name}"},
            }
            for path, methods in paths.items()
            if path.startswith(f"{made_at}/{{{name}}}") and path.count("{") == 1
            for operation in methods.values()
            if operation["operationId"] in quick
        }
        paths[made_at]["post"]["responses"]["201"]["links"] = links


class _Types:
    """JSON Schemas of every msgspec type that the endpoints use."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        found: dict[Any, None] = {ErrorBody: None}
        for endpoint in endpoints:
            if endpoint.body is not None:
                found[endpoint.body.type] = None
            found[endpoint.query.shape] = None
            for answer in endpoint.answers.values():
                for each in answer if isinstance(answer, tuple) else (answer,):
                    if each is not None and not isinstance(each, Media):
                        found[each] = None
        kinds = list(found)
        schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
        self._schemas = dict(zip(kinds, schemas, strict=True))
        queries = {endpoint.query.shape.__name__ for endpoint in endpoints}
        self.queries = {name: schema for name, schema in components.items() if name in queries}
        self.components = {name: _tidy(schema) for name, schema in components.items() if name not in queries}

    def of(self, kind: Any) -> dict[str, Any]:
        schema: dict[str, Any] = self._schemas[kind]
        return schema


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    if not schema.get("required", True):
        schema = {key: value for key, value in schema.items() if key != "required"}
    return schema


def _operation(endpoint: Endpoint, types: _Types) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": [endpoint.tag],
        "operationId": endpoint.operation_id,
        "summary": endpoint.summary.rstrip("."),
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    parameters = [*_path_params(endpoint), *_query_params(endpoint, types), *_header_params(endpoint)]
    if parameters:
        operation["parameters"] = parameters
    content = _request_content(endpoint, types)
    if content:
        operation["requestBody"] = {"required": not endpoint.body_optional, "content": content}
    operation["responses"] = _responses(endpoint, types)
    return operation


def _path_params(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _text(endpoint.path_patterns.get(name))}
        for name in _PATH_PARAM.findall(endpoint.path)
    ]


def _text(pattern: str | None) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern} if pattern else {"type": "string", "minLength": 1}


def _query_params(endpoint: Endpoint, types: _Types) -> list[dict[str, Any]]:
    shape = endpoint.query.shape
    schema = types.queries[shape.__name__]
    docs = _field_docs(shape)
    params = []
    for name, inner in schema["properties"].items():
        plain = _without_null(inner)
        description = docs.get(name) or plain.pop("description", "")
        param: dict[str, Any] = {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": plain,
        }
        if description:
            param["description"] = description
        params.append(param)
    return params


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query cannot say null: show the type alone."""
    plain = {key: value for key, value in schema.items() if not (key == "default" and value in (None, []))}
    options = plain.get("anyOf")
    if options:
        kept = [option for option in options if option != {"type": "null"}]
        if len(kept) == 1:
            plain = {**{key: value for key, value in plain.items() if key != "anyOf"}, **kept[0]}
    return plain


def _field_docs(shape: Any) -> dict[str, str]:
    """Return the docstrings under a struct's fields."""
    import ast  # noqa: PLC0415
    import inspect  # noqa: PLC0415
    import textwrap  # noqa: PLC0415

    found: dict[str, str] = {}
    for kind in reversed(shape.__mro__):
        if kind.__module__.startswith(("msgspec", "builtins")):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
        assert isinstance(body, ast.ClassDef), "the source of a class is a class"
        for statement, following in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                found[statement.target.id] = " ".join(str(following.value.value).split())
    return found


def _header_params(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": text if isinstance(text, str) else text[0],
            "schema": {"type": "string"} if isinstance(text, str) else {"type": "string", "pattern": text[1]},
        }
        for name, text in endpoint.request_headers.items()
    ]


def _request_content(endpoint: Endpoint, types: _Types) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if endpoint.body is not None:
        schema = (
            {"$ref": _REF.format(name=endpoint.body_schema)} if endpoint.body_schema else types.of(endpoint.body.type)
        )
        content["application/json"] = {"schema": schema}
        if endpoint.examples:
            content["application/json"]["examples"] = {
                name: {"value": value} for name, value in endpoint.examples.items()
            }
    for media in endpoint.raw_body:
        content[media.content_type] = {"schema": dict(media.schema)}
    return content


def _responses(endpoint: Endpoint, types: _Types) -> dict[str, Any]:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Correlation-ID", "traceparent")} | {
        name: {"description": text, "schema": {"type": "string"}} for name, text in endpoint.answer_headers.items()
    }
    responses: dict[str, Any] = {}
    for status, answer in endpoint.answers.items():
        response: dict[str, Any] = {"description": _STATUS.get(status, "Done."), "headers": headers}
        content: dict[str, Any] = {}
        for each in answer if isinstance(answer, tuple) else (answer,):
            if isinstance(each, Media):
                content[each.content_type] = {"schema": dict(each.schema)}
                if each.content_type == "application/octet-stream":
                    content["*/*"] = {"schema": dict(each.schema)}
            elif each is not None:
                content["application/json"] = {"schema": types.of(each)}
        if content:
            response["content"] = content
        responses[str(status)] = response
    by_status: dict[int, list[Problem]] = {}
    possible: tuple[Problem, ...] = (*endpoint.errors, Forbidden, InvalidRequest)
    for problem in possible:
        problems = by_status.setdefault(problem.status, [])
        if problem not in problems:
            problems.append(problem)
    for status, problems in sorted(by_status.items()):
        if str(status) not in responses:
            responses[str(status)] = _problem(problems)
    responses["default"] = _problem([])
    return responses


_STATUS = {
    200: "Done.",
    201: "Created; on disk.",
    202: "Accepted; not at its end yet.",
    206: "The asked part.",
    304: "Still the same.",
    503: "Not now.",
}


def _problem(problems: list[Problem]) -> dict[str, Any]:
    codes = list(dict.fromkeys(problem.code for problem in problems))
    lines = [f"`{problem.code}`: {' '.join((problem.__doc__ or '').split())}".rstrip(": ") for problem in problems]
    media: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/ErrorBody"}}
    if codes:
        media["examples"] = {
            code: {
                "value": {
                    "code": code,
                    "message": "…",
                    "hint": "",
                    "retryable": False,
                    "correlation_id": "4f1c7f0e9a1d4c8b8f0e2a6b5d3c1e90",
                }
            }
            for code in codes
        }
    return {
        "description": "\n\n".join(dict.fromkeys(lines)) or "Any other error, in the same envelope.",
        "content": {"application/json": media},
    }
