"""`takeover render`: a folder for GitOps, from a stack's file."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from kube_servings import BASE, GIVEN, NAME
from typer.testing import CliRunner

from takeover.adapter import Adapter, Manifest
from takeover.cli import app
from takeover.errors import Refused
from takeover.kubernetes import manifests
from takeover.kubernetes.render import MARK, render, write

DIGEST = "sha256:" + "0" * 64
STACK = """\
config:
  takeover:hosting:
    environment: production
    provider: dedicated-vllm
    cluster: {cluster}
    coldStartTolerance: none
    minReplicas: 2
    maxReplicas: 2
    targetLatencyMs: 500
  takeover:adapter:
    source: hf://acme/tone@cccccccccccccccccccccccccccccccccccccccc
    digest: sha256:0000000000000000000000000000000000000000000000000000000000000000
  takeover:kubernetes:
    expectedCluster: https://203.0.113.10:6443
"""
KEY = "    namespace: llm\n    apiKeySecret: key\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, in which the registry has one adapter and the base is on no Hub."""
    (tmp_path / "Pulumi.yaml").write_text("name: support\nruntime: python\n")
    monkeypatch.chdir(tmp_path)

    def opened(_source: str, *, digest: str, **_more: object) -> Adapter:
        made = Manifest.model_construct(
            name="tone", digest=digest, base=BASE, base_revision=BASE[-40:], rank=16, target_modules=("q_proj",)
        )
        return Adapter(tmp_path, made)

    monkeypatch.setattr("components.program.open_source", opened)
    monkeypatch.setattr("takeover.fitting.fit_of_stack", lambda *_args, **_more: None)
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and what went wrong."""
    done = CliRunner().invoke(app, ["render", *arguments])
    return done.exit_code, done.stdout, str(done.exception or "")


def test_a_stack_becomes_a_folder_that_kubectl_takes(project: Path) -> None:
    (project / "Pulumi.prod.yaml").write_text(STACK.format(cluster="kubernetes") + KEY)
    out = project / "manifests"
    code, said, wrong = run("--stack", "prod", "--out", str(out), "--json")
    assert code == 0, wrong
    told = json.loads(said)
    assert told["namespace"] == "llm"
    assert sorted(told["files"]) == sorted(path.name for path in out.iterdir())
    index = yaml.safe_load((out / "kustomization.yaml").read_text())
    assert [*index["resources"], "kustomization.yaml"] == told["files"]
    deployment = yaml.safe_load((out / "deployment.yaml").read_text())
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["template"]["metadata"]["annotations"]["takeover.dev/digests"] == DIGEST
    assert all(path.read_text().startswith("#") for path in out.iterdir())
    assert "kind: Secret\n" not in "".join(path.read_text() for path in out.iterdir())


def test_the_version_before_is_rendered_as_it_is_deployed(project: Path) -> None:
    before = "sha256:" + "1" * 64
    previous = f"  takeover:previous:\n    source: hf://acme/tone@{'d' * 40}\n    digest: {before}\n"
    (project / "Pulumi.prod.yaml").write_text(STACK.format(cluster="kubernetes") + KEY + previous)
    assert run("--stack", "prod", "--out", "manifests")[0] == 0
    deployment = yaml.safe_load((project / "manifests" / "deployment.yaml").read_text())
    assert deployment["metadata"]["annotations"]["takeover.dev/digests"] == f"{DIGEST},{before}"


def test_a_stack_that_does_not_say_where_the_key_is_or_has_no_manifests_is_refused(project: Path) -> None:
    (project / "Pulumi.prod.yaml").write_text(STACK.format(cluster="kubernetes"))
    assert "the stack does not say where the API key is" in run("--stack", "prod", "--out", "manifests")[2]
    (project / "Pulumi.here.yaml").write_text(STACK.format(cluster="existing").partition("  takeover:kubernetes")[0])
    assert "which has no manifests" in run("--stack", "here", "--out", "manifests")[2]
    assert not (project / "manifests").exists()


FILES = render(manifests(GIVEN["full"].serving()), NAME)


def test_every_file_is_one_object_whose_keys_are_in_order() -> None:
    for name, text in FILES.items():
        [each] = yaml.safe_load_all(text)
        assert list(each)[:2] == ["apiVersion", "kind"], name
        comments = [line for line in text.splitlines() if line.lstrip().startswith("# ")]
        assert comments
        assert max(map(len, comments)) <= 130


def test_what_is_written_is_what_is_applied_and_comments_stand_above_what_they_are_about() -> None:
    wanted = manifests(GIVEN["full"].serving())
    assert [yaml.safe_load(text) for name, text in FILES.items() if name != "kustomization.yaml"] == wanted
    lines = FILES["deployment.yaml"].splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip() == "- name: engine")
    assert lines[at - 1].strip().startswith("# It listens on the pod's loopback.")


def test_rendering_again_replaces_its_own_files_and_leaves_others(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    (tmp_path / "notes.md").write_text("mine")
    fewer = render(manifests(GIVEN["minimal"].serving()), NAME)
    write(fewer, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*fewer, "notes.md"}


@pytest.mark.parametrize("left", ["values.yaml", "kustomization.yaml"])
def test_a_folder_of_somebody_else_stays_as_it_is(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_text("resources: []\n")
    with pytest.raises(Refused, match="is no folder that `takeover render` wrote"):
        write(FILES, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [left]


def test_an_index_that_was_edited_makes_nothing_outside_go(tmp_path: Path) -> None:
    folder, outside = tmp_path / "manifests", tmp_path / "mine.yaml"
    outside.write_text("mine")
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(f"{MARK}\nresources: [../mine.yaml, {outside}]\n")
    write(FILES, folder)
    assert outside.read_text() == "mine"


def test_a_write_that_fails_leaves_no_half_file(tmp_path: Path) -> None:
    with patch("os.fdopen", side_effect=OSError(28, "full")), pytest.raises(Refused, match="no space left"):
        write(FILES, tmp_path)
    assert list(tmp_path.iterdir()) == []
