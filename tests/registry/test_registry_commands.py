"""`takeover push`, `pull`, `versions` and `adapter use ADDRESS`: what a person types, sees and gets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.artifacts import make_adapter
from fakes.hub import EXPIRED, WRITER, FakeHub, Fault
from fakes.registry_help import TONE, at_head, commits_of

from takeover.adapter import Adapter, open_adapter
from takeover.cli import main
from takeover.cli._terminal import out
from takeover.registry import pull, push
from takeover.registry.cache import adapters_dir

STACK = """\
# staging
config:
  takeover:hosting: {environment: development, provider: local}
  takeover:adapter: # which one
    source: adapters/old
"""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command as a shell runs it, in this process."""

    def call(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["takeover", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return Ran(int(ended.value.code or 0), shown.out, shown.err)

    return call


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "Pulumi.yaml").write_text("name: takeover\nruntime: python\n")
    (root / "Pulumi.staging.yaml").write_text(STACK)
    monkeypatch.chdir(root)
    return root


def test_push_prints_the_pinned_address_and_says_what_to_do_with_it(hub: FakeHub, adapter: Adapter, run: Run) -> None:
    ran = run("push", str(adapter.path), "hf://acme/tone", "--private", "--tag", "v3")
    address = at_head(hub)
    assert (ran.code, ran.out) == (0, f"{address}\n")
    assert ran.err == (
        "making the repository acme/tone (private)\n"
        f"uploading {adapter.served_name} (0.0 MB)\n"
        f"published: {adapter.digest}, tagged v3\n"
        f"Deploy it: takeover adapter use {address} --stack staging\n"
    )
    again = run("push", str(adapter.path), "hf://acme/tone", "--json")
    assert json.loads(again.out) == {
        "address": str(address),
        "commit": address.commit,
        "digest": adapter.digest,
        "tag": "v3",
        "url": f"{hub.url}/acme/tone/tree/{address.commit}",
        "created": False,
    }


def test_pull_prints_the_folder_and_says_which_commit_a_tag_is(hub: FakeHub, adapter: Adapter, run: Run) -> None:
    address = push(adapter.path, TONE, tag="v3").address
    ran = run("pull", "hf://acme/tone@v3")
    kept = adapters_dir() / adapter.digest.removeprefix("sha256:")
    assert (ran.code, ran.out) == (0, f"{kept}\n")
    assert ran.err == (
        f"hf://acme/tone@v3 is {address.commit} now\n"
        f"fetching {address} (0.0 MB)\n"
        f"{adapter.served_name} is whole: {adapter.digest}\n"
    )


def test_pull_copies_to_a_folder_that_does_not_exist_yet(
    hub: FakeHub, adapter: Adapter, run: Run, tmp_path: Path
) -> None:
    address = push(adapter.path, TONE).address
    copy = tmp_path / "copy"
    assert json.loads(run("pull", str(address), "--out", str(copy), "--json").out) == {
        "address": str(address),
        "digest": adapter.digest,
        "path": str(copy),
    }
    assert open_adapter(copy).manifest == adapter.manifest
    assert run("pull", str(address), "--out", str(copy)).code == 2


def test_versions_are_a_table_for_a_person_and_json_for_a_program(
    hub: FakeHub, adapter: Adapter, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = push(adapter.path, TONE, tag="v3").address
    monkeypatch.setattr(out, "width", 160)
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in run("versions", "hf://acme/tone").out.splitlines()
    ]
    assert [row for row in rows if row] == [
        [adapter.served_name, str(address.commit), "rewardAccuracy 0.75"],
        ["tags v3", adapter.digest, ""],
        ["published 2026-11-25T00:01:00Z", "", ""],
    ]
    assert [row["address"] for row in json.loads(run("versions", "hf://acme/tone", "--json").out)] == [str(address)]


def test_an_empty_place_says_so(tmp_path: Path, run: Run) -> None:
    (tmp_path / "empty").mkdir()
    ran = run("versions", str(tmp_path / "empty"))
    assert (ran.code, ran.err) == (0, "nothing was published there yet\n")


@pytest.mark.parametrize("written", ["hf://acme/tone@main", "hf://acme/tone@v3", "hf://acme/tone"])
def test_use_writes_the_commit_that_a_name_stands_for_and_the_digest(
    hub: FakeHub, adapter: Adapter, run: Run, project: Path, written: str
) -> None:
    address = push(adapter.path, TONE, tag="v3").address
    ran = run("adapter", "use", written, "--stack", "staging")
    assert (ran.code, (project / "Pulumi.staging.yaml").read_text()) == (
        0,
        STACK.replace("adapters/old\n", f"{address}\n    digest: {adapter.digest}\n"),
    )
    assert ran.out == (
        f"Pulumi.staging.yaml now names {adapter.served_name}:\n  source: {address}\n  digest: {adapter.digest}\n"
    )
    assert f"{written} is {address.commit} now\n" in ran.err


def test_use_of_a_folder_of_versions_in_the_project_is_written_from_its_root(
    adapter: Adapter, run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path / "cache"))
    run("push", str(adapter.path), "published/tone")
    assert run("adapter", "use", f"published/tone@{adapter.digest}", "--stack", "staging").code == 0
    assert f"source: published/tone@{adapter.digest}\n" in (project / "Pulumi.staging.yaml").read_text()


@dataclass(frozen=True)
class Case:
    id: str
    arguments: tuple[str, ...]
    code: int
    words: str
    token: str = WRITER


CASES = [
    Case("push without a token", ("push", "{adapter}", "hf://acme/tone"), 3, "there is no token", token=""),
    Case("push with an expired one", ("push", "{adapter}", "hf://acme/tone"), 3, "does not accept", token=EXPIRED),
    Case("push to no address", ("push", "{adapter}", "hf://acme"), 2, "it must be hf://OWNER/NAME@COMMIT"),
    Case("push of no adapter", ("push", "nowhere", "hf://acme/tone"), 2, "there is no such folder"),
    Case("pull of nothing", ("pull", "hf://acme/tone@v9"), 2, "there is no such adapter, or it is private"),
    Case("versions of nothing", ("versions", "hf://acme/tone"), 2, "there is no such adapter, or it is private"),
    Case("use of nothing", ("adapter", "use", "hf://acme/tone", "-s", "staging"), 2, "there is no such adapter"),
    Case("a scheme that is none", ("pull", "ftp://acme/tone"), 2, "ftp:// is no place for adapters"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_mistake_is_one_message_and_a_code_and_nothing_is_made(
    hub: FakeHub, adapter: Adapter, run: Run, project: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", case.token)
    arguments = [text.replace("{adapter}", str(adapter.path)) for text in case.arguments]
    ran = run(*arguments)
    assert (ran.code, case.words in ran.err, "Traceback" in ran.err, ran.out) == (case.code, True, False, "")
    told = json.loads(run(*arguments, "--json").out)
    assert case.words in told["message"]
    assert (hub.repos, (project / "Pulumi.staging.yaml").read_text()) == ({}, STACK)


def test_use_of_an_adapter_that_was_forged_leaves_the_stack_as_it_was(
    hub: FakeHub, adapter: Adapter, run: Run, project: Path
) -> None:
    push(adapter.path, TONE)
    repo = hub.repos["acme/tone"]
    weights = repo.head.files["adapter_model.safetensors"]
    repo.large[weights.lfs or ""] = b"\0" * weights.size
    ran = run("adapter", "use", "hf://acme/tone", "--stack", "staging")
    assert (ran.code, f"{at_head(hub)}/adapter_model.safetensors" in ran.err) == (2, True)
    assert (project / "Pulumi.staging.yaml").read_text() == STACK


def test_a_cut_push_says_what_failed_and_the_same_command_goes_on(hub: FakeHub, adapter: Adapter, run: Run) -> None:
    hub.faults.append(Fault("^PUT .*", times=99, cut_request=10))
    cut = run("push", str(adapter.path), "hf://acme/tone")
    assert (cut.code, "hf://acme/tone could not be pushed to" in cut.err, WRITER in cut.err) == (5, True, False)
    hub.faults.clear()
    assert run("push", str(adapter.path), "hf://acme/tone").code == 0
    assert commits_of(hub) == ["initial commit", f"Publish {adapter.served_name}"]


def test_what_two_machines_push_and_pull_is_one_digest(
    hub: FakeHub, adapter: Adapter, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained twice with the same result, on two machines: one version, and both read the same adapter."""
    twin = make_adapter(tmp_path / "twin", report=tmp_path / "report")
    pushed = [json.loads(run("push", str(each.path), "hf://acme/tone", "--json").out) for each in (adapter, twin)]
    assert [(each["commit"], each["created"]) for each in pushed] == [
        (at_head(hub).commit, True),
        (at_head(hub).commit, False),
    ]
    first = pull(at_head(hub)).manifest
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path / "another-cache"))
    assert pull(at_head(hub), digest=twin.digest).manifest == first
