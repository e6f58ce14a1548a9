"""`pull` from the Hub: pinned, verified, kept by digest, gone on with where it was cut off, fetched by one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fakes.artifacts import make_adapter
from fakes.hub import EXPIRED, READER, STRANGER, WRITER, Answer, FakeHub, Fault, refusal
from fakes.hub_store import File
from fakes.registry_help import TONE, Clock, at_head

from takeover import hub_client
from takeover.adapter import Adapter, open_adapter
from takeover.errors import AuthError, RateLimited, Refusals, Refused, TakeoverError, VendorError
from takeover.registry import Address, pull, push, resolve
from takeover.registry import hub as hub_module
from takeover.registry.cache import adapters_dir

WEIGHTS = "GET /lfs-storage/"


@pytest.fixture
def pushed(hub: FakeHub, adapter: Adapter) -> Address:
    """A version on the Hub; what was asked for it is forgotten."""
    address = push(adapter.path, TONE, tag="v1").address
    hub.requests.clear()
    hub.callers.clear()
    return address


def left() -> list[str]:
    """What lies in the cache, without locks."""
    found = [path for path in adapters_dir().rglob("*") if path.is_file() and path.suffix != ".lock"]
    return sorted(path.relative_to(adapters_dir()).parts[0] for path in found)


def test_it_is_fetched_once_and_needs_no_network_then(hub: FakeHub, pushed: Address, adapter: Adapter) -> None:
    said: list[str] = []
    first = pull(pushed, digest=adapter.digest, say=said.append)
    asked = len(hub.requests)
    hub.faults.append(Fault("", 99, refusal(503, "down")))
    second = pull(pushed, digest=adapter.digest, say=said.append)
    assert (first, len(hub.requests), len(said)) == (second, asked, 1)
    assert first.path == adapters_dir() / adapter.digest.removeprefix("sha256:")
    assert first.manifest == adapter.manifest
    assert sorted(path.name for path in (first.path / "report").iterdir()) == ["answers.md", "curves.png", "curves.svg"]


def test_only_an_adapters_own_files_are_fetched(hub: FakeHub, pushed: Address) -> None:
    repo = hub.repos["acme/tone"]
    extra = {
        name: File(b"x")
        for name in ("training_args.bin", "run.py", "report/../../x.md", "sub/adapter_model.safetensors")
    }
    repo.commit("more", {**repo.head.files, **extra})
    pulled = pull(at_head(hub))
    assert sorted(path.name for path in pulled.path.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
        "report",
    ]
    assert hub.count("training_args|run.py|x.md|sub/") == 0


def test_another_commit_with_the_same_adapter_costs_its_manifest_alone(hub: FakeHub, pushed: Address) -> None:
    first = pull(pushed)
    repo = hub.repos["acme/tone"]
    repo.commit("Update README.md", {**repo.head.files, "README.md": File(b"# other words")})
    hub.requests.clear()
    assert pull(at_head(hub)) == first
    assert (hub.count("/resolve/"), hub.count(WEIGHTS)) == (1, 0)


def test_the_same_payload_under_another_name_is_kept_beside_it(
    hub: FakeHub, pushed: Address, adapter: Adapter, tmp_path: Path
) -> None:
    first = pull(pushed)
    report = tmp_path / "report"
    twin = push(make_adapter(tmp_path / "twin", report=report, name="twin").path, Address("hf", "acme/twin"))
    second = pull(twin.address, digest=adapter.digest)
    assert (first.name, second.name, first.digest == second.digest) == ("support-tone", "twin", True)
    assert pull(pushed).name == "support-tone"


def test_a_damaged_copy_in_the_cache_is_fetched_again(hub: FakeHub, pushed: Address, adapter: Adapter) -> None:
    first = pull(pushed)
    weights = first.path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    said: list[str] = []
    again = pull(pushed, say=said.append)
    assert (again, said[0]) == (first, f"the copy of {pushed} in the cache is damaged and is fetched again")
    assert hub.count(WEIGHTS) == 4  # the weights and a picture, twice


# What is refused.


@dataclass(frozen=True)
class Case:
    """A pull that cannot be: of which address, with which token, and what the Hub is like."""

    id: str
    want: type[TakeoverError]
    words: str
    address: Address | None = None
    digest: str | None = None
    token: str | None = WRITER
    private: bool = False
    gated: bool = False
    renamed: bool = False
    faults: list[Fault] = field(default_factory=list)


GONE = TONE.at("0a" * 20)
NOWHERE = Address("hf", "acme/nowhere", "0a" * 20)
CASES = [
    Case(
        "a branch",
        Refused,
        "hf://acme/tone@main can move\n"
        "  What is deployed must not change by itself: a branch or tag is resolved once, and the commit noted.\n"
        "  `takeover adapter use hf://acme/tone@main` writes down the commit and the digest it stands for now.",
        address=TONE.at("main"),
    ),
    Case(
        "a commit that does not exist",
        Refused,
        f"{GONE}: there is no such commit, branch or tag\n  See https://huggingface.co/acme/tone/commits/main.",
        address=GONE,
    ),
    Case(
        "a repository that does not exist",
        Refused,
        f"{NOWHERE}: there is no such adapter, or it is private\n"
        "  Check the name; for a private one the owner of the token in use must have access to it.",
        address=NOWHERE,
    ),
    Case(
        "a private one without a token",
        Refused,
        "{address}: there is no such adapter, or it is private\n"
        "  Check the name; for a private one set HF_TOKEN (or HUGGINGFACE_TOKEN), or run `hf auth login`.",
        token=None,
        private=True,
    ),
    Case(
        "a private one of others",
        Refused,
        "{address}: there is no such adapter, or it is private\n"
        "  Check the name; for a private one the owner of the token in use must have access to it.",
        token=STRANGER,
        private=True,
    ),
    Case(
        "a gated one, its terms not accepted",
        AuthError,
        "{address} is gated, and this account may not read it yet\n"
        "  Accept its terms at https://huggingface.co/acme/tone, then `hf auth login` or set HF_TOKEN.",
        token=READER,
        gated=True,
    ),
    Case(
        "an expired token",
        AuthError,
        "{address}: the Hugging Face Hub does not accept the token\n"
        '  User Access Token "laptop" is expired (HTTP 401, request id Root=1-fake).\n'
        "  It may have expired: make another at https://huggingface.co/settings/tokens and set HF_TOKEN to it.",
        token=EXPIRED,
    ),
    Case(
        "a repository with another name by now",
        Refused,
        "{address}: the repository acme/tone was renamed: it is acme/voice now\n"
        "  The Hub still leads from the old name to the new one, but the old one may be taken by anybody.\n"
        "  Write {new}; commits and digests are the same.",
        renamed=True,
    ),
    Case(
        "another digest than the commit's",
        Refused,
        "{address}: {address} holds {digest}, but sha256:" + "0" * 64 + " was asked for\n"
        "  The address and the digest are not of one version; a tag or branch may have been moved.\n"
        "  See `takeover versions hf://acme/tone`, and write an address and its digest from there.",
        digest="sha256:" + "0" * 64,
    ),
    Case(
        "a limit that lasts",
        RateLimited,
        "{address}: the Hugging Face Hub was asked too often\n  Run the same command again in 250 s.",
        faults=[Fault("", 99, refusal(429, "slow down", RateLimit='"api";r=0;t=250'))],
    ),
    Case(
        "a Hub that is down",
        VendorError,
        "{address} could not be fetched\n"
        "  The Hub's client said: down (HTTP 503, request id Root=1-fake).\n"
        "  Check the network (and HF_ENDPOINT, HF_HUB_OFFLINE), then run the same command again.",
        faults=[Fault("", 99, refusal(503, "down"))],
    ),
    Case(
        "a page in place of an answer",
        VendorError,
        "{address} could not be fetched\n"
        "  The Hub's client said: JSONDecodeError.\n"
        "  Check the network (and HF_ENDPOINT, HF_HUB_OFFLINE), then run the same command again.",
        faults=[Fault("revision", 99, Answer(200, b"<html>Welcome</html>"))],
    ),
    Case(
        "connections that are cut",
        VendorError,
        "{address} could not be fetched\n"
        "  The Hub's client said: RemoteProtocolError.\n"
        "  Check the network (and HF_ENDPOINT, HF_HUB_OFFLINE), then run the same command again.",
        faults=[Fault("revision", 99, cut_answer=10)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_cannot_be_pulled_is_refused_and_nothing_stays(
    hub: FakeHub, pushed: Address, adapter: Adapter, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", case.token or "")
    repo = hub.repos["acme/tone"]
    repo.private, repo.gated = case.private, case.gated
    hub.renamed |= {"acme/tone": "acme/voice"} if case.renamed else {}
    hub.repos["acme/voice"] = repo
    hub.faults += [replace(fault) for fault in case.faults]
    with pytest.raises(TakeoverError) as refused:
        pull(case.address or pushed, digest=case.digest)
    new = str(pushed).replace("tone", "voice")
    words = case.words.replace("{address}", str(pushed)).replace("{new}", new).replace("{digest}", adapter.digest)
    assert (type(refused.value), str(refused.value)) == (case.want, words)
    assert left() == []


def test_another_digest_is_refused_before_the_weights_are_fetched(hub: FakeHub, pushed: Address) -> None:
    with pytest.raises(Refused):
        pull(pushed, digest="sha256:" + "0" * 64)
    assert (hub.count("/resolve/"), hub.count(WEIGHTS)) == (1, 0)


def test_what_is_in_the_cache_is_held_against_the_digest_too(hub: FakeHub, pushed: Address, adapter: Adapter) -> None:
    first = pull(pushed)
    with pytest.raises(Refused, match=f"{pushed} holds {adapter.digest}, but sha256:0+ was asked for"):
        pull(pushed, digest="sha256:" + "0" * 64)
    assert open_adapter(first.path).digest == adapter.digest


def test_a_limit_that_lasts_is_not_waited_for(hub: FakeHub, pushed: Address, clock: Clock) -> None:
    hub.faults.append(Fault("", 1, refusal(503, "maintenance", **{"Retry-After": "3600"})))
    with pytest.raises(VendorError):
        pull(pushed)
    assert clock.slept == []


def test_an_expired_token_is_not_taken_for_a_missing_repository(hub: FakeHub, pushed: Address) -> None:
    """Over https the client makes a missing repository of every 401."""
    hub.faults.append(Fault("", 9, refusal(401, 'User Access Token "laptop" is expired', "RepoNotFound")))
    with pytest.raises(AuthError, match="the Hugging Face Hub does not accept the token"):
        pull(pushed)


def test_a_hub_that_says_nothing_is_not_waited_for_for_ever(
    hub: FakeHub, pushed: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    monkeypatch.setattr(hub_client, "_WAIT_S", {"read": 0.1})
    hub.faults.append(Fault("", 9, cut_answer=0, held=never))
    try:
        with pytest.raises(VendorError, match="The Hub's client said: ReadTimeout"):
            pull(pushed)
    finally:
        never.set()


def test_a_token_in_the_hubs_own_words_is_cut_out(hub: FakeHub, pushed: Address) -> None:
    hub.faults.append(Fault("", 9, refusal(403, f"the token {WRITER} may not")))
    with pytest.raises(AuthError) as refused:
        pull(pushed)
    assert "the token [secret] may not (HTTP 403" in refused.value.why
    assert WRITER not in "".join([str(refused.value), repr(refused.value), *refused.value.parts().values()])


def test_what_was_forged_on_the_hub_is_refused_by_name_and_nothing_stays(hub: FakeHub, pushed: Address) -> None:
    repo = hub.repos["acme/tone"]
    weights = repo.head.files["adapter_model.safetensors"]
    repo.large[weights.lfs or ""] = repo.content(weights)[:-1] + b"\xff"
    with pytest.raises(Refusals) as refused:
        pull(pushed)
    assert refused.value.happened == f"{pushed} was refused: 1 mistake"
    assert [mistake.where for mistake in refused.value.mistakes] == [f"{pushed}/adapter_model.safetensors"]
    assert left() == []


def test_a_repository_without_a_manifest_is_no_adapter(hub: FakeHub, pushed: Address) -> None:
    repo = hub.repos["acme/tone"]
    repo.commit("without", {name: file for name, file in repo.head.files.items() if name != "manifest.json"})
    with pytest.raises(Refused, match=r"holds no adapter: there is no manifest\.json"):
        pull(at_head(hub))


def test_a_manifest_that_is_far_too_large_is_not_even_fetched(hub: FakeHub, pushed: Address) -> None:
    repo = hub.repos["acme/tone"]
    repo.commit("huge", {**repo.head.files, "manifest.json": File(lfs="0" * 64, size=10**10)})
    with pytest.raises(Refused, match=r"has 10000000000 bytes: it is none"):
        pull(at_head(hub))
    assert hub.count("/resolve/") == 0


def test_a_tag_that_was_moved_is_noticed_and_the_pinned_commit_stays_what_it_was(
    hub: FakeHub, pushed: Address, adapter: Adapter, tmp_path: Path
) -> None:
    other = make_adapter(tmp_path / "other", seed=1)
    moved = push(other.path, TONE, tag="v2").address
    hub.repos["acme/tone"].tags["v1"] = str(moved.commit)
    assert resolve(TONE.at("v1")) == moved
    with pytest.raises(Refused, match=f"{moved} holds {other.digest}, but {adapter.digest} was asked for"):
        pull(resolve(TONE.at("v1")), digest=adapter.digest)
    assert pull(pushed, digest=adapter.digest).digest == adapter.digest


def test_without_a_network_the_cache_alone_is_asked(
    hub: FakeHub, pushed: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Refused) as refused:
        pull(pushed)
    assert str(refused.value) == (
        f"{pushed} is not on this machine, and HF_HUB_OFFLINE forbids asking the Hub\n"
        "  Unset HF_HUB_OFFLINE, or use what is in the cache already."
    )
    assert hub.requests == []


# Which token is sent.


@pytest.mark.parametrize(
    ("variables", "stored", "want"),
    [
        ({"HF_TOKEN": READER}, None, READER),
        ({"HUGGINGFACE_TOKEN": READER}, None, READER),
        ({"HF_TOKEN": WRITER, "HUGGINGFACE_TOKEN": READER}, READER, WRITER),
        ({}, READER, READER),
        ({}, None, None),
    ],
)
def test_the_token_is_the_variables_or_the_one_that_was_logged_in_with(
    hub: FakeHub,
    pushed: Address,
    variables: dict[str, str],
    stored: str | None,
    want: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Path(constants.HF_TOKEN_PATH).parent.mkdir(exist_ok=True)
    Path(constants.HF_TOKEN_PATH).write_text(stored or "")
    pull(pushed)
    # None: the large files' own host, which must not see it.
    assert hub.callers == {want, None}


def test_the_implicit_token_can_be_forbidden(hub: FakeHub, pushed: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    Path(constants.HF_TOKEN_PATH).parent.mkdir(exist_ok=True)
    Path(constants.HF_TOKEN_PATH).write_text(WRITER)
    pull(pushed)
    assert hub.callers == {None}


# What is cut off.


def test_a_download_that_breaks_goes_on_where_it_was(
    hub: FakeHub, pushed: Address, adapter: Adapter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_LARGE", 1000)
    hub.faults.append(Fault(weights_of(adapter), cut_answer=5000))
    assert pull(pushed).digest == adapter.digest
    assert (hub.ranges, clock.slept) == (["bytes=5000-"], [1])


def weights_of(adapter: Adapter) -> str:
    return WEIGHTS + adapter.manifest.files["adapter_model.safetensors"]


def test_a_pull_that_failed_is_gone_on_with_by_the_next(
    hub: FakeHub, pushed: Address, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_LARGE", 1000)
    pattern = weights_of(adapter)
    hub.faults += [Fault(pattern, cut_answer=5000), Fault(pattern, 9, refusal(503, "down"))]
    with pytest.raises(VendorError):
        pull(pushed)
    hub.faults.clear()
    assert pull(pushed).digest == adapter.digest
    assert hub.ranges == ["bytes=5000-"]


def test_a_server_that_sends_all_of_it_again_is_understood(
    hub: FakeHub, pushed: Address, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_LARGE", 1000)
    pattern, whole = weights_of(adapter), (adapter.path / "adapter_model.safetensors").read_bytes()
    hub.faults += [Fault(pattern, cut_answer=5000), Fault(pattern, instead=Answer(200, whole))]
    assert pull(pushed).digest == adapter.digest
    assert hub.count(pattern) == 2


def test_a_connection_over_which_nothing_comes_is_given_up(
    hub: FakeHub, pushed: Address, adapter: Adapter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_LARGE", 1000)
    hub.faults.append(Fault(weights_of(adapter), 99, cut_answer=0))
    with pytest.raises(VendorError):
        pull(pushed)
    assert (hub.count(weights_of(adapter)), clock.slept) == (3, [1, 1])


def test_what_was_kept_of_another_content_is_refused_once_and_then_fetched_anew(
    hub: FakeHub, pushed: Address, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_LARGE", 1000)
    pattern = weights_of(adapter)
    hub.faults += [Fault(pattern, cut_answer=5000), Fault(pattern, 9, refusal(503, "down"))]
    with pytest.raises(VendorError):
        pull(pushed)
    hub.faults.clear()
    (part,) = adapters_dir().rglob("*.part")
    part.write_bytes(b"\0" * 5000)
    with pytest.raises(Refusals, match=r"adapter_model\.safetensors"):
        pull(pushed)
    assert pull(pushed).digest == adapter.digest


def environment(hub: FakeHub, tmp_path: Path) -> dict[str, str]:
    """For a process of its own: the Hub's client reads its variables when it is imported."""
    ours = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf-home"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": WRITER,
        "TAKEOVER_CACHE": os.environ["TAKEOVER_CACHE"],
    }
    return {**os.environ, **ours}


def start(hub: FakeHub, tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from takeover.cli import main; main()", *arguments]
    return subprocess.Popen(
        command, env=environment(hub, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_at_once_fetch_it_once(hub: FakeHub, pushed: Address, adapter: Adapter, tmp_path: Path) -> None:
    release = threading.Event()
    hub.faults.append(Fault(weights_of(adapter), held=release))
    first = start(hub, tmp_path, "pull", str(pushed), "--json")
    second = start(hub, tmp_path, "pull", str(pushed), "--json")
    try:
        waiting = {process.stderr.readline().split(" ")[0] for process in (first, second) if process.stderr}
        release.set()
        found = [process.communicate(timeout=60) for process in (first, second)]
    finally:
        release.set()
        for process in (first, second):
            process.kill()
    assert waiting == {"fetching", "waiting"}
    paths = {json.loads(out)["path"] for out, _ in found}
    assert (paths, hub.count(weights_of(adapter))) == ({str(pull(pushed).path)}, 1)
    assert [WRITER in text for pair in found for text in pair] == [False] * 4


def test_a_pull_that_was_killed_is_gone_on_with(
    hub: FakeHub, adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = make_adapter(tmp_path / "large", rank=160, modules=("q_proj", "k_proj", "v_proj", "o_proj"))
    address = push(large.path, TONE).address
    release = threading.Event()
    hub.faults.append(Fault(weights_of(large), cut_answer=700_000, held=release))
    process = start(hub, tmp_path, "pull", str(address))
    try:
        size = wait_for_part(600_000)
    finally:
        process.kill()
        process.communicate(timeout=10)
        release.set()
    assert pull(address).digest == large.digest
    assert (hub.ranges, hub.count(weights_of(large))) == ([f"bytes={size}-"], 2)


def wait_for_part(at_least: int) -> int:
    """The size of what was got so far, once it is enough and grows no more."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        sizes = [path.stat().st_size for path in adapters_dir().rglob("adapter_model.safetensors.part")]
        if sizes and sizes[0] >= at_least:
            return sizes[0]
        time.sleep(0.02)
    raise AssertionError("nothing arrived")


def test_what_arrived_is_opened_like_any_adapter(hub: FakeHub, pushed: Address) -> None:
    assert open_adapter(pull(pushed).path).manifest == pull(pushed).manifest
