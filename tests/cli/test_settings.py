"""Settings: which source wins, what is refused, and what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from orpheus.cli.config import shown
from orpheus.settings import SETTINGS, SettingsError, load


def test_flags_win_over_variables_over_the_file_over_defaults(tmp_path: Path) -> None:
    """Each layer overrides the one below, and every value tells where it comes from."""
    (tmp_path / "orpheus.toml").write_text('port = 1\nhost = "::1"\nenv = "prod"\nimport = ["flows"]\n')
    loaded = load({"port": 3, "data": None}, environ={"ORPHEUS_PORT": "2", "ORPHEUS_ENV": "test"}, folder=tmp_path)
    settings = loaded.settings
    assert (settings.port, settings.env, settings.host, settings.imports) == (3, "test", "::1", ["flows"])
    assert settings.workers == 1
    assert loaded.origins["port"] == "flag"
    assert loaded.origins["env"] == "ORPHEUS_ENV"
    assert loaded.origins["host"].endswith("orpheus.toml (host)")
    assert loaded.origins["workers"] == loaded.origins["data"] == "default"


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("ORPHEUS_PROT", "ORPHEUS_PORT"),
        ("ORPHEUS_MAX_UPLOAD_BYTE", "ORPHEUS_MAX_UPLOAD_BYTES"),
        ("ORPHEUS_API_KEY_FIEL", "ORPHEUS_API_KEY_FILE"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest(variable: str, hint: str) -> None:
    """A misspelt limit is no limit, so it is an error."""
    with pytest.raises(SettingsError) as refused:
        load(environ={variable: "1"})
    assert variable in refused.value.message
    assert hint in refused.value.hint


def test_an_unknown_key_in_the_file_is_refused(tmp_path: Path) -> None:
    """So is one in the file; the message names file and key."""
    (tmp_path / "orpheus.toml").write_text("prot = 1\n")
    with pytest.raises(SettingsError, match=r"orpheus\.toml \(prot\)") as refused:
        load(environ={}, folder=tmp_path)
    assert "'port'" in refused.value.hint


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ORPHEUS_PORT", "eighty"),
        ("ORPHEUS_PORT", "70000"),
        ("ORPHEUS_WORKERS", "-1"),
        ("ORPHEUS_ENV", "Prod/1"),
        ("ORPHEUS_LOG_LEVEL", "loud"),
        ("ORPHEUS_INSECURE", "perhaps"),
        ("ORPHEUS_RESOURCES", "gpu=many"),
    ],
)
def test_values_that_do_not_fit_are_named_with_their_origin(variable: str, value: str) -> None:
    """The message has the key and the value, the hint where it stands."""
    with pytest.raises(SettingsError, match=variable.removeprefix("ORPHEUS_").lower()) as refused:
        load(environ={variable: value})
    assert variable in refused.value.hint


def test_lists_and_mappings_come_from_one_variable() -> None:
    """`a,b` and `gpu=1,vram_mb=24000`."""
    settings = load(environ={"ORPHEUS_IMPORT": "flows, more", "ORPHEUS_RESOURCES": "gpu=1,vram_mb=24000"}).settings
    assert settings.imports == ["flows", "more"]
    assert settings.resources == {"gpu": 1, "vram_mb": 24000}


@pytest.mark.parametrize("key", list(SETTINGS))
def test_every_setting_takes_its_own_default(key: str) -> None:
    """What is shown as the default can be written down; so every type is one that can be converted to."""
    value = getattr(load(environ={}).settings, SETTINGS[key].field)
    assert getattr(load({key: value}, environ={}).settings, SETTINGS[key].field) == value
    if isinstance(value, bool | int | float | Path) or key in ("concurrency", "ffmpeg"):
        text = {"concurrency": "4", "ffmpeg": "/usr/bin/ffmpeg"}.get(key, str(value).lower())
        load(environ={SETTINGS[key].variable: text})


def test_secrets_may_stand_in_files_and_are_never_shown(tmp_path: Path) -> None:
    """`*_FILE` names the file; `config show` prints stars; errors keep the value to themselves."""
    (tmp_path / "key").write_text("s3cret\n")
    loaded = load(environ={"ORPHEUS_API_KEY_FILE": str(tmp_path / "key")})
    assert loaded.settings.api_key == "s3cret"
    assert loaded.origins["api_key"] == "ORPHEUS_API_KEY_FILE"
    assert shown(loaded, SETTINGS["api_key"]) == "********"
    with pytest.raises(SettingsError, match="ORPHEUS_API_KEY_FILE"):
        load(environ={"ORPHEUS_API_KEY_FILE": str(tmp_path / "nothing")})


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """ORPHEUS_CONFIG that leads nowhere is an error, a missing orpheus.toml is not; broken TOML is named."""
    with pytest.raises(SettingsError, match="no configuration file"):
        load(environ={"ORPHEUS_CONFIG": str(tmp_path / "x.toml")})
    load(environ={}, folder=tmp_path)
    (tmp_path / "orpheus.toml").write_text("port = = 1")
    with pytest.raises(SettingsError, match=r"orpheus\.toml"):
        load(environ={}, folder=tmp_path)


def test_what_tasks_read_is_not_ours_to_refuse() -> None:
    """`secret("NAME")` reads ORPHEUS_SECRET_NAME."""
    load(environ={"ORPHEUS_SECRET_TOKEN": "x", "ORPHEUS_TEST_CRASH": "x"})
