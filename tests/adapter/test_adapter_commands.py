"""`takeover adapter show|verify|diff|sign`, and signatures in the OpenSSF format."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.artifacts import make_adapter
from typer.testing import CliRunner

from takeover.adapter import Adapter, diff_adapters
from takeover.adapter.signing import sign, verify_signature
from takeover.cli.adapter import register
from takeover.errors import Refused


@pytest.fixture
def adapter(tmp_path: Path) -> Adapter:
    return make_adapter(tmp_path / "adapter")


def run(*arguments: str) -> tuple[str, str]:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["adapter", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, result.stderr


def keys(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """A fresh pair of EC keys: (private, public)."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def test_show_prints_what_the_adapter_is(adapter: Adapter) -> None:
    shown, _ = run("show", str(adapter.path))
    assert shown == (
        f"served as      {adapter.served_name}\n"
        f"digest         {adapter.digest}\n"
        "base           tiny\n"
        f"base revision  {adapter.manifest.base_revision}\n"
        "method         dpo\n"
        "rank, alpha    4, 8\n"
        "modules        q_proj, v_proj\n"
        f"data           sha256:{'d' * 64}\n"
        "seed           7\n"
        "created        2026-11-24T12:00:00Z\n"
        "licence        Apache-2.0\n"
        "evaluation     rewardAccuracy 0.75\n"
        "made with      peft 0.21.0\n"
    )


def test_show_as_json_is_the_manifest_with_the_served_name(adapter: Adapter) -> None:
    shown, words = run("show", str(adapter.path), "--json")
    extra = {"servedName": adapter.served_name, "path": str(adapter.path)}
    assert (json.loads(shown), words) == ({**extra, **adapter.manifest.to_json()}, "")


def test_verify_says_that_it_is_whole_and_that_nobody_signed(adapter: Adapter) -> None:
    assert run("verify", str(adapter.path), "--digest", adapter.digest) == (
        f"{adapter.served_name} is whole: {adapter.digest}\n",
        "signature: none\n",
    )


def test_a_damaged_adapter_is_one_message_and_exit_code_2_without_a_traceback(adapter: Adapter) -> None:
    (adapter.path / "adapter_model.safetensors").write_bytes(b"")
    (adapter.path / "model.bin").write_bytes(b"")
    command = [sys.executable, "-c", "from takeover.cli import main; main()", "adapter", "verify", str(adapter.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.splitlines()[0], "Traceback" in done.stderr) == (
        2,
        "",
        f"error: the adapter {adapter.path} was refused: 1 mistake",
        False,
    )


def test_diff_names_what_changed(tmp_path: Path, adapter: Adapter) -> None:
    other = make_adapter(tmp_path / "other", seed=1, evaluation={"rewardAccuracy": 0.9}, licence="MIT")
    found = diff_adapters(adapter, other)
    old, new = (each.manifest.files["adapter_model.safetensors"] for each in (adapter, other))
    assert (found.same_payload, found.fields, found.tensors) == (
        False,
        {
            "digest": (adapter.digest, other.digest),
            "evaluation.rewardAccuracy": (0.75, 0.9),
            "files.adapter_model.safetensors": (old, new),
            "licence": ("Apache-2.0", "MIT"),
        },
        {"same": 0, "changed": 8, "added": 0, "removed": 0},
    )


def test_diff_as_json_counts_matrices_that_came_and_went(tmp_path: Path, adapter: Adapter) -> None:
    other = make_adapter(tmp_path / "other", modules=("q_proj", "k_proj"))
    shown, _ = run("diff", str(adapter.path), str(other.path), "--json")
    found = json.loads(shown)
    assert (found["fields"]["targetModules"], found["samePayload"], set(found["tensors"])) == (
        {"before": ["q_proj", "v_proj"], "after": ["k_proj", "q_proj"]},
        False,
        {"same", "changed", "added", "removed"},
    )
    assert (found["tensors"]["added"], found["tensors"]["removed"]) == (4, 4)


def test_diff_of_the_same_says_so(adapter: Adapter) -> None:
    assert run("diff", str(adapter.path), str(adapter.path)) == ("the two adapters are the same\n", "")


def test_a_signature_is_the_owners_and_does_not_change_the_digest(tmp_path: Path, adapter: Adapter) -> None:
    private, public = keys(tmp_path)
    signed, _ = run("sign", str(adapter.path), "--key", str(private))
    assert signed == f"{adapter.path}/report/model.sig\n"
    assert run("verify", str(adapter.path), "--key", str(public), "--digest", adapter.digest) == (
        f"{adapter.served_name} is whole: {adapter.digest}\n",
        "signature: verified\n",
    )
    assert run("verify", str(adapter.path))[1] == "signature: not checked (give --key with the signer's public key)\n"


def test_signing_again_replaces_the_signature(tmp_path: Path, adapter: Adapter) -> None:
    sign(adapter, keys(tmp_path, "first")[0])
    private, public = keys(tmp_path, "second")
    sign(adapter, private)
    verify_signature(adapter, public)


def test_the_packages_own_command_verifies_the_signature(tmp_path: Path, adapter: Adapter) -> None:
    private, public = keys(tmp_path)
    signature = sign(adapter, private)
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(adapter.path)]
    given = ["--signature", str(signature), "--public_key", str(public)]
    done = subprocess.run([*command, *given], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n")


@pytest.mark.parametrize("name", ["README.md", "manifest.json", "adapter_config.json", "adapter_model.safetensors"])
def test_a_change_after_signing_is_named(tmp_path: Path, adapter: Adapter, name: str) -> None:
    private, public = keys(tmp_path)
    sign(adapter, private)
    with (adapter.path / name).open("a") as file:
        file.write(" ")
    with pytest.raises(Refused, match=f"does not hold: Hash mismatch for '{name}'\n"):
        verify_signature(adapter, public)


def test_a_page_added_to_the_report_after_signing_is_named(tmp_path: Path, adapter: Adapter) -> None:
    private, public = keys(tmp_path)
    sign(adapter, private)
    (adapter.path / "report" / "more.md").write_text("x")
    with pytest.raises(Refused, match=r"Extra files found in model 'adapter': report/more\.md\n"):
        verify_signature(adapter, public)


def test_somebody_elses_signature_is_refused(tmp_path: Path, adapter: Adapter) -> None:
    sign(adapter, keys(tmp_path, "mine")[0])
    with pytest.raises(Refused, match="the signature does not hold: Key mismatch"):
        verify_signature(adapter, keys(tmp_path, "theirs")[1])


def test_another_adapters_signature_is_refused(tmp_path: Path, adapter: Adapter) -> None:
    private, public = keys(tmp_path)
    other = make_adapter(tmp_path / "other", seed=1)
    (adapter.path / "report").mkdir()
    (adapter.path / "report" / "model.sig").write_bytes(sign(other, private).read_bytes())
    with pytest.raises(Refused, match=r"does not hold: .*'adapter_model\.safetensors'; .*'manifest\.json'"):
        verify_signature(adapter, public)


def test_a_damaged_signature_is_refused(tmp_path: Path, adapter: Adapter) -> None:
    private, public = keys(tmp_path)
    signature = sign(adapter, private)
    bundle = json.loads(signature.read_text())
    good = bundle["dsseEnvelope"]["signatures"][0]["sig"]
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = good[:20] + ("B" if good[20] == "A" else "A") + good[21:]
    signature.write_text(json.dumps(bundle))
    with pytest.raises(Refused, match="the signature does not hold"):
        verify_signature(adapter, public)


def test_no_signature_is_refused_with_the_command_that_makes_one(tmp_path: Path, adapter: Adapter) -> None:
    with pytest.raises(Refused) as refused:
        verify_signature(adapter, keys(tmp_path)[1])
    assert refused.value.parts() == {
        "error": "Refused",
        "happened": "there is no signature",
        "why": "Nobody signed this adapter, or the signature was not copied with it.",
        "fix": f"Sign it: takeover adapter sign {adapter.path} --key PRIVATE_KEY",
        "where": f"{adapter.path}/report/model.sig",
    }


@pytest.mark.parametrize("given", ["nothing", "words", "the public key"])
def test_what_is_no_private_key_is_refused_and_nothing_is_written(tmp_path: Path, adapter: Adapter, given: str) -> None:
    (tmp_path / "words").write_text("secret words that are no key")
    key = {"nothing": tmp_path / "none", "words": tmp_path / "words", "the public key": keys(tmp_path)[1]}[given]
    with pytest.raises(Refused, match="this is no usable private key") as refused:
        sign(adapter, key)
    assert "secret words" not in str(refused.value)
    assert not (adapter.path / "report").exists()


def test_without_the_package_the_message_names_the_command_that_installs_it(
    tmp_path: Path, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.startswith("model_signing"):
            raise ModuleNotFoundError("No module named 'model_signing'", name="model_signing")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(Refused, match="uv sync --inexact --extra signing"):
        sign(adapter, keys(tmp_path)[0])
