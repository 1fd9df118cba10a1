"""Names that could lead out of the store are refused, whoever chose them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orpheus.artifacts import UnsafeKey
from orpheus.artifacts.keys import artifact_key, check_artifact_name, check_key, check_tenant, file_key, run_key

HOSTILE = [
    "", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", "./a", "a/./b", "a//b", "a/", "a\\b", "..\\x", "C:\\x\\..\\y", "a\x00b",
    "a\nb", "\x7f", "a\u202eb", "\ud800", "x" * 201, "é" * 101, "/".join(["a"] * 600),
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_keys_are_refused(name):
    """Empty, absolute, dots, backslashes, control characters, broken Unicode, too long."""
    with pytest.raises(UnsafeKey):
        check_key(name)
    with pytest.raises(UnsafeKey):
        artifact_key("dev", "default", "job", name)
    with pytest.raises(UnsafeKey):
        run_key("run", name)


@pytest.mark.parametrize("name", ["manifest.json", ".hidden", "a/.hidden", ".runs/x", ".files/x"])
def test_reserved_artifact_names_are_refused(name):
    """The manifest, and everything that begins with a dot: that is where our own things lie."""
    with pytest.raises(UnsafeKey):
        check_artifact_name(name)


@pytest.mark.parametrize("tenant", ["", ".", "..", "a/b", ".files", "-a", "a b", "a\n", "é", "x" * 64, "a\x00"])
def test_hostile_tenants_are_refused(tenant):
    """A tenant's name is one plain part of a path."""
    with pytest.raises(UnsafeKey):
        check_tenant(tenant)
    with pytest.raises(UnsafeKey):
        file_key("dev", tenant, "file")


@pytest.mark.parametrize("name", ["a.txt", "thumbnails/320.webp", "a b/c;d'e.png", "ünï/猫.png", "a..b", "$(id)"])
def test_odd_but_plain_names_are_taken(name):
    """Spaces, quotes, other scripts: only text."""
    assert artifact_key("dev", "default", "job", name) == f"dev/default/job/{name}"


@given(st.text(max_size=300))
def test_whatever_is_taken_stays_inside(name):
    """Any accepted name, joined to a root and normalised, is below the root and unchanged."""
    import posixpath

    try:
        key = check_key(name)
    except UnsafeKey:
        return
    assert posixpath.normpath(f"/store/{key}") == f"/store/{key}"
    assert "\x00" not in key
