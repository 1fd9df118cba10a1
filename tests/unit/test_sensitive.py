"""What is marked sensitive is hidden, wherever in a value it lies; nothing else is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from orpheus import Sensitive
from orpheus.authoring import codec
from orpheus.core.sensitive import HIDDEN, holds_sensitive, redacted, sensitive_texts


@dataclass
class Account:
    user: str
    token: Sensitive[str]
    others: list[Sensitive[str]]
    spare: Sensitive[str] | None = None
    pin: Sensitive[int | None] = None


ACCOUNT = {"user": "ada", "token": "hunter2!", "others": ["first", "second"], "spare": None, "pin": 12345}
HIDDEN_ACCOUNT = {"user": "ada", "token": HIDDEN, "others": [HIDDEN, HIDDEN], "spare": None, "pin": HIDDEN}


@pytest.mark.parametrize(
    ("annotation", "value", "shown"),
    [
        (Account, ACCOUNT, HIDDEN_ACCOUNT),
        (list[Account], [ACCOUNT], [HIDDEN_ACCOUNT]),
        (Sensitive[Account], ACCOUNT, HIDDEN),
        (dict[str, Sensitive[int]], {"a": 1}, {"a": HIDDEN}),
        (dict[str, Account | None], {"a": ACCOUNT, "b": None}, {"a": HIDDEN_ACCOUNT, "b": None}),
        (tuple[str, Sensitive[str]], ["a", "b"], ["a", HIDDEN]),
        (str, "plain", "plain"),
        (Any, ACCOUNT, ACCOUNT),
    ],
)
def test_only_what_is_marked_is_hidden(annotation: Any, value: Any, shown: Any) -> None:
    """Through lists, dicts, tuples, optional values and models; null stays."""
    schema = codec.schema_of(annotation)
    assert redacted(schema, value) == shown
    assert holds_sensitive(schema) == (shown != value)


def test_what_is_hidden_can_be_looked_for_in_texts() -> None:
    """The values that a log must not show, numbers included."""
    assert set(sensitive_texts(codec.schema_of(Account), ACCOUNT)) == {"hunter2!", "first", "second", "12345"}


def test_a_schema_that_refers_to_itself_ends() -> None:
    """A tree of marked leaves, to any depth."""
    schema = {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "leaf": {"type": "string", "x-orpheus": "sensitive"},
                    "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                },
            }
        },
    }
    assert redacted(schema, {"leaf": "a", "next": {"leaf": "b", "next": None}}) == {
        "leaf": HIDDEN,
        "next": {"leaf": HIDDEN, "next": None},
    }
