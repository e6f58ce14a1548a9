"""`push` to the Hub: one commit a version, a tag on it, verified on both sides; nothing half-pushed."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from fakes.hub import EXPIRED, READER, WRITER, Answer, FakeHub, Fault, refusal
from fakes.hub_store import File, Repo, new_repo
from fakes.registry_help import TONE, Clock, at_head, commits_of

from takeover.adapter import Adapter, open_adapter
from takeover.errors import AuthError, QuotaError, RateLimited, Refusals, Refused, TakeoverError, VendorError
from takeover.registry import _hub_push, pull, push

FILES = [
    ".gitattributes",
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "manifest.json",
    "report/answers.md",
    "report/curves.png",
    "report/curves.svg",
]


def short(adapter: Adapter) -> str:
    return adapter.digest.removeprefix("sha256:")[:12]


def test_a_version_is_one_commit_with_a_tag_and_holds_what_was_sent(hub: FakeHub, adapter: Adapter) -> None:
    said: list[str] = []
    pushed = push(adapter.path, TONE, private=True, tag="v1", say=said.append)
    repo = hub.repos["acme/tone"]
    assert pushed.to_json() == {
        "address": f"hf://acme/tone@{repo.head.oid}",
        "commit": repo.head.oid,
        "digest": adapter.digest,
        "tag": "v1",
        "url": f"{hub.url}/acme/tone/tree/{repo.head.oid}",
        "created": True,
    }
    assert (repo.private, repo.tags, commits_of(hub)) == (
        True,
        {"v1": repo.head.oid},
        ["initial commit", f"Publish {adapter.served_name}"],
    )
    assert (sorted(repo.head.files), repo.head.message) == (FILES, f"{adapter.digest}\n")
    assert (
        repo.content(repo.head.files["adapter_model.safetensors"])
        == (adapter.path / "adapter_model.safetensors").read_bytes()
    )
    assert repo.head.files["manifest.json"].data == (adapter.path / "manifest.json").read_bytes()
    assert said == ["making the repository acme/tone (private)", f"uploading {adapter.served_name} (0.0 MB)"]


def test_without_a_tag_the_version_is_tagged_by_its_digest(hub: FakeHub, adapter: Adapter) -> None:
    pushed = push(adapter.path, TONE)
    assert (pushed.tag, hub.repos["acme/tone"].tags) == (short(adapter), {short(adapter): pushed.commit})


def test_the_same_digest_again_is_no_commit_and_no_upload(hub: FakeHub, adapter: Adapter) -> None:
    first = push(adapter.path, TONE, tag="v1")
    again = push(adapter.path, TONE)
    assert (again.created, again.address, again.tag) == (False, first.address, "v1")
    assert (hub.count("POST .*/commit/"), hub.count("^PUT "), len(hub.repos["acme/tone"].tags)) == (1, 2, 1)


def test_the_same_digest_under_another_tag_gets_the_tag_alone(hub: FakeHub, adapter: Adapter) -> None:
    first = push(adapter.path, TONE, tag="v1")
    again = push(adapter.path, TONE, tag="stable")
    assert (again.created, again.tag) == (False, "stable")
    assert hub.repos["acme/tone"].tags == {"v1": first.commit, "stable": first.commit}


def test_an_older_version_is_found_again_among_the_commits(hub: FakeHub, adapter: Adapter, tmp_path: Path) -> None:
    first = push(adapter.path, TONE, tag="v1")
    push(make_adapter(tmp_path / "other", seed=1).path, TONE, tag="v2")
    again = push(adapter.path, TONE)
    assert (again.address, again.created, hub.count("POST .*/commit/")) == (first.address, False, 2)


def test_a_newer_version_takes_the_older_ones_report_away(hub: FakeHub, adapter: Adapter, tmp_path: Path) -> None:
    push(adapter.path, TONE)
    push(make_adapter(tmp_path / "other", seed=1).path, TONE)
    assert sorted(hub.repos["acme/tone"].head.files) == [name for name in FILES if not name.startswith("report/")]


def published_by_hand(adapter: Adapter, *left_out: str) -> Repo:
    """A repository that somebody filled with git: no message of ours, no tag."""
    repo = new_repo(private=False)
    weights = (adapter.path / "adapter_model.safetensors").read_bytes()
    oid = hashlib.sha256(weights).hexdigest()
    repo.large[oid] = weights
    names = [name for name in ("adapter_config.json", "manifest.json") if name not in left_out]
    small = {name: File((adapter.path / name).read_bytes()) for name in names}
    large = {"adapter_model.safetensors": File(lfs=oid, size=len(weights))}
    repo.commit("by hand", {**repo.head.files, **small, **large})
    return repo


def test_what_was_published_by_git_is_recognised_and_gets_its_tag(hub: FakeHub, adapter: Adapter) -> None:
    hub.repos["acme/tone"] = published_by_hand(adapter)
    pushed = push(adapter.path, TONE, tag="v1")
    assert (pushed.created, pushed.address, hub.repos["acme/tone"].tags) == (False, at_head(hub), {"v1": pushed.commit})


def test_the_two_files_of_peft_without_a_manifest_are_no_version_yet(hub: FakeHub, adapter: Adapter) -> None:
    hub.repos["acme/tone"] = published_by_hand(adapter, "manifest.json")
    assert push(adapter.path, TONE).created is True
    assert commits_of(hub)[-1] == f"Publish {adapter.served_name}"


def test_the_same_weights_with_another_config_are_another_version(hub: FakeHub, adapter: Adapter) -> None:
    hub.repos["acme/tone"] = repo = published_by_hand(adapter)
    repo.commit("by hand", {**repo.head.files, "adapter_config.json": File(b"{}")})
    assert push(adapter.path, TONE).created is True


def test_words_that_were_changed_on_the_hub_do_not_make_the_payload_new(hub: FakeHub, adapter: Adapter) -> None:
    first = push(adapter.path, TONE)
    repo = hub.repos["acme/tone"]
    repo.commit("Update README.md", {**repo.head.files, "README.md": File(b"# other words")})
    again = push(adapter.path, TONE)
    assert (again.created, again.address) == (False, first.address)


def test_the_card_names_the_address_unless_somebody_wrote_their_own(
    hub: FakeHub, adapter: Adapter, tmp_path: Path
) -> None:
    push(adapter.path, TONE, tag="v1")
    card = hub.repos["acme/tone"].head.files["README.md"].data.decode()
    assert "takeover adapter use hf://acme/tone@v1 --stack staging" in card
    assert "![curves](report/curves.png)\n" in card
    other = make_adapter(tmp_path / "other", seed=1)
    own = "---\nlicense: mit\n---\n\n# My own words\n"
    (other.path / "README.md").write_text(own)
    push(other.path, TONE)
    assert hub.repos["acme/tone"].head.files["README.md"].data.decode() == own


def test_what_was_pushed_can_be_pulled_and_is_the_same(hub: FakeHub, adapter: Adapter) -> None:
    pushed = push(adapter.path, TONE)
    pulled = pull(pushed.address, digest=adapter.digest)
    assert (pulled.manifest, pulled.path != adapter.path) == (adapter.manifest, True)


def test_a_base_that_only_this_machine_has_is_said(hub: FakeHub, tmp_path: Path) -> None:
    made = make_adapter(tmp_path / "own", base="folder:/models/own", base_revision="sha256:" + "1" * 64)
    said: list[str] = []
    push(made.path, TONE, say=said.append)
    assert said[0] == (
        "its base is a folder of this machine, folder:/models/own: whoever pulls it needs that very base"
    )


# What is refused before anything is created.


@dataclass(frozen=True)
class Case:
    """One thing that is not as it should be: the token, a repository that is there, a file, a tag, an answer."""

    id: str
    want: type[TakeoverError]
    words: str
    token: str | None = WRITER
    there: dict[str, File] | None = None
    private: bool = False
    tag: str | None = None
    card: str | None = None
    faults: list[Fault] = field(default_factory=list)


NO_TOKEN = """\
there is no token for the Hugging Face Hub, and pushing to hf://acme/tone needs one
  HF_TOKEN and HUGGINGFACE_TOKEN are not set, and nobody is logged in. Nothing was created.
  Make a token with write rights at https://huggingface.co/settings/tokens and set HF_TOKEN to it."""
EXPIRED_TOKEN = """\
hf://acme/tone: the Hugging Face Hub does not accept the token
  User Access Token "laptop" is expired (HTTP 401, request id Root=1-fake).
  It may have expired: make another at https://huggingface.co/settings/tokens and set HF_TOKEN to it."""
WRONG_TOKEN = EXPIRED_TOKEN.replace(
    'User Access Token "laptop" is expired', "Invalid credentials in Authorization header"
)
NO_RIGHTS = """\
hf://acme/tone: the Hugging Face Hub forbids this to the token in use
  You don't have the rights to write to the namespace "acme" (HTTP 403, request id Root=1-fake).
  Use a token whose owner may write to acme (https://huggingface.co/settings/tokens)."""
PUBLIC = """\
hf://acme/tone: acme/tone is public, and --private was asked for
  A repository that exists keeps its visibility; what was pushed could be read by anybody.
  Make it private first: hf repos settings acme/tone --private; or push to another name."""
FOREIGN = """\
hf://acme/tone: the repository acme/tone holds something else: config.json, model.safetensors
  It has no manifest.json, so no adapter was published there, and its model card would be overwritten.
  Push to a repository of the adapter's own."""
LIMIT = """\
hf://acme/tone: the Hugging Face Hub was asked too often
  Run the same command again in 240 s."""
FULL = """\
hf://acme/tone: the account of acme may not store this
  Private repository storage limit reached (HTTP 403, request id Root=1-fake)."""
BAD_TAG = "--tag: 'a b' is no tag for a version\n  Use letters, digits, dots, - and _, such as --tag v3."


def limited(seconds: int) -> Answer:
    policy = {"RateLimit-Policy": '"fixed window";"api";q=1000;w=300'}
    return refusal(429, "Too many requests", RateLimit=f'"api";r=0;t={seconds}', **policy)


def base_model() -> dict[str, File]:
    return {name: File(b"x") for name in ("config.json", "model.safetensors", "README.md", ".gitattributes")}


CASES = [
    Case("no token", AuthError, NO_TOKEN, token=None),
    Case("an expired token", AuthError, EXPIRED_TOKEN, token=EXPIRED),
    Case("a token that nobody knows", AuthError, WRONG_TOKEN, token="hf_nobodynobody"),
    Case("a token that may only read", AuthError, NO_RIGHTS, token=READER),
    Case("a token that may only read, into a repository that is there", AuthError, NO_RIGHTS, token=READER, there={}),
    Case("a public repository, with --private", Refused, PUBLIC, there={}, private=True),
    Case("a repository with a whole model in it", Refused, FOREIGN, there=base_model()),
    Case("no tag", Refused, BAD_TAG, tag="a b"),
    Case("a tag like a commit", Refused, BAD_TAG.replace("a b", "0a" * 20), tag="0a" * 20),
    Case("the rate limit, for longer than one waits", RateLimited, LIMIT, faults=[Fault("GET", 9, limited(240))]),
    Case(
        "no room for private files",
        QuotaError,
        FULL,
        faults=[Fault("POST .*/batch", 9, refusal(403, "Private repository storage limit reached"))],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_cannot_be_pushed_is_refused_and_no_version_is_made(
    hub: FakeHub, adapter: Adapter, case: Case, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    set_token(monkeypatch, case.token)
    hub.repos |= {} if case.there is None else {"acme/tone": repo_with(case.there)}
    hub.faults += case.faults
    before = {name: (len(repo.commits), dict(repo.tags)) for name, repo in hub.repos.items()}
    with pytest.raises(TakeoverError) as refused:
        push(adapter.path, TONE, private=case.private, tag=case.tag)
    assert (type(refused.value), str(refused.value)) == (case.want, case.words)
    after = {name: (len(repo.commits), dict(repo.tags)) for name, repo in hub.repos.items()}
    assert after == (before or ({"acme/tone": (1, {})} if after else {}))
    assert secrets_in(refused.value, capfd) == []


def set_token(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", token or "")


def repo_with(files: dict[str, File]) -> Repo:
    repo = new_repo(private=False)
    repo.commit("what was there", {**repo.head.files, **files})
    return repo


def secrets_in(error: BaseException, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The tokens that can be read in an error, in its causes, or on the screen."""
    causes: list[str] = []
    at: BaseException | None = error
    while at is not None:
        causes += [str(at), repr(at), str(at.args)]
        at = at.__cause__
    text = "".join([*causes, *capfd.readouterr()])
    return [token for token in (WRITER, READER, EXPIRED, "hf_nobodynobody") if token in text]


def test_a_tag_on_another_version_is_refused_before_anything_is_sent(
    hub: FakeHub, adapter: Adapter, tmp_path: Path
) -> None:
    first = push(make_adapter(tmp_path / "other", seed=1).path, TONE, tag="v1")
    with pytest.raises(Refused) as refused:
        push(adapter.path, TONE, tag="v1")
    assert refused.value.happened == f"the tag v1 is on another version of acme/tone, the commit {first.commit}"
    assert (hub.count("^PUT "), hub.repos["acme/tone"].tags) == (1, {"v1": first.commit})


def test_a_damaged_adapter_never_leaves(hub: FakeHub, adapter: Adapter) -> None:
    with (adapter.path / "adapter_model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(Refusals, match=r"adapter_model\.safetensors"):
        push(adapter.path, TONE)
    assert hub.requests == []


def test_an_address_with_a_version_is_no_place_to_push_to(hub: FakeHub, adapter: Adapter) -> None:
    with pytest.raises(Refused, match="hf://acme/tone@main names a version"):
        push(adapter.path, TONE.at("main"))
    assert hub.requests == []


@dataclass(frozen=True)
class Card:
    id: str
    metadata: str
    want: list[str]
    asked: int = 0


@pytest.mark.parametrize(
    "case",
    [
        Card(
            "several mistakes, all at once",
            "license: my own\nbase_model: [acme]x\ntags: lora",
            ["its metadata is no readable YAML"],
        ),
        Card(
            "wrong values, all at once",
            "license: my own\nbase_model: https://acme\ntags: lora",
            [
                "base_model is 'https://acme', but the Hub wants a model's id on the Hub, or a list of them",
                "license is 'my own', but the Hub wants one of the Hub's licences, or other",
                "tags is 'lora', but the Hub wants a list of words",
            ],
        ),
        Card("what only the Hub knows", "license: mit\nemoji: x", ['"emoji" is not valid'], asked=1),
    ],
    ids=lambda case: case.id,
)
def test_a_card_with_invalid_metadata_is_refused_before_a_version_is_made(
    hub: FakeHub, adapter: Adapter, case: Card
) -> None:
    (adapter.path / "README.md").write_text(f"---\n{case.metadata}\n---\n# Words\n")
    with pytest.raises(Refusals) as refused:
        push(adapter.path, TONE)
    assert [mistake.happened for mistake in refused.value.mistakes] == case.want
    assert (hub.count("POST .*/commit/"), hub.count("validate-yaml")) == (0, case.asked)


# What breaks in the middle.


def test_a_cut_upload_leaves_no_version_and_the_next_push_makes_one(
    hub: FakeHub, adapter: Adapter, clock: Clock
) -> None:
    weights = adapter.manifest.files["adapter_model.safetensors"]
    hub.faults.append(Fault(f"^PUT .*{weights}", times=6, cut_request=1000))
    with pytest.raises(VendorError) as cut:
        push(adapter.path, TONE)
    assert cut.value.happened == "hf://acme/tone could not be pushed to"
    assert (commits_of(hub), hub.repos["acme/tone"].tags, len(clock.slept)) == (["initial commit"], {}, 5)
    pushed = push(adapter.path, TONE)
    assert (pushed.created, commits_of(hub)) == (True, ["initial commit", f"Publish {adapter.served_name}"])


def test_a_connection_that_breaks_once_is_no_trouble(hub: FakeHub, adapter: Adapter) -> None:
    hub.faults += [
        Fault("^PUT ", cut_request=1000),
        Fault("GET .*/refs", cut_answer=0),
        Fault("preupload", 1, limited(3)),
    ]
    assert push(adapter.path, TONE).created
    assert commits_of(hub) == ["initial commit", f"Publish {adapter.served_name}"]


def test_a_limit_that_ends_soon_is_waited_for(hub: FakeHub, adapter: Adapter, clock: Clock) -> None:
    hub.faults.append(Fault("GET /api/models/acme/tone$", 1, limited(20)))
    assert push(adapter.path, TONE).created
    assert clock.slept == [21.0]


@pytest.mark.parametrize(
    "fault", [Fault("POST .*/commit/", cut_answer=0), Fault("POST .*/commit/", 1, refusal(500, "x"))]
)
def test_an_answer_to_the_commit_that_got_lost_makes_no_second_one(
    hub: FakeHub, adapter: Adapter, fault: Fault
) -> None:
    hub.faults.append(fault)
    push(adapter.path, TONE)
    assert commits_of(hub) == ["initial commit", f"Publish {adapter.served_name}"]
    assert hub.repos["acme/tone"].tags == {short(adapter): hub.repos["acme/tone"].head.oid}


def test_a_push_that_ended_before_its_tag_is_finished_by_the_next(hub: FakeHub, adapter: Adapter) -> None:
    hub.faults.append(Fault("POST .*/tag/", 1, refusal(503, "busy")))
    with pytest.raises(VendorError):
        push(adapter.path, TONE, tag="v1")
    pushed = push(adapter.path, TONE, tag="v1")
    assert (pushed.created, hub.repos["acme/tone"].tags) == (False, {"v1": pushed.commit})
    assert len(commits_of(hub)) == 2


def test_somebody_elses_push_in_between_is_kept(hub: FakeHub, adapter: Adapter) -> None:
    hub.repos["acme/tone"] = repo = new_repo(private=False)
    other = Fault("POST .*/commit/", then=lambda: repo.commit("theirs", {**repo.head.files, "LICENSE": File(b"MIT")}))
    hub.faults.append(other)
    push(adapter.path, TONE)
    assert commits_of(hub) == ["initial commit", "theirs", f"Publish {adapter.served_name}"]
    assert "LICENSE" in repo.head.files


@pytest.mark.parametrize("moment", ["preupload", "batch", "commit"])
def test_somebody_elses_push_of_the_same_adapter_is_not_repeated(hub: FakeHub, adapter: Adapter, moment: str) -> None:
    hub.repos["acme/tone"] = new_repo(private=False)
    twin: list[Any] = []
    hub.faults.append(Fault(f"POST .*/{moment}", then=lambda: twin.append(push(adapter.path, TONE))))
    mine = push(adapter.path, TONE)
    assert (mine.address, [each.address for each in twin], len(commits_of(hub))) == (at_head(hub), [at_head(hub)], 2)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "README.md", "report/curves.png"])
def test_what_the_hub_has_afterwards_must_be_what_was_sent(hub: FakeHub, adapter: Adapter, name: str) -> None:
    hub.repos["acme/tone"] = repo = new_repo(private=False)

    def forge() -> None:
        sent = repo.head.files[name]
        forged = File(lfs=hashlib.sha256(b"other").hexdigest(), size=sent.size) if sent.lfs else File(b"other")
        repo.commits[-1] = replace(repo.head, files={**repo.head.files, name: forged})

    hub.faults += [Fault("GET .*/tree/"), Fault("GET .*/tree/", then=forge)]
    with pytest.raises(VendorError) as refused:
        push(adapter.path, TONE)
    assert refused.value.happened == f"{at_head(hub)} does not hold what was sent: {name}"
    assert repo.tags == {}


@pytest.mark.parametrize("hashed_by_the_client", [False, True], ids=["announced", "hashed on the way, as Xet does"])
def test_a_file_that_changes_while_it_is_uploaded_is_noticed_before_the_commit(
    hub: FakeHub, adapter: Adapter, hashed_by_the_client: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hub_push, "_has_xet", lambda: hashed_by_the_client)
    weights = adapter.path / "adapter_model.safetensors"
    data = weights.read_bytes()
    hub.faults.append(Fault("POST .*/preupload/", then=lambda: weights.write_bytes(data[:-1] + b"\xff")))
    with pytest.raises(Refused) as refused:
        push(adapter.path, TONE)
    found = getattr(refused.value, "mistakes", [refused.value])
    assert [mistake.where for mistake in found] == [str(weights)]
    assert commits_of(hub) == ["initial commit"]


def test_a_signed_adapter_keeps_the_readme_that_was_signed(hub: FakeHub, adapter: Adapter) -> None:
    (adapter.path / "report" / "model.sig").write_text("{}")
    push(open_adapter(adapter.path).path, TONE)
    pushed = hub.repos["acme/tone"].head.files
    assert (pushed["README.md"].data, pushed["report/model.sig"].data) == (
        (adapter.path / "README.md").read_bytes(),
        b"{}",
    )


def test_two_pushes_at_once_make_one_version(hub: FakeHub, adapter: Adapter) -> None:
    hub.repos["acme/tone"] = new_repo(private=False)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(push(adapter.path, TONE))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ({each.address for each in results}, len(results)) == ({at_head(hub)}, 2)
    assert len(commits_of(hub)) == 2
