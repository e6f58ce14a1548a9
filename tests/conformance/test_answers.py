"""What a vendor answers, and the error that it becomes: the same for all tiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from ground import Ground
from worlds import KEY

from takeover.errors import (
    AuthError,
    NotReady,
    QuotaError,
    RateLimited,
    Refused,
    TakeoverError,
    VendorError,
)


@dataclass(frozen=True)
class Answer:
    id: str
    status: int | None
    error: type[TakeoverError]
    body: str = '{"error": {"message": "no, says the vendor"}}'
    headers: Mapping[str, str] = field(default_factory=dict)
    said: str = "no, says the vendor"


ANSWERS = [
    Answer("401 is a wrong key", 401, AuthError),
    Answer("402 is an account without money", 402, QuotaError),
    Answer("403 is an account without the right", 403, QuotaError),
    Answer("404 is a request that cannot be", 404, Refused),
    Answer("409 is a change that is under way", 409, NotReady),
    Answer("429 is asked too often", 429, RateLimited, headers={"Retry-After": "7"}, said="Ask again in 7 s"),
    Answer("500 is the vendor's failure, with its request id", 500, VendorError, headers={"x-request-id": "req_81f"}),
    Answer("503 is not ready", 503, NotReady, headers={"Retry-After": "3"}, said="Ask again in 3 s"),
    Answer("a cut connection is the vendor's failure", None, VendorError, said="broke"),
    Answer("an answer that is no JSON", 200, VendorError, body="<html>", said="<html>"),
    Answer("an answer without a text", 200, VendorError, body='{"choices": []}', said="no text"),
    Answer("a key that the vendor repeats is not shown", 401, AuthError, body=f"bad key {KEY}", said="[secret]"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.id)
async def test_an_answer_becomes_the_error_that_it_means(ground: Ground, answer: Answer) -> None:
    with (
        ground.world.answering(answer.status, answer.body, answer.headers) as endpoint,
        pytest.raises(TakeoverError) as caught,
    ):
        await ground.provider.inference(endpoint, "hello")
    text = str(caught.value)
    assert type(caught.value) is answer.error
    assert answer.said in text
    assert answer.headers.get("x-request-id", "") in text
    assert KEY not in text + repr(caught.value)


async def test_the_wait_that_the_vendor_asks_for_is_kept_as_a_number(ground: Ground) -> None:
    with ground.world.answering(429, "{}", {"Retry-After": "7"}) as endpoint, pytest.raises(RateLimited) as caught:
        await ground.provider.inference(endpoint, "hello")
    assert caught.value.retry_after_s == 7
