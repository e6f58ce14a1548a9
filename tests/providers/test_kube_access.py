"""Which cluster a kubeconfig means, and what is wrong with one."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from takeover.errors import AuthError, Refused, TakeoverError
from takeover.providers._kube_access import open_access

TOKEN = "a-token-that-must-not-be-seen"


def write(path: Path, **changes: Any) -> Path:
    """A kubeconfig with the contexts `dev` and `prod`."""
    contexts = [
        {"name": name, "context": {"cluster": name, "user": "me", "namespace": f"{name}-space"}}
        for name in ("dev", "prod")
    ]
    clusters = [{"name": name, "cluster": {"server": f"http://{name}.example:6443"}} for name in ("dev", "prod")]
    users = [{"name": "me", "user": {"token": TOKEN}}]
    whole = {"contexts": contexts, "clusters": clusters, "users": users, "current-context": "dev", **changes}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **whole}))
    return path


def by_command(folder: Path, printed: str, code: int = 0, said: str = "") -> list[Mapping[str, Any]]:
    """A user whose credential comes from a command, as on EKS."""
    script = folder / "credential.py"
    script.write_text(f"import sys\nprint({printed!r})\nsys.stderr.write({said!r})\nsys.exit({code})\n")
    command = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": sys.executable, "args": [str(script)]}
    return [{"name": "me", "user": {"exec": {**command, "interactiveMode": "Never"}}}]


def credential(**status: str) -> str:
    return json.dumps(
        {"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": status}
    )


def test_the_current_context_is_meant_unless_another_is_named(tmp_path: Path) -> None:
    config = str(write(tmp_path / "config"))
    found = [open_access(config), open_access(config, "prod")]
    assert [(each.server, each.context, each.namespace) for each in found] == [
        ("http://dev.example:6443", "dev", "dev-space"),
        ("http://prod.example:6443", "prod", "prod-space"),
    ]


def test_several_files_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "first", contexts=[], **{"current-context": "prod"})
    second = write(tmp_path / "second")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'none'}:{second}")
    assert open_access().context == "dev"
    assert open_access(context="prod").namespace == "prod-space"


def test_a_command_s_credential_is_taken_and_can_be_renewed(tmp_path: Path) -> None:
    users = by_command(tmp_path, credential(token=TOKEN))
    access = open_access(str(write(tmp_path / "config", users=users)))
    assert access.token is not None
    assert (access.token.get_secret_value(), access.is_renewable) == (TOKEN, True)
    assert TOKEN not in repr(access)


@dataclass(frozen=True)
class Case:
    id: str
    changes: Mapping[str, Any]
    error: type[TakeoverError]
    said: tuple[str, ...]
    context: str | None = None


CASES = [
    Case("a context that is not there", {}, Refused, ("has no context staging", "dev, prod"), "staging"),
    Case("no current context", {"current-context": ""}, Refused, ("has no current context", "dev, prod")),
    Case("no context at all", {"contexts": []}, Refused, ("has no context dev", "none at all")),
    Case("a cluster that is not there", {"clusters": []}, Refused, ("cannot be used", "dev")),
    Case(
        "a certificate that is not there",
        {
            "clusters": [
                {"name": "dev", "cluster": {"server": "https://dev.example", "certificate-authority": "/no/ca"}}
            ]
        },
        Refused,
        ("/no/ca",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_kubeconfig_that_cannot_be_used_says_why(tmp_path: Path, case: Case) -> None:
    config = write(tmp_path / "config", **case.changes)
    with pytest.raises(case.error) as caught:
        open_access(str(config), case.context)
    assert [words for words in case.said if words not in str(caught.value)] == []


@dataclass(frozen=True)
class Command:
    id: str
    printed: str
    said: str
    code: int = 0
    stderr: str = ""


COMMANDS = [
    Command("fails", "", "Token has expired and refresh failed", 255, "Error\nToken has expired and refresh failed"),
    Command("prints nothing", "", "gave no credential"),
    Command("prints something else", "[1]", "gave no credential"),
    Command("has no credential in it", credential(), "without a credential"),
]


@pytest.mark.parametrize("case", COMMANDS, ids=lambda case: case.id)
def test_a_credential_command_that_fails_is_one_message(tmp_path: Path, case: Command) -> None:
    users = by_command(tmp_path, case.printed, case.code, case.stderr)
    with pytest.raises(AuthError, match=case.said):
        open_access(str(write(tmp_path / "config", users=users)))


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    users = [
        {"name": "me", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-aws"}}}
    ]
    with pytest.raises(AuthError, match="no-such-aws gave no credential for the context dev"):
        open_access(str(write(tmp_path / "config", users=users)))


@pytest.mark.parametrize("text", ["", "[]", "just words", "a: [", "contexts: 1"])
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config"
    config.write_text(text)
    with pytest.raises(Refused):
        open_access(str(config))


def test_no_kubeconfig_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(Refused, match="there is no kubeconfig at") as caught:
        open_access()
    assert "aws eks update-kubeconfig" in str(caught.value)
