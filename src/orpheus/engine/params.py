"""Do the params fit? Checked against the definition's JSON Schema before anything is written.

Validators are compiled once per definition and kept; an error says where (JSON Pointer) and, for a name that does not
exist, which one was probably meant.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec

from orpheus.core.errors import InvalidParams
from orpheus.core.fetching import URL, fetched_params, url_params
from orpheus.core.graph import Graph
from orpheus.core.plain import MAX_VALUES, NotPlain, at_a_glance, check_plain, pointer
from orpheus.core.schema import FILE_MARK, defaults_of, filled_in
from orpheus.core.suggest import did_you_mean
from orpheus.core.values import operator_of

FILE_HINT = (
    'A file is {"file_id": …} (POST /files), {"url": …} or {"artifact": {"job": …, "name": …}}; '
    "on the command line -p name=@path."
)
MOST_ERRORS = 20
BACKTRACKS = 100_000
"""Steps a `pattern` may take: a hostile pattern in an inline graph costs some milliseconds, not the server."""
_encode = msgspec.json.Encoder().encode


class Form:
    """What the params of one definition are checked with: its schema, compiled, and the defaults that it gives."""

    __slots__ = ("_defaults", "_is_valid", "validator")

    def __init__(self, validator: Any, schema: Mapping[str, Any]) -> None:
        self.validator = validator
        self._is_valid: Callable[[Any], bool] = validator.is_valid
        self._defaults = defaults_of(schema)

    def fill(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of the params with the defaults filled in."""
        return filled_in(params, self._defaults) if self._defaults else dict(params)

    def fit(self, params: Mapping[str, Any], max_bytes: int) -> tuple[dict[str, Any], str] | None:
        """Return the params with the defaults filled in, and as JSON, where they fit and no file is among them, which nearly always
        is all there is to say; None where more is to be said, and `ParamsChecker.check` says it."""
        filled = self.fill(params)
        marked = at_a_glance(filled)
        if marked is None or (marked and holds_file(filled)):
            return None
        try:
            text = _encode(filled)
        except UnicodeEncodeError:
            return None
        if len(text) > max_bytes or len(text) > MAX_VALUES or not self._is_valid(filled):
            return None
        return filled, text.decode()


class ParamsChecker:
    """Compiled schemas of the definitions used lately."""

    def __init__(self, keep: int = 256) -> None:
        self._keep = keep
        self._forms: OrderedDict[str, Form] = OrderedDict()

    def check(self, graph: Graph, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with the schema's defaults filled in.

        Raises:
            InvalidParams: `details` holds one entry per error, with its JSON Pointer into the request.
        """
        try:
            check_plain(dict(params))
        except NotPlain as fault:
            raise InvalidParams(
                f"params of workflow {graph.name!r}: {fault}",
                details=[{"path": f"/params{fault.pointer}", "message": str(fault)}],
            ) from None
        form = self.form(graph)
        filled = form.fill(params)
        validator = form.validator
        if validator.is_valid(filled):
            return filled
        errors = [self._describe(graph, error, filled) for error in islice(validator.iter_errors(filled), MOST_ERRORS)]
        if errors:
            first = errors[0]
            where = f" at {path}" if (path := first["path"].removeprefix("/params")) else ""
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise InvalidParams(
                f"params of workflow {graph.name!r}{where}: {first['message']}{more}",
                hint=first.get("hint", "") or f"The schema is at GET /workflows/{graph.name}.",
                details=errors,
            )
        return filled

    def form(self, graph: Graph) -> Form:
        """Return what the graph's params are checked with.

        Raises:
            InvalidParams: its schema cannot be used.
        """
        found = self._forms.get(graph.definition_id)
        if found is not None:
            self._forms.move_to_end(graph.definition_id)
            return found
        try:
            validator = jsonschema_rs.validator_for(
                dict(graph.params_schema),
                offline=True,
                pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACKS),
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise InvalidParams(
                f"the params schema of workflow {graph.name!r} cannot be used: {error}",
                hint="Publish it again, mended.",
            ) from None
        found = self._forms[graph.definition_id] = Form(validator, graph.params_schema)
        if len(self._forms) > self._keep:
            self._forms.popitem(last=False)
        return found

    def _describe(self, graph: Graph, error: Any, params: Mapping[str, Any]) -> dict[str, Any]:
        path = ["params", *error.instance_path]
        described: dict[str, Any] = {"path": pointer(*path), "message": str(error.message)[:500]}
        kind = error.kind
        if kind.name == "falseSchema" and list(error.schema_path) == ["additionalProperties"]:
            # A schema without any field: the library names neither the field nor its place.
            name = next(iter(params), "")
            return {"path": pointer("params", name), "message": f"there is no field {name[:80]!r}: it takes none"}
        if kind.name == "additionalProperties" and kind.unexpected:
            name = str(kind.unexpected[0])
            described["path"] = pointer(*path, name)
            described["message"] = f"there is no field {name[:80]!r}"
            hint = did_you_mean(name, _properties(graph.params_schema, error.schema_path))
            if hint:
                described["hint"] = hint
        elif kind.name == "required":
            described["path"] = pointer(*path, str(kind.property))
            described["message"] = f"{kind.property!r} is missing"
        elif hint := _how_to_give(
            _at(graph.params_schema, error.schema_path[:-1]), error.instance, graph.params_schema
        ):
            described["hint"] = hint
        return described


def _at(schema: Any, path: list[str | int]) -> Any:
    try:
        for step in path:
            schema = schema[step]
    except (KeyError, IndexError, TypeError):
        return None
    return schema


def _how_to_give(wanted: Any, value: Any, schema: Mapping[str, Any]) -> str:
    """Return how such a param is written, for the two mistakes everybody makes once: a path for a file, 1 for "1"."""
    if not isinstance(wanted, Mapping):
        return ""
    either = [wanted, *(one for word in ("anyOf", "oneOf") for one in wanted.get(word, ()) if isinstance(one, Mapping))]
    either = [
        _at(schema, one["$ref"].removeprefix("#/").split("/")) if isinstance(one.get("$ref"), str) else one
        for one in either
    ]
    if any(isinstance(one, Mapping) and one.get(FILE_MARK) == "file" for one in either):
        return FILE_HINT
    if wanted.get("type") == "string" and isinstance(value, bool | int | float):
        return "It takes text: put it in quotes, on the command line -p name:=value."
    return ""


def _properties(schema: Any, schema_path: list[str | int]) -> list[str]:
    """Return the fields that the schema object owning an `additionalProperties` error has."""
    owner = _at(schema, schema_path[:-1])
    properties = owner.get("properties") if isinstance(owner, Mapping) else None
    return list(properties) if isinstance(properties, Mapping) else []


def holds_file(value: Any) -> bool:
    """Tell whether a file, or one to be fetched, stands anywhere in it."""
    stack = [value]
    while stack:
        inner = stack.pop()
        if operator_of(inner) in ("$file", URL):
            return True
        if isinstance(inner, dict):
            stack.extend(inner.values())
        elif isinstance(inner, list):
            stack.extend(inner)
    return False


def check_fetched(graph: Graph, params: Mapping[str, Any]) -> None:
    """Refuse a URL in edited params where the job was not made to fetch one: its definition is fixed (R11).

    Raises:
        InvalidParams: names the param.
    """
    for name in url_params(params):
        if name not in fetched_params(graph):
            message = "this job was submitted without a URL here, so it fetches none"
            raise InvalidParams(
                f"params of workflow {graph.name!r} at {pointer(name)}: {message}",
                hint="Upload the file (POST /files) and name its file_id, or submit another job.",
                details=[{"path": pointer("params", name), "message": message}],
            )
