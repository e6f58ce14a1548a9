"""The stack files of examples/stacks, run by the project's whole program as a preview would, without an engine.

Only the adapters are made up: the files name placeholders that nobody can pull.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pulumi
from fakes.artifacts import make_adapter
from fakes.eks_stacks import SHARED, outputs
from fakes.kubeconfig import KUBECONFIG
from fakes.pulumi_recorder import Run, record

from components import program as programs
from takeover.adapter import Adapter
from takeover.settings import NAMESPACE, Settings, raw_from_stack_file

__all__ = ["BASE", "FOLDER", "NAMES", "adapters_of", "preview_of", "run_stack"]

FOLDER = Path(__file__).parents[2] / "examples" / "stacks"
NAMES = sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in FOLDER.glob("Pulumi.*.yaml"))
BASE = "hub:meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659"
# What the stack of the shared cluster exports (components/eks/facts.py), and what AWS adds to what is made.
_CLUSTER = {
    **SHARED,
    "region": "us-east-1",
    "privateSubnets": {f"us-east-1{zone}": [f"subnet-{zone}"] for zone in "abc"},
    "autoscaler": "karpenter",
}
_ADDED: Mapping[str, Any] = {
    **outputs(_CLUSTER),
    "aws:s3/bucket:Bucket": lambda name, _: {"bucket": f"{name}-made"},
    "aws:sagemaker/endpoint:Endpoint": lambda name, inputs: {"name": inputs.get("name", f"{name}-made")},
    "aws:sagemaker/model:Model": lambda name, _: {"name": f"{name}-made"},
    "takeover:index:Endpoint": lambda _name, _inputs: {
        "url": "https://e.example",
        "protocol": "sagemaker",
        "model": "m",
        "regions": [],
    },
}
_CALLS = {"aws:index/getCallerIdentity:getCallerIdentity": {"accountId": "123456789012", "arn": "a", "userId": "u"}}


def adapters_of(settings: Settings, folder: Path) -> list[Adapter]:
    """A real adapter for each source, of another content each."""
    names = [source.source.split("/")[3].partition("@")[0] for source in settings.adapter_sources]
    facts = {"base": BASE, "base_revision": BASE[-40:]}
    return [make_adapter(folder / name, name=name, seed=seed, **facts) for seed, name in enumerate(names)]


@cache
def preview_of(name: str) -> Run:
    """The run of a file as it is, once for all tests; nobody changes it."""
    with TemporaryDirectory() as folder:
        return run_stack(name, Path(folder))


def run_stack(name: str, folder: Path, *, changes: Mapping[str, str] | None = None, preview: bool = False) -> Run:
    """The program on `Pulumi.<name>.yaml`, with other texts for some of its keys."""
    raw = {**raw_from_stack_file(FOLDER / f"Pulumi.{name}.yaml"), **(changes or {})}
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)

    def program() -> None:
        pulumi.runtime.set_all_config({f"{NAMESPACE}:{key}": text for key, text in raw.items()})
        with patch.object(programs, "open_adapters", lambda settings, _root: adapters_of(settings, folder)):
            programs.program()

    environment = {"KUBECONFIG": str(kubeconfig), "TAKEOVER_API_KEY": "a-key-that-must-not-be-seen"}
    with patch.dict("os.environ", environment):
        return record(program, stack=name, outputs=_ADDED, calls=_CALLS, preview=preview)
