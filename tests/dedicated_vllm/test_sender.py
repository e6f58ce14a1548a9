"""The sender that all vendors share: what it tries again, how long it waits, and where a key never goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import SecretStr

from takeover.errors import NotReady, RateLimited, TakeoverError, VendorError
from takeover.providers._http import Patience, Request, Response, Unreachable, error_of, send, send_patiently

KEY = "a-key-that-must-not-be-seen"
GET = Request("GET", "http://vendor/v1/models", "the vendor", key=SecretStr(KEY))
POST = Request("POST", "http://vendor/v1/load", "the vendor", key=SecretStr(KEY), body={"a": 1})
OK = httpx.Response(200, json={"ok": True})

Answer = httpx.Response | Exception


@dataclass
class Vendor:
    """A transport that gives its answers in turn, the last one for ever, and counts the requests."""

    answers: list[Answer]
    asked: list[httpx.Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def patience(self, **changes: int) -> Patience:
        return Patience(sleep=self._sleep, **changes)


def status(code: int, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.Response(code, json={"error": {"message": "no"}}, headers=headers)


@dataclass(frozen=True)
class Case:
    id: str
    request: Request
    answers: tuple[Answer, ...]
    asked: int
    status: int


CASES = [
    Case("a good answer is taken at once", GET, (OK,), 1, 200),
    Case("a busy server is asked again", GET, (status(503), status(429), OK), 3, 200),
    Case("a gateway without a server behind it is asked again", POST, (status(502), status(504), OK), 3, 200),
    Case("a connection that broke is tried again", POST, (httpx.RemoteProtocolError("cut"), OK), 2, 200),
    Case("nobody there yet is tried again", GET, (httpx.ConnectError("refused"), OK), 2, 200),
    Case("a slow answer to a question is asked for again", GET, (httpx.ReadTimeout("slow"), OK), 2, 200),
    Case("a failure that would come again is told at once", POST, (status(500), OK), 1, 500),
    Case("a refusal is told at once", POST, (status(400), OK), 1, 400),
    Case("a wrong key is told at once", GET, (status(401), OK), 1, 401),
    Case("after so many tries the last answer is told", GET, (status(503),), 4, 503),
    Case("a wait that is too long is the caller's to know", GET, (status(429, {"Retry-After": "60"}), OK), 1, 429),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_what_passes_is_tried_again_and_nothing_else(case: Case) -> None:
    vendor = Vendor(list(case.answers))
    got = await send_patiently(case.request, vendor.patience(), transport=vendor.transport())
    assert (got.status, len(vendor.asked), len(vendor.slept)) == (case.status, case.asked, case.asked - 1)


@dataclass(frozen=True)
class Broken:
    id: str
    request: Request
    answer: Exception
    asked: int
    error: type[TakeoverError]


BROKEN = [
    Broken("nobody ever there", GET, httpx.ConnectError("refused"), 4, Unreachable),
    Broken("a connection that always breaks", POST, httpx.ReadError("reset"), 4, VendorError),
    Broken("a change that is not answered in time is not sent twice", POST, httpx.ReadTimeout("slow"), 1, NotReady),
    Broken("a question that is never answered in time", GET, httpx.ReadTimeout("slow"), 4, NotReady),
]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
async def test_what_breaks_for_good_is_an_error_of_ours(case: Broken) -> None:
    vendor = Vendor([case.answer])
    with pytest.raises(TakeoverError) as caught:
        await send_patiently(case.request, vendor.patience(), transport=vendor.transport())
    assert (type(caught.value), len(vendor.asked)) == (case.error, case.asked)


async def test_the_budget_is_one_for_all_requests_of_an_operation() -> None:
    vendor = Vendor([status(503)])
    patience = vendor.patience(attempts=4, retries_left=5)
    asked = []
    for _ in range(3):
        await send_patiently(GET, patience, transport=vendor.transport())
        asked.append(len(vendor.asked))
    assert asked == [4, 7, 8]


WAITS = [
    ("seconds", {"Retry-After": "3"}, 3.0),
    ("a date, by the vendor's own clock, which is years ahead",
     {"Retry-After": "Fri, 01 Jan 2100 00:00:07 GMT", "Date": "Fri, 01 Jan 2100 00:00:00 GMT"}, 7.0),
    ("a date that is over", {"Retry-After": "Thu, 01 Jan 1970 00:00:07 GMT"}, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "least"), [case[1:] for case in WAITS], ids=[case[0] for case in WAITS])
async def test_the_wait_that_is_asked_for_is_kept_with_a_little_more_at_random(
    headers: dict[str, str], least: float
) -> None:
    vendor = Vendor([status(429, headers), OK])
    await send_patiently(GET, vendor.patience(), transport=vendor.transport())
    [slept] = vendor.slept
    assert least <= slept <= least + 1.5


@pytest.mark.parametrize("said", ["soon", "", "nan", "inf", "-3"])
async def test_a_wait_that_means_nothing_is_no_wait(said: str) -> None:
    vendor = Vendor([status(429, {"Retry-After": said})])
    error = error_of(await send(GET, transport=vendor.transport()), GET)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s in (None, 0.0)


async def test_waits_differ_so_that_many_who_fail_together_do_not_come_back_together() -> None:
    waits = set()
    for _ in range(5):
        vendor = Vendor([status(503), OK])
        await send_patiently(GET, vendor.patience(), transport=vendor.transport())
        waits.update(vendor.slept)
    assert len(waits) == 5


SENDERS: dict[str, Callable[[Vendor], Awaitable[Response]]] = {
    "once": lambda vendor: send(GET, transport=vendor.transport()),
    "patiently": lambda vendor: send_patiently(GET, vendor.patience(), transport=vendor.transport()),
}


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize("sender", SENDERS)
async def test_a_redirect_is_not_followed_and_the_other_address_is_named_without_its_path(
    code: int, sender: str
) -> None:
    vendor = Vendor([httpx.Response(code, headers={"Location": f"https://elsewhere.example/?token={KEY}"}), OK])
    error = error_of(await SENDERS[sender](vendor), GET)
    assert [request.url.host for request in vendor.asked] == ["vendor"]
    assert isinstance(error, VendorError)
    assert "points to https://elsewhere.example\n" in str(error)
    assert KEY not in str(error)


async def test_the_request_id_is_quoted_and_the_key_never() -> None:
    said = httpx.Response(500, text=f"no such key {KEY}", headers={"X-Request-Id": "req_81f"})
    error = error_of(await send(GET, transport=Vendor([said]).transport()), GET)
    assert error is not None
    assert str(error) == "the vendor failed\n  HTTP 500 (request id req_81f): no such key [secret]"
    assert KEY not in repr(GET)
