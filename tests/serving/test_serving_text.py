"""Text comes out whole: no half characters, nothing of a stop string."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from serving.local.text import StopStrings, TextStream
from takeover.bases import parse_base
from takeover.bases.materialise import materialise


@dataclass(frozen=True)
class StopCase:
    id: str
    stops: tuple[str, ...]
    fed: tuple[str, ...]
    sent: tuple[str, ...]
    matched: str | None = None
    include: bool = False


STOP_CASES = [
    StopCase("without stop strings everything is sent at once", (), ("a", "b"), ("a", "b")),
    StopCase("a stop string within one piece ends before it", ("END",), ("one END two",), ("one ",), "END"),
    StopCase("a stop string over three pieces is never sent", ("END",), ("x E", "N", "D y"), ("x ", "", ""), "END"),
    StopCase("what only looked like a beginning is sent late", ("END",), ("x E", "N", "X"), ("x ", "", "ENX")),
    StopCase("a beginning may begin again within itself", ("aab",), ("a", "a", "a", "b"), ("", "", "a", ""), "aab"),
    StopCase("the earliest of several wins", ("two", "one"), ("x one two",), ("x ",), "one"),
    StopCase("the longest possible beginning is held back", ("b", "abc"), ("xab",), ("xa",), "b"),
    StopCase("it may be included in the text", ("END",), ("x EN", "D y"), ("x ", "END"), "END", include=True),
    StopCase("one character can stop", ("\n",), ("a", "\n"), ("a", ""), "\n"),
    StopCase("characters of several bytes can stop", ("🙂é",), ("a🙂", "é b"), ("a", ""), "🙂é"),
]


@pytest.mark.parametrize("case", STOP_CASES, ids=lambda case: case.id)
def test_stop_strings(case: StopCase) -> None:
    stops = StopStrings(case.stops, include=case.include)
    sent = tuple(stops.feed(text) for text in case.fed)
    assert (sent, stops.matched) == (case.sent, case.matched)


def test_what_is_held_back_at_the_end_is_sent() -> None:
    stops = StopStrings(("END",))
    assert [stops.feed("x EN"), stops.flush(), stops.flush()] == ["x ", "EN", ""]


@given(
    text=st.text(alphabet="ab", max_size=30),
    stop=st.text(alphabet="ab", min_size=1, max_size=4),
    size=st.integers(min_value=1, max_value=5),
)
def test_however_the_text_is_cut_the_same_is_sent(text: str, stop: str, size: int) -> None:
    stops = StopStrings((stop,))
    sent = ""
    for start in range(0, len(text), size):
        sent += stops.feed(text[start : start + size])
        if stops.matched:
            break
    assert sent + stops.flush() == text.partition(stop)[0]


@pytest.fixture(scope="module")
def bytes_tokenizer() -> Tokenizer:
    """The tokenizer of `tiny`: every byte is a token, so every longer character is cut."""
    return AutoTokenizer.from_pretrained(materialise(parse_base("tiny")).path).backend_tokenizer


@pytest.mark.parametrize("text", ["plain", "grüße", "naïve — ‘quoted’", "日本語", "👩‍👩‍👧 family", "a\u0301 combining"])
def test_pieces_are_whole_characters_and_make_up_the_text(bytes_tokenizer: Tokenizer, text: str) -> None:
    stream = TextStream(bytes_tokenizer, (), StopStrings(()))
    pieces = [stream.add(token) for token in bytes_tokenizer.encode(text, add_special_tokens=False).ids]
    assert (pieces, "".join(pieces)) == (
        [
            character if index == size - 1 else ""
            for character in text
            for size in [_bytes(character)]
            for index in range(size)
        ],
        text,
    )


def _bytes(character: str) -> int:
    return len(character.encode())


def test_a_character_that_was_cut_off_is_left_out(bytes_tokenizer: Tokenizer) -> None:
    stream = TextStream(bytes_tokenizer, (), StopStrings(()))
    tokens = bytes_tokenizer.encode("ok 👋", add_special_tokens=False).ids[:-1]
    assert "".join(stream.add(token) for token in tokens) + stream.finish() == "ok "


def test_bytes_that_are_no_text_are_shown_as_such(bytes_tokenizer: Tokenizer) -> None:
    stream = TextStream(bytes_tokenizer, (), StopStrings(()))
    first_of_two, plain = (
        bytes_tokenizer.encode("é", add_special_tokens=False).ids[0],
        bytes_tokenizer.encode("x").ids[-1],
    )
    assert [stream.add(first_of_two), stream.add(plain)] == ["", "\ufffdx"]


def test_a_stop_string_may_begin_inside_of_a_token_of_many_bytes(bytes_tokenizer: Tokenizer) -> None:
    stream = TextStream(bytes_tokenizer, (), StopStrings(("👋!",)))
    tokens = bytes_tokenizer.encode("hi 👋! bye", add_special_tokens=False).ids
    sent = ""
    for token in tokens:
        sent += stream.add(token)
        if stream.stopped_by:
            break
    assert (sent, stream.stopped_by) == ("hi ", "👋!")


def test_before_stopping_is_allowed_a_stop_string_is_ordinary_text(bytes_tokenizer: Tokenizer) -> None:
    stream = TextStream(bytes_tokenizer, (), StopStrings(("b",)))
    tokens = bytes_tokenizer.encode("bab", add_special_tokens=False).ids
    pieces = [stream.add(token, may_stop=index > 0) for index, token in enumerate(tokens)]
    assert (pieces, stream.stopped_by) == (["b", "a", ""], "b")


def test_special_tokens_are_shown_only_when_asked_for(bytes_tokenizer: Tokenizer) -> None:
    special = bytes_tokenizer.token_to_id("<|im_end|>")
    shown = TextStream(bytes_tokenizer, (), StopStrings(()), skip_special=False).add(special)
    hidden = TextStream(bytes_tokenizer, (), StopStrings(())).add(special)
    assert (shown, hidden) == ("<|im_end|>", "")
