"""Where does an object lie, and may it lie there? The layout of design.md section 6, and the one check of names.

    {env}/{tenant}/{job_id}/manifest.json       the manifest
    {env}/{tenant}/{job_id}/{artifact name}     published artifacts
    {env}/{tenant}/.files/{file_id}/content     uploaded files
    .runs/{run_id}/{artifact name}              what an attempt writes, before it is accepted (R10)

A part that begins with a dot never comes from a user, so the two kinds of names cannot meet. File names that users give
are data and appear in no key.
"""

from __future__ import annotations

import re
from functools import lru_cache

from orpheus.artifacts.errors import UnsafeKey

MAX_PART_BYTES = 200
"""Below the 255 bytes of common file systems, so that a temporary name beside it still fits."""
MAX_KEY_BYTES = 1000

MANIFEST = "manifest.json"
RUNS = ".runs"

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def check_key(key: str, *, what: str = "key") -> str:
    """Return `key` when each of its parts is a plain name.

    Args:
        what: how the message calls it.

    Raises:
        UnsafeKey: empty, absolute, too long, a part is empty, `.` or `..`, or it holds a backslash or a character
            that is not printable text.
    """
    if not key:
        raise UnsafeKey(f"the {what} is empty")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise UnsafeKey(f"the {what} is not valid Unicode") from None
    if size > MAX_KEY_BYTES:
        raise UnsafeKey(f"the {what} is longer than {MAX_KEY_BYTES} bytes", hint="use a shorter name")
    for part in key.split("/"):
        if part in ("", ".", ".."):
            raise UnsafeKey(
                f"{what} {key!r} has a part that is empty, '.' or '..'",
                hint="use relative names with single slashes, like thumbnails/320.webp",
            )
        if len(part.encode()) > MAX_PART_BYTES:
            raise UnsafeKey(
                f"a part of {what} {key!r} is longer than {MAX_PART_BYTES} bytes", hint="use a shorter name"
            )
        if "\\" in part or any(_forbidden(character) for character in part):
            raise UnsafeKey(
                f"{what} {key!r} holds a backslash or a control character", hint="use printable characters and /"
            )
    return key


def _forbidden(character: str) -> bool:
    # Bidirectional overrides make a name look like another one.
    return character < " " or "\x7f" <= character <= "\x9f" or character in "\u2028\u2029\u202a\u202b\u202c\u202d\u202e"


def check_artifact_name(name: str) -> str:
    """Return `name` when an artifact may have it.

    Raises:
        UnsafeKey: it is no plain relative name, or is reserved (`manifest.json`, a part that begins with a dot).
    """
    check_key(name, what="artifact name")
    if name == MANIFEST:
        raise UnsafeKey(f"the artifact name {MANIFEST!r} is reserved", hint="choose another name")
    if any(part.startswith(".") for part in name.split("/")):
        raise UnsafeKey(f"a part of artifact name {name!r} begins with a dot", hint="choose a name without it")
    return name


@lru_cache(1024)  # asked for every job that is submitted, and every task that is handed out
def check_tenant(tenant: str) -> str:
    """Return `tenant` when it is 1 to 63 letters, digits, `.`, `_` or `-`, and begins with a letter or digit.

    Raises:
        UnsafeKey: anything else.
    """
    if not _TENANT.fullmatch(tenant):
        raise UnsafeKey(
            f"{tenant[:80]!r} is not a tenant's name",
            hint="1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit",
        )
    return tenant


def _check_id(value: str, what: str) -> str:
    if not _ID.fullmatch(value):
        raise UnsafeKey(f"{value[:80]!r} is not a {what}")
    return value


def job_prefix(env: str, tenant: str, job_id: str) -> str:
    """Return `{env}/{tenant}/{job_id}`."""
    return f"{check_tenant(env)}/{check_tenant(tenant)}/{_check_id(job_id, 'job id')}"


def artifact_key(env: str, tenant: str, job_id: str, name: str) -> str:
    """Return the stable key of a published artifact."""
    return f"{job_prefix(env, tenant, job_id)}/{check_artifact_name(name)}"


def manifest_key(env: str, tenant: str, job_id: str) -> str:
    return f"{job_prefix(env, tenant, job_id)}/{MANIFEST}"


def file_key(env: str, tenant: str, file_id: str) -> str:
    return f"{check_tenant(env)}/{check_tenant(tenant)}/.files/{_check_id(file_id, 'file id')}/content"


def run_prefix(run_id: str) -> str:
    return f"{RUNS}/{_check_id(run_id, 'run id')}"


def run_key(run_id: str, name: str) -> str:
    """Return where an attempt writes `name`; any plain name is fine there (`result.json` of a spilled result too)."""
    return f"{run_prefix(run_id)}/{check_key(name, what='file name')}"
