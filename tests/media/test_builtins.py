"""`sum_range` and `wordcount` as plain functions."""

import pytest

from orpheus.media.builtins import MAX_N, count_words, sum_below
from orpheus.media.errors import InvalidInput


@pytest.mark.parametrize("n", [0, 1, 2, 10, 1000])
def test_sum_below_is_the_sum_of_the_range(n: int) -> None:
    assert sum_below(n) == sum(range(n))


def test_the_largest_sum_stays_exact_in_every_json_reader() -> None:
    assert sum_below(MAX_N) < 2**53


@pytest.mark.parametrize("n", [-1, MAX_N + 1, 10**4000, True, 3.0, "3", None, [3]])
def test_nonsense_is_refused(n: object) -> None:
    with pytest.raises(InvalidInput, match=r"^n must"):
        sum_below(n)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 0, 0, 0)),
        ("a b a", (3, 2, 1, 5)),
        ("The cat\nsaw the dog\n", (5, 4, 2, 20)),
        (" \n\t ", (0, 0, 2, 4)),
        ("Straße STRASSE", (2, 1, 1, 14)),
        ("日本 語", (2, 2, 1, 4)),
    ],
)
def test_words_lines_and_characters_are_counted(text: str, expected: tuple[int, int, int, int]) -> None:
    assert tuple(count_words(text).values()) == expected


@pytest.mark.parametrize("text", [None, 3, b"bytes", ["a"]])
def test_only_text_is_counted(text: object) -> None:
    with pytest.raises(InvalidInput, match="text must"):
        count_words(text)
