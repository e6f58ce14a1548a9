"""Manifests as files for people with GitOps: one object each, with a word on what it is for. Pure but for `write`."""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from takeover.errors import Refused
from takeover.folders import full_disk_refused
from takeover.kubernetes._object import Manifest
from takeover.kubernetes.words import role_of

__all__ = ["MARK", "render", "write"]

MARK = "# Written by `takeover render`"
_INDEX = "kustomization.yaml"

# By the file's name, or else by the object's kind.
_WORDS: Mapping[str, str] = {
    "namespace": "The endpoint's own namespace. Its label refuses pods that could be root or leave their container.",
    "serviceaccount": "An identity for the cloud's storage. No pod gets a token for the API server by it.",
    "networkpolicy": "Who reaches the pods, and what they reach; all else is refused. It holds only where the "
    "cluster's network enforces policies.",
    "externalsecret": "External Secrets writes the Secret; its value is in the store and nowhere else.",
    "configmap-fetch": "The program of the init container: fetches the adapters and compares their digests. Named by "
    "its content, so that pods keep what they were started with.",
    "configmap-gate": "nginx before the engine: the paths that callers may ask, and no other. vLLM's API key guards "
    "/v1 only.",
    "service-pods": "Before the gates of the pods that are ready. Not called `vllm`: pods would get a VLLM_PORT by "
    "it, which vLLM reads as its own.",
    "poddisruptionbudget": "A drain of nodes takes one pod at a time, and waits until its answers are written.",
    "deployment": "The rollout of these very adapters. A pod's end, all within terminationGracePeriodSeconds: some "
    "seconds until nobody sends it anything new (preStop), SIGTERM and the engine's drain, then nginx.",
    "leaderworkerset": "The rollout of these very adapters; one replica is several nodes that end together.",
    "scaledobject": "Replicas by what waits and by the KV cache, summed over the pods. While Prometheus is away they "
    "stay as they are.",
    "horizontalpodautoscaler": "Replicas by what waits and by the KV cache, as prometheus-adapter offers them.",
    "ingress": "The way in from outside, by TLS. Answers are streamed and may take minutes.",
    "podmonitor": "What Prometheus reads, of each pod by itself.",
    "podmonitor-picker": "The picker's queue, which tells of requests while no pod is there.",
    "prometheusrule": "What wakes somebody.",
    "configmap-dashboard": "Grafana's sidecar finds it by its label.",
    "configmap-picker": "How the endpoint picker weighs pods: what waits, the KV cache, who holds the beginning of the "
    "prompt, which adapters are on the GPU.",
    "deployment-picker": "The Gateway API's endpoint picker of llm-d. While it is away, requests go to any pod.",
    "service-picker": "Where the gateway asks it.",
    "serviceaccount-picker": "It watches pods and pool; its Role says so.",
    "networkpolicy-picker": "The gateway asks it, Prometheus reads it, nobody else.",
    "inferencepool": "The pods as the gateway sees them, at a port that callers do not reach.",
    "httproute": "The paths that callers may ask, from the gateway to the pool.",
}
_WIDTH = 116

# By the file's kind: above the first line that begins so, a word on why it is as it is.
_PODS: Mapping[str, str] = {
    "progressDeadlineSeconds:": "A node, the image and the weights, and the end of the pod before.",
    "rollingUpdate:": "With maxSurge 0 one pod ends before its successor starts: on full GPUs a surge waits for ever.",
    "terminationGracePeriodSeconds:": "preStop's wait, then the engine's drain, then some room.",
    "- name: fetch-adapters": "Another digest than the one below ends it, and the pod never becomes ready.",
    "- name: gate": "A native sidecar: it starts before the engine, and ends after the engine's last answer.",
    "- name: engine": "It listens on the pod's loopback. Every adapter is given here, so that ready means loaded.",
    "startupProbe:": "While the base loads nothing but this asks: a pod that loads is neither killed nor called.",
    "lifecycle:": "Before SIGTERM: until no balancer and no node sends it anything new.",
}
_NOTES: Mapping[str, Mapping[str, str]] = {
    "deployment": _PODS,
    "leaderworkerset": _PODS,
    "networkpolicy": {"except:": "The clouds' metadata, which hand out the node's credentials."},
    "poddisruptionbudget": {"maxUnavailable:": "minAvailable would hold a node for ever where there is one replica."},
    "scaledobject": {
        "cooldownPeriod:": "For the step to zero only.",
        "fallback:": "Prometheus is away: what there is stays.",
        "- type: prometheus": "One figure for all pods, divided by what one may have.",
        "ignoreNullValues:": "Else a Prometheus that lost its targets reads as an idle endpoint.",
    },
}


def render(manifests: Sequence[Manifest], name: str) -> dict[str, str]:
    """File name -> text, the index for `kubectl apply -k` last."""
    files = {f"{role_of(each, name)}.yaml": _text(each, role_of(each, name)) for each in manifests}
    assert len(files) == len(manifests), "two objects with one file name"
    return {**files, _INDEX: _index(list(files), name)}


def _text(manifest: Manifest, role: str) -> str:
    words = _WORDS.get(role) or _WORDS.get(role.partition("-")[0], "")
    head = "".join(f"# {line}\n" for line in textwrap.wrap(words, _WIDTH))
    return head + _annotated(_dump(manifest), _NOTES.get(role, {}))


def _annotated(text: str, notes: Mapping[str, str]) -> str:
    """The text with each note above the first line that it is about."""
    waiting, lines = dict(notes), []
    for line in text.splitlines():
        found = next((begin for begin in waiting if line.lstrip().startswith(begin)), None)
        if found is not None:
            indent = " " * (len(line) - len(line.lstrip()))
            lines.append(f"{indent}# {waiting.pop(found)}")
        lines.append(line)
    return "\n".join(lines) + "\n"


def _index(files: Sequence[str], name: str) -> str:
    head = (
        f"{MARK}; rendering again replaces these files. Put your own changes into an overlay that has\n"
        f"# this folder as a resource. Apply: kubectl apply --server-side -k . ({name})\n"
    )
    return head + _dump(
        {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(files)}
    )


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, lists indented below their key, nothing shared by anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _as_block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _as_block)


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True)


def write(files: Mapping[str, str], folder: Path) -> None:
    """Put the files into `folder`, each whole or not at all; those of an earlier rendering that are none any more go.

    Refused where the folder holds something, and this command did not write it.
    """
    before = _rendered_before(folder)
    with full_disk_refused(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            _replace(folder / name, text)
    for name in before - files.keys():
        (folder / name).unlink(missing_ok=True)


def _rendered_before(folder: Path) -> set[str]:
    """The files that an earlier rendering listed."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return set()
    index = folder / _INDEX
    text = index.read_text(encoding="utf-8") if folder.is_dir() and index.is_file() else ""
    if not text.startswith(MARK):
        raise Refused(
            f"{folder} is no folder that `takeover render` wrote",
            why="It would mix with what is there, and the next rendering would remove files of others.",
            fix="Name a folder that is empty or does not exist.",
            where="--out",
        )
    return set(_plain_names(yaml.safe_load(text)["resources"]))


def _plain_names(listed: Sequence[object]) -> Iterator[str]:
    """What is a file of this folder, should somebody have edited the index."""
    for name in listed:
        if isinstance(name, str) and name == os.path.basename(name) and name.endswith(".yaml"):  # noqa: PTH119
            yield name


def _replace(path: Path, text: str) -> None:
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(made).chmod(0o644)
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise
