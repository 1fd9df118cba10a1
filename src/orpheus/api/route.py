"""How an endpoint is declared: once, with the types that both decode it and document it.

    routes = Routes("jobs")

    @routes.post("/jobs", role="submit", body=SubmitJob, answers={201: JobInfo}, errors=(InvalidParams, UnknownWorkflow))
    async def submit(call: Call) -> Answer: ...

Handlers are mounted as plain ASGI applications: FastAPI's own request handling costs more than the whole engine call on
the hot path, and its documentation could then say something else than what msgspec decodes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import msgspec
from starlette.types import Receive, Scope, Send

from orpheus.api import body as bodies
from orpheus.api.auth import authorise
from orpheus.api.calls import Answer, Call, Stamping
from orpheus.api.ending import ends_with_key
from orpheus.api.errors import MethodNotAllowed
from orpheus.api.query import NoQuery, QueryDecoder
from orpheus.core.errors import OrpheusError


class Sendable(Protocol):
    async def send(self, call: Call, send: Send) -> None: ...


Handler = Callable[[Call], Awaitable[Sendable]]
Access: TypeAlias = Literal["open", "token", "any", "read", "submit", "operate", "admin", "worker"]
"""What a key must be able to do. `open`: nothing is asked, keys or not; for what tells nothing of anybody's work. `token`:
the request carries another proof, which the handler checks (a callback's token, a key to be exchanged). `any`: whatever the
role."""
Problem: TypeAlias = type[OrpheusError]


@dataclass(frozen=True)
class Media:
    """A response or request body that is not JSON of one of our types."""

    content_type: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string", "format": "binary"})


@dataclass(frozen=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    tag: str
    summary: str
    description: str
    query: QueryDecoder
    role: Access = "admin"
    """Left out it is the highest, so that what is forgotten is shut rather than open."""
    shared: bool = False
    """It shows or changes what all tenants share: a key of one tenant is not enough."""
    body: msgspec.json.Decoder[Any] | None = None
    body_optional: bool = False
    body_schema: str | None = None
    """Component that documents the body, where its type says less than is known."""
    raw_body: Sequence[Media] = ()
    """Body types that the handler reads itself, from `call.receive`."""
    answers: Mapping[int, Any] = field(default_factory=dict)
    """Status → msgspec type, `Media`, a tuple of both, or None for no body."""
    errors: tuple[Problem, ...] = ()
    request_headers: Mapping[str, str | tuple[str, str]] = field(default_factory=dict)
    """Name → description, or description and pattern."""
    path_patterns: Mapping[str, str] = field(default_factory=dict)
    """Path parameter → the pattern that the engine asks for; for the documentation."""
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    max_body_bytes: int | None = None
    """None is the limit of the options."""
    timed: bool = True
    hidden: bool = False
    examples: Mapping[str, Any] = field(default_factory=dict)

    @property
    def operation_id(self) -> str:
        return f"{self.handler.__module__.rsplit('.', 1)[-1]}_{self.handler.__name__}"

    def run(self, call: Call, send: Send) -> Awaitable[None]:
        """Serve a request; one that may take long ends with its caller's key."""
        if self.timed or call.identity.key is None:
            return self._run(call, send)
        return self._run_with_key(call, send)

    async def _run_with_key(self, call: Call, send: Send) -> None:
        with ends_with_key(call):
            await self._run(call, send)

    async def _run(self, call: Call, send: Send) -> None:
        """Let in, decode, handle, answer."""
        authorise(call.identity, self.role, shared=self.shared)
        if not self.hidden:
            call.query = self.query.decode(call.scope["query_string"])
        if self.body is not None:
            limit = call.services.options.max_body_bytes if self.max_body_bytes is None else self.max_body_bytes
            raw = bodies.plain_json(call, limit)
            if raw:
                call.body = bodies.decode(self.body, raw)
            elif not self._read_by_handler(call):
                await self._read_body(call, limit)
        answer = await self.handler(call)
        # Whatever an application has put between the gate and here wants to see messages.
        if type(answer) is Answer and type(send) is Stamping and send.whole(answer):
            return
        await answer.send(call, send)

    async def _read_body(self, call: Call, limit: int) -> None:
        bodies.check_length(call, limit)
        if b"content-type" in call.headers or not self.body_optional:
            bodies.check_json(call)
        raw = await bodies.read(call, limit)
        if raw or not self.body_optional:
            if b"content-type" not in call.headers:
                bodies.check_json(call)
            assert self.body is not None, "asked where there is one"
            call.body = bodies.decode(self.body, raw)

    def _read_by_handler(self, call: Call) -> bool:
        if not self.raw_body:
            return False
        said = bodies.content_type(call)
        return any(media.content_type == said for media in self.raw_body)


class Mounted:
    """All methods of one path, as an ASGI application."""

    def __init__(self, path: str, endpoints: Mapping[str, Endpoint]) -> None:
        self.path = path
        self.endpoints = dict(endpoints)
        if "GET" in self.endpoints:
            self.endpoints.setdefault("HEAD", self.endpoints["GET"])
        self.allow = ", ".join(sorted(self.endpoints))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        del receive
        call: Call = scope["orpheus.call"]
        endpoint = self.endpoints.get(scope["method"])
        if endpoint is None:
            raise MethodNotAllowed(
                f"{scope['method']} is not possible at {self.path}", allow=self.allow, hint=f"possible: {self.allow}"
            )
        scope["orpheus.endpoint"] = endpoint
        return endpoint.run(call, send)


class Routes:
    """The endpoints of one noun."""

    def __init__(self, tag: str, description: str = "") -> None:
        self.tag = tag
        self.description = description
        self.endpoints: list[Endpoint] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        role: Access = "admin",
        shared: bool = False,
        query: type[msgspec.Struct] = NoQuery,
        body: Any = None,
        **options: Any,
    ) -> Callable[[Handler], Handler]:
        """Declare an endpoint. The handler's docstring becomes its summary (first paragraph) and description."""

        def declare(handler: Handler) -> Handler:
            summary, _, rest = (handler.__doc__ or handler.__name__).strip().partition("\n\n")
            self.endpoints.append(
                Endpoint(
                    method=method,
                    path=path,
                    handler=handler,
                    tag=self.tag,
                    summary=" ".join(summary.split()),
                    description="\n".join(line.strip() for line in rest.splitlines()).strip(),
                    query=QueryDecoder(query),
                    role=role,
                    shared=shared,
                    body=None if body is None else msgspec.json.Decoder(body),
                    **options,
                )
            )
            return handler

        return declare

    def get(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("DELETE", path, **options)
