"""From token ids to text that may be sent: whole characters only, and nothing that may turn out to be a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers.decoders import DecodeStream

__all__ = ["StopStrings", "TextStream"]

# Tokens of the prompt that the decoder is shown first, so that a space between prompt and answer is kept. A character
# has at most four bytes, hence at most four tokens.
_PRIMING_TOKENS = 6


@dataclass
class StopStrings:
    """Holds text back while its end may be the beginning of a stop string; pure but for what it holds."""

    stops: tuple[str, ...]
    include: bool = False
    matched: str | None = None
    _held: str = field(default="", repr=False)

    def feed(self, text: str) -> str:
        """Add text; what may be sent comes back. Once `matched` is set the text has ended."""
        held = self._held + text
        found = [(held.index(stop), stop) for stop in self.stops if stop in held]
        if found:
            start, self.matched = min(found, key=lambda each: each[0])
            self._held = ""
            return held[: start + len(self.matched)] if self.include else held[:start]
        keep = max((_overlap(held, stop) for stop in self.stops), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def flush(self) -> str:
        """The text held back, when no more will come."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`, shorter than `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)


class TextStream:
    """One answer's text as its tokens come."""

    def __init__(self, tokenizer: Any, prompt: Sequence[int], stops: StopStrings, *, skip_special: bool = True) -> None:
        """`tokenizer` is that of the `tokenizers` library; the stream only reads it."""
        self._tokenizer = tokenizer
        self._decoder = DecodeStream(skip_special_tokens=skip_special)
        self._stops = stops
        for token in prompt[-_PRIMING_TOKENS:]:
            self._decoder.step(tokenizer, token)

    @property
    def stopped_by(self) -> str | None:
        """The stop string that ended the text, if one did."""
        return self._stops.matched

    def add(self, token: int, *, may_stop: bool = True) -> str:
        """The text that became sendable with this token. `may_stop=False` looks for no stop string yet."""
        text = self._decoder.step(self._tokenizer, token) or ""
        return self._stops.feed(text) if may_stop else text

    def finish(self) -> str:
        """What was held back for a stop string that did not come. Bytes of an unfinished character are left out."""
        return self._stops.flush()
