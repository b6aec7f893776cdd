"""The emoji that are accepted as reactions."""

import pytest

from chatd.core.emoji import is_emoji


@pytest.mark.parametrize("text", ["👍", "👍🏽", "❤️", "👩‍👩‍👧‍👦", "🇩🇪", "1️⃣", "#️⃣", "‼️", ":party-parrot:", "🏴󠁧󠁢󠁷󠁬󠁳󠁿", "©️", "☺️"])
def test_text_is_one_emoji(text: str) -> None:
    assert is_emoji(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "hello",
        "1",
        "👍a",
        "a👍",
        " 👍",
        "👍\n",
        ":UP:",
        "::",
        ":a b:",
        "\u200d",
        "\ufe0f",
        "한",
        "👍" * 33,
        "<b>",
    ],
)
def test_text_is_not_one_emoji(text: str) -> None:
    assert not is_emoji(text)
