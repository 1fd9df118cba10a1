"""What does a function take and return? Its parameters sorted into context, resources and arguments, with schemas."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any

from orpheus.authoring import codec
from orpheus.authoring.errors import DefinitionError
from orpheus.authoring.resources import ResourceSpec
from orpheus.authoring.source import definition_line
from orpheus.core.suggest import did_you_mean

_NO_DEFAULT = inspect.Parameter.empty
_PLAIN = (str, int, float, bool, type(None))


class Signature:
    """The parameters of a task or workflow function, read when first asked, so annotations may name later classes.

    Args:
        function: the author's function.
        what: how messages call it, e.g. `task "cut"`.
        context_class: the class that, as annotation of the first parameter (or the name `ctx`), marks the context.
    """

    def __init__(self, function: Callable[..., Any], what: str, context_class: type[Any] | None) -> None:
        self._function = function
        self._what = f"{what} ({definition_line(function)})"
        self._local = _caller_names()
        parameters = list(inspect.signature(function).parameters.values())
        self.takes_context = (
            context_class is not None and bool(parameters) and _is_context(parameters[0], context_class)
        )
        if self.takes_context:
            parameters = parameters[1:]
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise DefinitionError(f"{self._what} takes *{parameter.name}", hint="Name its arguments one by one.")
        self.resources: dict[str, ResourceSpec] = {
            parameter.name: parameter.default for parameter in parameters if isinstance(parameter.default, ResourceSpec)
        }
        self.arguments = [parameter for parameter in parameters if parameter.name not in self.resources]
        self._binder = inspect.Signature(
            [parameter.replace(annotation=_NO_DEFAULT) for parameter in self.arguments], __validate_parameters__=False
        )
        self._hints: dict[str, Any] | None = None
        self._schemas: tuple[dict[str, Any], dict[str, Any] | None] | None = None
        self._plan: list[tuple[str, bool, tuple[type, ...], Any]] | None = None
        self._all_by_name: dict[str, tuple[type, ...]] | None = None
        """Of a function that takes nothing by place only: of each argument the types that are taken as they come."""
        self._try_hints()

    @property
    def hints(self) -> Mapping[str, Any]:
        """Annotations by name, `return` among them.

        Raises:
            DefinitionError: an annotation names something that does not exist.
        """
        if self._hints is None:
            try:
                self._hints = typing.get_type_hints(self._function, localns=self._local, include_extras=True)
            except (NameError, TypeError, AttributeError) as error:
                raise DefinitionError(
                    f"{self._what}: its annotations cannot be read: {error}",
                    hint="Import the type at the top of the module (not only under TYPE_CHECKING).",
                ) from error
        return self._hints

    def _try_hints(self) -> None:
        try:
            self.hints  # noqa: B018 (read now, while the names around the function are there; later if it fails)
        except DefinitionError:
            return
        self._local = {}

    @property
    def params_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments as one object."""
        return self._both()[0]

    @property
    def result_schema(self) -> dict[str, Any] | None:
        """JSON Schema of the result; None where it may be anything."""
        return self._both()[1]

    def _both(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        if self._schemas is None:
            hints = self.hints
            required = [parameter.name for parameter in self.arguments if parameter.default is _NO_DEFAULT]
            defaults = {
                parameter.name: parameter.default
                for parameter in self.arguments
                if parameter.default is not _NO_DEFAULT
            }
            annotations = {parameter.name: hints.get(parameter.name, Any) for parameter in self.arguments}
            try:
                params = codec.object_schema(annotations, required=required, defaults=defaults)
                result = codec.schema_of(hints.get("return", Any))
            except TypeError as error:
                raise DefinitionError(
                    f"{self._what}: {error}",
                    hint="Arguments and results are JSON, dataclasses, TypedDicts, enums, datetimes, msgspec or pydantic models, or File.",
                ) from error
            self._schemas = (params, result)
        return self._schemas

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, those left out (defaults) not among them.

        Raises:
            DefinitionError: they do not fit the function.
        """
        names = [parameter.name for parameter in self.arguments]
        for name in kwargs:
            if name in self.resources:
                raise DefinitionError(
                    f"{self._what}: {name!r} is a Resource", hint="The worker loads it; leave it out."
                )
            if name not in names:
                raise DefinitionError(f"{self._what} has no argument {name!r}", hint=did_you_mean(name, names))
        try:
            return dict(self._binder.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise DefinitionError(f"{self._what}: {error}", hint=f"It takes {self.shown}.") from None

    @property
    def shown(self) -> str:
        """The arguments as text, e.g. `(source, style='calm')`."""
        return str(self._binder)

    def decode(self, arguments: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn arguments from the wire into `(args, kwargs)` for the function, context and resources left out.

        Raises:
            ValueError: one is missing, unknown, or not of its type.
        """
        plan = self._plan
        if plan is None:
            plan = self._plan = self._planned()
            if not any(positional for _, positional, _, _ in plan):
                self._all_by_name = {name: plain for name, _, plain, _ in plan}
        by_name = self._all_by_name
        if (
            by_name is not None and by_name.keys() == arguments.keys()
        ):  # nearly all calls: all is there, and as it is to be
            for name, plain in by_name.items():
                if type(arguments[name]) not in plain:
                    break
            else:
                return (), dict(arguments)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        found = 0
        for name, positional, plain, default in plan:
            if name in arguments:
                value = arguments[name]
                found += 1
                if type(value) not in plain:
                    value = self._decode_one(name, value)
            elif default is _NO_DEFAULT:
                self._check_known(arguments)
                raise ValueError(f"argument {name!r} is missing")
            elif positional:
                value = default
            else:
                continue
            if positional:
                args.append(value)
            else:
                kwargs[name] = value
        if found != len(arguments):
            self._check_known(arguments)
        return tuple(args), kwargs

    def _planned(self) -> list[tuple[str, bool, tuple[type, ...], Any]]:
        """For each argument: name, whether it goes by place, the types that are taken as they come, the default."""
        return [
            (one.name, one.kind is one.POSITIONAL_ONLY, _taken_as_is(self.hints.get(one.name, Any)), one.default)
            for one in self.arguments
        ]

    def _check_known(self, arguments: Mapping[str, Any]) -> None:
        known = {parameter.name for parameter in self.arguments}
        for name in arguments:
            if name not in known:
                raise ValueError(f"there is no argument {name!r}. {did_you_mean(name, known)}".rstrip())

    def _decode_one(self, name: str, value: Any) -> Any:
        hint = self.hints.get(name, Any)
        try:
            return codec.from_wire(value, hint)
        except ValueError as error:
            raise ValueError(f"argument {name!r}: {error}") from error


def _taken_as_is(hint: Any) -> tuple[type, ...]:
    """Return the types of JSON that need no decoding for an annotation: what is annotated plainly, and comes so."""
    if hint is Any or hint is object:
        return _PLAIN
    return (hint,) if hint in (str, int, float, bool) else ()


def _is_context(parameter: inspect.Parameter, context_class: type[Any]) -> bool:
    annotation = parameter.annotation
    if isinstance(annotation, str):
        return annotation.rsplit(".", 1)[-1].strip("'\" ") == context_class.__name__
    if annotation is _NO_DEFAULT:
        return parameter.name == "ctx"
    return isinstance(annotation, type) and issubclass(annotation, context_class)


def _caller_names() -> dict[str, Any]:
    """Return the local names of the functions around the definition, innermost first, so that classes of a test or
    notebook function can be annotations."""
    names: dict[str, Any] = {}
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("orpheus.authoring"):
            frame = frame.f_back  # type: ignore[assignment]
            continue
        if frame.f_locals is not frame.f_globals:
            names = dict(frame.f_locals)
        break
    return names
