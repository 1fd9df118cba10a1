"""What services' work costs: by what they say they used and the rates that are configured."""

import pytest

from orpheus.media.errors import InvalidInput
from orpheus.media.providers import prices


def test_tokens_sound_and_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = {"prompt_tokens": 2_000_000, "completion_tokens": 1_000_000, "total_tokens": 3_000_000}
    assert prices.of_tokens(usage) is None, "without a rate nothing is guessed"
    monkeypatch.setenv("ORPHEUS_CHAT_PRICE", "0.15/0.60")
    assert prices.of_tokens(usage) == pytest.approx(0.9)
    monkeypatch.setenv("ORPHEUS_CHAT_PRICE", "1")
    assert prices.of_tokens(usage) == pytest.approx(3.0)
    assert prices.of_tokens(None) is None
    assert prices.of_tokens({"prompt_tokens": "many", "completion_tokens": -4}) == 0.0
    monkeypatch.setenv("ORPHEUS_TRANSCRIBE_PRICE", "0.006")
    assert prices.of_sound(90.0) == pytest.approx(0.009)
    monkeypatch.setenv("ORPHEUS_REPLICATE_PRICE", "0.01")
    assert prices.of_prediction({"predict_time": 12.5}) == pytest.approx(0.125)


@pytest.mark.parametrize("text", ["much", "1/2/3", "-1", "nan"])
def test_a_rate_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ORPHEUS_CHAT_PRICE", text)
    with pytest.raises(InvalidInput, match="ORPHEUS_CHAT_PRICE"):
        prices.of_tokens({})
