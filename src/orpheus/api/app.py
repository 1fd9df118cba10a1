"""The HTTP side put together: `create_app(engine, objects, options)`.

A FastAPI application whose request path is ours: every request passes the gate (`gate.py`), is matched (exact paths
by one look-up, the rest by Starlette's router), decoded by what its route declares, and handed to a handler.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from orpheus.api import openapi
from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.catalog import Catalog
from orpheus.api.gate import Gate
from orpheus.api.metrics import Metrics
from orpheus.api.options import ApiOptions
from orpheus.api.route import Endpoint, Media, Mounted, Routes
from orpheus.api.routers import (
    artifacts,
    audit,
    bulk,
    duplicates,
    estimates,
    inbox,
    job_orders,
    job_parts,
    jobs,
    keys,
    pages,
    queues,
    schedules,
    streams,
    system,
    tenants,
    upkeep,
    waits,
    webhooks,
    worker_protocol,
    workflows,
)
from orpheus.api.services import Services
from orpheus.api.webhook_sender import WebhookSender
from orpheus.artifacts.store import ObjectStore
from orpheus.engine.base import Engine

NOUNS: tuple[Routes, ...] = (
    jobs.routes,
    bulk.routes,
    estimates.routes,
    job_orders.routes,
    job_parts.routes,
    waits.routes,
    inbox.routes,
    artifacts.routes,
    duplicates.routes,
    workflows.routes,
    queues.routes,
    schedules.routes,
    tenants.routes,
    upkeep.routes,
    webhooks.routes,
    worker_protocol.routes,
    streams.routes,
    keys.routes,
    audit.routes,
    system.routes,
    pages.routes,
)


def endpoints() -> list[Endpoint]:
    """Return every endpoint, in the order in which they are matched and documented."""
    return [endpoint for noun in NOUNS for endpoint in noun.endpoints]


class OrpheusApp(FastAPI):
    """FastAPI with our gate in place of its middleware stack, and our document in place of its own."""

    services: Services

    def __init__(self, services: Services, **options: Any) -> None:
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None, **options)
        self.services = services
        self._document: dict[str, Any] | None = None
        self.mounted: dict[str, Mounted] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        if self.services.options.root_path:
            scope["root_path"] = self.services.options.root_path
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        inner: ASGIApp = _Dispatch(self.router, self.mounted)
        for middleware in reversed(self.user_middleware):
            inner = middleware.cls(inner, *middleware.args, **middleware.kwargs)
        return Gate(inner, self.services, self.mounted)

    def openapi(self) -> dict[str, Any]:
        if self._document is None:
            tags = {noun.tag: noun.description for noun in NOUNS if noun.description}
            options = self.services.options
            self._document = openapi.build(endpoints(), tags=tags, version=options.version, root_path=options.root_path)
        return self._document


class _Dispatch:
    """Exact paths by one look-up, paths with a name in them by their length and first word; the router, which asks a regular
    expression per route, has what is left (paths of any depth, sockets, what does not exist)."""

    def __init__(self, router: ASGIApp, mounted: Mapping[str, Mounted]) -> None:
        self._router = router
        self._exact = {path: mount for path, mount in mounted.items() if "{" not in path}
        self._named: dict[tuple[int, str], list[tuple[list[str], Mounted]]] = {}
        for path, mount in mounted.items():
            if "{" in path and ":path" not in path:
                parts = path.split("/")
                self._named.setdefault((len(parts), parts[1]), []).append((parts, mount))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            path: str = scope["path"]
            root = scope.get("root_path", "")
            path = path.removeprefix(root) if root else path
            mount = self._exact.get(path) or self._by_name(path, scope)
            if mount is not None:
                return mount(scope, receive, send)
        return self._router(scope, receive, send)

    def _by_name(self, path: str, scope: Scope) -> Mounted | None:
        given = path.split("/")
        if len(given) < 3:
            return None
        for parts, mount in self._named.get((len(given), given[1]), ()):
            params: dict[str, str] = {}
            for part, value in zip(parts, given, strict=True):
                if part.startswith("{"):
                    if not value:
                        break
                    params[part[1:-1]] = value
                elif part != value:
                    break
            else:
                scope["path_params"] = params
                return mount
        return None


def create_app(
    engine: Engine, objects: ObjectStore, options: ApiOptions | None = None, *, manage_engine: bool = True
) -> OrpheusApp:
    """Make the application.

    Args:
        engine: started with the app and stopped with it, unless `manage_engine` is False.
        objects: where uploads go and artifacts lie.
    """
    chosen = options or ApiOptions()
    services = Services(engine=engine, objects=objects, options=chosen, catalog=Catalog(engine), metrics=Metrics())

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if manage_engine:
            await engine.start()
        sender = WebhookSender(services)
        sender.start()
        try:
            yield
        finally:
            services.stop()
            await sender.stop()
            if manage_engine:
                await engine.stop()

    app = OrpheusApp(services, title="Orpheus", version=chosen.version, lifespan=lifespan)
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in [*endpoints(), _openapi_endpoint(app)]:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    for path, methods in by_path.items():
        mounted = Mounted(path, methods)
        app.mounted[path] = mounted
        app.router.routes.append(Route(path, mounted))
    app.router.routes.append(WebSocketRoute("/ws", streams.WebSocket()))
    app.router.redirect_slashes = False
    return app


def _openapi_endpoint(app: OrpheusApp) -> Endpoint:
    routes = Routes("system")

    @routes.get("/openapi.json", role="open", hidden=True, answers={200: Media("application/json")})
    async def document(call: Call) -> Answer:
        """Show the OpenAPI document."""
        del call
        return json_answer(app.openapi())

    return routes.endpoints[0]


__all__ = ["OrpheusApp", "create_app", "endpoints"]
