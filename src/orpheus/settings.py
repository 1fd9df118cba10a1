"""Where does a setting come from? Flags, then `ORPHEUS_*`, then `orpheus.toml`, then the defaults below.

Every setting is one field here: its name is the key in `orpheus.toml` and, in capitals behind `ORPHEUS_`, the variable.
A secret may instead be named by a file: `api_key_file` or `ORPHEUS_API_KEY_FILE`. A key that nobody knows is refused with
the nearest one that exists, in the file as in the environment, because a misspelt limit is no limit.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from orpheus.core.errors import OrpheusError

CONFIG_FILE = "orpheus.toml"
PREFIX = "ORPHEUS_"
FREE_PREFIXES = ("ORPHEUS_SECRET_", "ORPHEUS_TEST_")
"""Variables that are not settings: what `secret("NAME")` reads, and switches of our own tests."""

FOR_TASKS = (
    *("ffmpeg", "whisper_model", "tessdata", "font", "labels", "chat_url", "chat_key", "chat_model", "transcribe_url"),
    *("transcribe_key", "transcribe_model", "replicate_url", "service_timeout_s"),
    *("chat_price", "transcribe_price", "replicate_price"),
)
"""What shipped tasks read from the environment, although it may stand in orpheus.toml."""


class SettingsError(OrpheusError):
    """A setting is unknown or has no usable value; the message names it and where it stands."""

    code = "invalid_setting"


def _about(text: str, *, secret: bool = False, **limits: Any) -> msgspec.Meta:
    return msgspec.Meta(description=text, extra={"secret": secret}, **limits)


Count = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, _about("Port to listen on; 0 takes a free one.", ge=0, le=65535)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename={"imports": "import"}):
    """Everything that can be set. Lengths of time in seconds, sizes in bytes."""

    url: Annotated[str | None, _about("Server that the client and the commands speak to.")] = None
    api_key: Annotated[str | None, _about("Key to send to the server.", secret=True)] = None
    timeout_s: Annotated[float, _about("How long the client waits for one answer.", gt=0)] = 30.0

    data: Annotated[Path, _about("Data directory: database, objects, lock.")] = Path("orpheus-data")
    env: Annotated[
        str, _about("Environment: first part of every object key.", pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    ] = "dev"
    host: Annotated[str, _about("Address to listen on.")] = "127.0.0.1"
    port: Port = 8700
    root_path: Annotated[str, _about("Path prefix under which a proxy serves Orpheus.")] = ""
    require_keys: Annotated[
        bool | None, _about("Whether requests need an API key; unset: as soon as one was ever made.")
    ] = None
    open_metrics: Annotated[bool, _about("Whether /metrics needs no key.")] = False
    own_keys: Annotated[
        str | None, _about("Keys of the processes that `up` and `run` start; they set it.", secret=True)
    ] = None
    insecure: Annotated[bool, _about("Listen on other addresses than this machine's without API keys.")] = False
    allowed_hosts: Annotated[list[str], _about("Further Host headers to answer to.")] = []
    allowed_origins: Annotated[list[str], _about("Further Origins whose pages may speak to the server.")] = []
    max_upload_bytes: Annotated[int, _about("Largest file accepted.", gt=0)] = 2 * 1024**3
    max_body_bytes: Annotated[int, _about("Largest JSON body accepted.", gt=0)] = 32 * 1024**2
    lease_s: Annotated[float, _about("How long a silent worker keeps its tasks.", gt=0)] = 30.0
    cancel_grace_s: Annotated[float, _about("How long running work may take to stop when cancelled.", ge=0)] = 10.0
    stop_grace_s: Annotated[float, _about("How long running work may take to end when told to stop.", ge=0)] = 30.0

    webhook_secret: Annotated[
        str | None,
        _about(
            "Signs webhooks to jobs' own webhook_url: whsec_…; two, the new one first, while it changes.", secret=True
        ),
    ] = None
    webhook_allow_private: Annotated[bool, _about("Let webhooks reach private, loopback and link-local addresses.")] = (
        False
    )
    ageing_s: Annotated[
        float | None, _about("A priority that others went before for so long goes first once; none is off.", gt=0)
    ] = None

    retention_s: Annotated[
        dict[str, float],
        _about("How long ended jobs are kept, by all, state, workflow:NAME, tenant:NAME; none is for ever."),
    ] = {}
    cache_retention_s: Annotated[
        float | None, _about("Cached results not used for so long are forgotten; none is never.", ge=0)
    ] = None

    workers: Annotated[int, _about("Worker processes that `up` keeps running.", ge=0, le=256)] = 1
    imports: Annotated[list[str], _about("Modules with tasks and workflows that workers load.")] = []
    queues: Annotated[list[str], _about("Queues a worker serves; none means all.")] = []
    concurrency: Annotated[Count | None, _about("Tasks one worker runs at a time.")] = None
    resources: Annotated[dict[str, int], _about("What a worker has to lend, e.g. gpu=1.")] = {}

    log_level: Annotated[str, _about("Least level logged.", pattern="^(debug|info|warning|error)$")] = "info"
    log_json: Annotated[bool, _about("Log lines as JSON.")] = False

    fetch_max_bytes: Annotated[int, _about("Largest file that workers fetch by URL.", gt=0)] = 2 * 1024**3
    fetch_timeout_s: Annotated[float, _about("How long one fetch by URL may take.", gt=0)] = 3600.0
    fetch_allow_private: Annotated[bool, _about("Fetch from private addresses and this machine too.")] = False

    ffmpeg: Annotated[Path | None, _about("FFmpeg program to use instead of the bundled one.")] = None
    whisper_model: Annotated[str | None, _about("Weights for transcripts: a folder, or a size to fetch.")] = None
    tessdata: Annotated[Path | None, _about("Folder with Tesseract's data, for more languages.")] = None
    font: Annotated[Path | None, _about("Font file for captions in a storyboard.")] = None
    labels: Annotated[
        Literal["service", "local", "off"] | None, _about("Who looks at pictures; unset: the chat service.")
    ] = None
    chat_url: Annotated[str | None, _about("OpenAI-compatible service for summaries and pictures, up to /v1.")] = None
    chat_key: Annotated[str | None, _about("Its key.", secret=True)] = None
    chat_model: Annotated[str | None, _about("Its model.")] = None
    transcribe_url: Annotated[str | None, _about("OpenAI-compatible service for transcripts, up to /v1.")] = None
    transcribe_key: Annotated[str | None, _about("Its key.", secret=True)] = None
    transcribe_model: Annotated[str | None, _about("Its model.")] = None
    replicate_url: Annotated[str | None, _about("Replicate's API, or what stands for it.")] = None
    chat_price: Annotated[str | None, _about("Of a million tokens sent/answered, e.g. 0.15/0.60.")] = None
    transcribe_price: Annotated[float | None, _about("Of a minute of sound.", ge=0)] = None
    replicate_price: Annotated[float | None, _about("Of a second of a prediction.", ge=0)] = None
    service_timeout_s: Annotated[float | None, _about("How long such a service may be silent.", gt=0)] = None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, described."""

    key: str
    field: str
    kind: Any
    help: str
    secret: bool

    @property
    def variable(self) -> str:
        return PREFIX + self.key.upper()


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force, and where each comes from: `flag`, the variable, the file, or `default`."""

    settings: Settings
    origins: Mapping[str, str]
    config: Path | None


def _describe() -> dict[str, Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    found = {}
    for one in msgspec.structs.fields(Settings):
        kind = hints[one.name]
        meta: msgspec.Meta = get_args(kind)[1]
        secret = bool((meta.extra or {}).get("secret"))
        found[one.encode_name] = Setting(one.encode_name, one.name, kind, meta.description or "", secret)
    return found


SETTINGS: Mapping[str, Setting] = _describe()
"""By key, in the order in which they are explained."""


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config: Path | None = None,
    folder: Path | None = None,
) -> Loaded:
    """Put the settings together.

    Args:
        flags: values by key from the command line; None means "not said".
        environ: instead of the process's environment.
        config: the file to read; by default ORPHEUS_CONFIG, else `orpheus.toml` in `folder` when there is one.
        folder: by default the current one.

    Raises:
        SettingsError: a key is unknown, a value does not fit, or a named file cannot be read.
    """
    variables = os.environ if environ is None else environ
    path = _config_path(config, variables, folder)
    layers = [
        _from_file(path) if path else {},
        _from_environment(variables),
        {key: (value, "flag") for key, value in (flags or {}).items() if value is not None},
    ]
    values: dict[str, Any] = {}
    origins = dict.fromkeys(SETTINGS, "default")
    for layer in layers:
        for key, (value, origin) in layer.items():
            values[key] = _convert(SETTINGS[key], value, origin)
            origins[key] = origin
    return Loaded(Settings(**{SETTINGS[key].field: value for key, value in values.items()}), origins, path)


def _config_path(config: Path | None, environ: Mapping[str, str], folder: Path | None) -> Path | None:
    named = config or (Path(environ["ORPHEUS_CONFIG"]) if environ.get("ORPHEUS_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError(f"there is no configuration file {named}")
        return named
    usual = (folder or Path()) / CONFIG_FILE
    return usual if usual.is_file() else None


def _from_file(path: Path) -> dict[str, tuple[Any, str]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    return _checked(content, {key: key for key in SETTINGS}, lambda key: f"{path} ({key})", path.parent)


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    ours = {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name != "ORPHEUS_CONFIG" and not name.startswith(FREE_PREFIXES) and value != ""
    }
    return _checked(ours, {one.variable: key for key, one in SETTINGS.items()}, lambda name: name, Path())


def _checked(
    given: Mapping[str, Any], names: Mapping[str, str], origin_of: Any, folder: Path
) -> dict[str, tuple[Any, str]]:
    """Map names to keys, read secrets from the files that are named for them, and refuse everything else."""
    files = {
        name + ("_FILE" if name.isupper() else "_file"): key for name, key in names.items() if SETTINGS[key].secret
    }
    found: dict[str, tuple[Any, str]] = {}
    for name, value in given.items():
        if name in names:
            found.setdefault(names[name], (value, origin_of(name)))
        elif name in files:
            found[files[name]] = (_read_secret(folder / str(value), origin_of(name)), origin_of(name))
        else:
            near = difflib.get_close_matches(name, [*names, *files], n=1)
            raise SettingsError(
                f"unknown setting {origin_of(name)}",
                hint=f"Did you mean {near[0]!r}?" if near else "`orpheus config show` lists every setting.",
            )
    return found


def _read_secret(path: Path, origin: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{origin}: {error}") from None


def _convert(setting: Setting, value: Any, origin: str) -> Any:
    if isinstance(value, str):
        value = _split(setting, value)
    try:
        return msgspec.convert(value, setting.kind, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        shown = "the value" if setting.secret else repr(value)
        raise SettingsError(
            f"{setting.key}: {shown} does not fit: {error}", hint=f"It comes from {origin}. {setting.help}"
        ) from None


def _path(kind: type[Any], value: Any) -> Any:
    if issubclass(kind, Path) and isinstance(value, str | Path):
        return Path(value).expanduser()
    raise NotImplementedError(f"a {kind.__name__} cannot be made from {value!r}")


def _split(setting: Setting, text: str) -> Any:
    """Read a list (`a,b`) or a mapping (`gpu=1,vram_mb=24000`) from one string."""
    bare = get_args(setting.kind)[0]
    if get_origin(bare) is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if get_origin(bare) is dict:
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        return {name.strip(): value.strip() for name, _, value in pairs}
    return text
