"""Whatever a server answers, at whatever request: an error that says so, nothing left, and the next run mends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest
from fakes.vllm_server import KEY, Failure, vllm_cluster
from vllm_ground import NAME, Ground

from takeover.errors import AuthError, NotReady, QuotaError, RateLimited, Refused, TakeoverError, VendorError

MANY = 60


@dataclass(frozen=True)
class Case:
    """`errors` are those of the routes where it is another one than `error`; {} stands in `said` for nothing."""

    id: str
    failure: Failure
    error: type[TakeoverError]
    said: str = "no, says the server"
    errors: Mapping[str, type[TakeoverError]] = field(default_factory=dict)


LOAD, UNLOAD, ASK, LIST = "/load_lora_adapter", "/unload_lora_adapter", "/completions", "/models"
ASKED = {ASK: VendorError}
CASES = [
    Case("401, and the variable is named", Failure(401), AuthError, "Set VLLM_API_KEY"),
    Case("402", Failure(402), QuotaError),
    Case("403", Failure(403), QuotaError),
    Case("404", Failure(404), Refused, errors=ASKED),
    Case("409", Failure(409), NotReady),
    Case("422", Failure(422), Refused, errors=ASKED),
    Case("429 with a wait", Failure(429, headers={"Retry-After": "2"}), RateLimited, "Ask again in 2 s"),
    Case("429 with a long wait", Failure(429, headers={"Retry-After": "900"}), RateLimited, "Ask again in 900 s"),
    Case("429 without a wait", Failure(429), RateLimited, "Ask again in a moment"),
    Case("500, with its request id", Failure(500, headers={"X-Request-Id": "req_81f"}), VendorError, "req_81f"),
    Case("503", Failure(503), NotReady),
    Case("a cut connection", Failure(None), VendorError, "broke"),
    Case("half a body", Failure(200, body='{"object": "list", "data": [' + " " * 99, half=True), VendorError, "broke"),
    Case("HTML in place of JSON", Failure(200, body="<html>a gateway's page</html>"), VendorError, ""),
    Case("JSON that is something else", Failure(200, body="[1]"), VendorError, ""),
    Case(
        "a redirect to another host",
        Failure(307, headers={"Location": "https://elsewhere.example/v1?token=abc"}),
        VendorError,
        "points to https://elsewhere.example",
    ),
    Case("a key that is repeated is not shown", Failure(500, body=f"no such key {KEY}"), VendorError, "[secret]"),
]


def fail(ground: Ground, route: str, failure: Failure) -> None:
    method = "GET" if route == LIST else "POST"
    ground.cluster.failures = {(method, route): [failure] * MANY}


def check(caught: TakeoverError, case: Case, route: str) -> None:
    assert type(caught) is case.errors.get(route, case.error) or issubclass(type(caught), case.error), str(caught)
    assert case.said in str(caught)
    assert KEY not in str(caught) + repr(caught)
    assert "token=abc" not in str(caught)


@pytest.mark.parametrize("route", [LIST, LOAD, ASK])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_a_deploy_that_fails_says_why_leaves_the_old_version_and_is_made_good(
    two: Ground, case: Case, route: str
) -> None:
    old, new = two.model("a"), two.model("b")
    two.options["drainSeconds"] = 0
    await two.deploy(old)
    fail(two, route, case.failure)
    with pytest.raises(TakeoverError) as caught:
        await two.deploy(new)
    check(caught.value, case, route)
    two.cluster.failures = {}
    assert all(old.served_name in names for names in two.cluster.names())
    await two.deploy(new)
    assert (two.cluster.names(), two.files()) == ([[new.served_name]] * 2, [new.served_name])


@pytest.fixture
def one(ground: Ground) -> Ground:
    """One server, whose address is taken for one."""
    ground.options["agreements"] = 1
    return ground


@pytest.mark.parametrize("route", [LIST, UNLOAD])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_a_destroy_that_fails_says_so_and_is_made_good(one: Ground, case: Case, route: str) -> None:
    endpoint = await one.deploy(one.model("a"))
    fail(one, route, case.failure)
    with pytest.raises(TakeoverError) as caught:
        await one.provider().destroy(endpoint)
    assert KEY not in str(caught.value)
    one.cluster.failures = {}
    assert await one.provider().find(NAME) is not None
    await one.provider().destroy(endpoint)
    assert (one.cluster.names(), one.files()) == ([[]], [])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_a_server_that_cannot_be_looked_at_is_described_as_unhealthy(one: Ground, case: Case) -> None:
    endpoint = await one.deploy(one.model("a"))
    fail(one, LIST, case.failure)
    told = await one.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests) == (False, ())
    assert told.reason
    assert KEY not in told.reason


PASSING = [
    ("429 once", Failure(429, headers={"Retry-After": "1"})),
    ("503 once", Failure(503)),
    ("502 of a gateway once", Failure(502, body="<html>Bad Gateway</html>")),
    ("a connection cut once", Failure(None)),
    ("an answer lost although it was carried out", Failure(None, carried_out=True)),
    ("a gateway that gave up although it was carried out", Failure(504, carried_out=True)),
]


@pytest.mark.parametrize("route", [LIST, LOAD, ASK, UNLOAD])
@pytest.mark.parametrize("failure", [case[1] for case in PASSING], ids=[case[0] for case in PASSING])
async def test_what_passes_is_tried_again_and_nobody_hears_of_it(two: Ground, route: str, failure: Failure) -> None:
    two.options["drainSeconds"] = 0
    new = two.model("b")
    await two.deploy(two.model("a"))
    two.cluster.failures = {("GET" if route == LIST else "POST", route): [failure]}
    await two.deploy(new)
    assert (two.cluster.names(), len(two.slept)) == ([[new.served_name]] * 2, 1)


CALLS: Mapping[str, Callable[[Ground], Awaitable[object]]] = {
    "get_metrics": lambda ground: ground.provider().get_metrics(ground.endpoint()),
    "destroy": lambda ground: ground.provider().destroy(ground.endpoint()),
    "deploy": lambda ground: ground.deploy(ground.model("b")),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_redirect_carries_the_key_nowhere(ground: Ground, call: str) -> None:
    await ground.deploy(ground.model("a"))
    with vllm_cluster() as elsewhere:
        there = {"Location": f"{elsewhere.url}/v1/models"}
        ground.cluster.failures = {("GET", LIST): [Failure(302, headers=there)] * MANY}
        with pytest.raises(VendorError, match=r"points to http://127\.0\.0\.1"):
            await CALLS[call](ground)
        assert elsewhere.requests == []
