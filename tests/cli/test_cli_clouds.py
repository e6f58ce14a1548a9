"""`takeover doctor` on AWS and Kubernetes: what it asks, and what it makes of the answers."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.kube_api import FakeKube

from takeover.engine.doctor import CHECKS, Case, Finding, examine, tier_of_stack
from takeover.providers._sagemaker_api import Api
from takeover.tiers import tier

ROOT = Path(__file__).parents[2]
PODS = tier("dedicated-vllm", "kubernetes")
G = "Running On-Demand G and VT instances"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the example stacks."""
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    for path in (ROOT / "examples" / "stacks").glob("Pulumi.*.yaml"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finding(name: str, case: Case) -> Finding:
    (found,) = examine(case, [check for check in CHECKS if check.name == name])
    return found


@dataclass(frozen=True)
class Quota:
    id: str
    quotas: dict[str, float]
    level: str
    said: str


# The stack may have five g6e.2xlarge of 8 vCPUs each.
QUOTAS = [
    Quota(
        "none of a new account", {G: 0.0}, "problem", f"a quota of 0 vCPUs ({G}) in us-east-1: 5 x g6e.2xlarge have 40"
    ),
    Quota("one machine short", {G: 39.0}, "problem", "Ask for 40 or more"),
    Quota("enough", {G: 40.0}, "good", "a quota of 40 vCPUs"),
    Quota("another family's only", {"Running On-Demand P instances": 400.0}, "note", f"does not name {G}"),
]


@pytest.mark.parametrize("quota", QUOTAS, ids=lambda quota: quota.id)
def test_the_quota_of_gpu_machines_is_told_in_vcpus(
    quota: Quota, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(_self: Api, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        assert (service, operation, request["ServiceCode"]) == ("service-quotas", "list_service_quotas", "ec2")
        return {"Quotas": [{"QuotaName": name, "Value": value} for name, value in quota.quotas.items()]}

    monkeypatch.setattr(Api, "_call", call)
    found = finding("quota of GPU machines", tier_of_stack("eks"))
    assert found.level == quota.level
    assert quota.said in f"{found.said} {found.fix}"


def test_whose_credentials_they_are_is_told_with_the_stack_s_region(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(self: Api, service: str, operation: str, _request: dict[str, Any]) -> dict[str, Any]:
        assert (service, operation, self.region) == ("sts", "get_caller_identity", "us-east-1")
        return {"Arn": "arn:aws:iam::123456789012:user/me"}

    monkeypatch.setattr(Api, "_call", call)
    found = finding("AWS account", tier_of_stack("sagemaker"))
    assert (found.level, found.said) == (
        "good",
        "the credentials are arn:aws:iam::123456789012:user/me's, in us-east-1",
    )


def test_a_cluster_is_asked_for_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeKube() as kube:
        monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig(tmp_path)))
        found = finding("Kubernetes cluster", Case())
        assert (found.level, "answers, Kubernetes v1." in found.said) == ("good", True)
        kube.failures.extend([401] * 3)
        assert finding("Kubernetes cluster", Case(None, PODS)).level == "problem"
    assert kube.violations == []


def test_a_stack_on_another_cluster_than_the_kubeconfig_s_is_told(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeKube() as kube:
        monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig(tmp_path)))
        found = finding("Kubernetes cluster", tier_of_stack("kubernetes"))
    assert found.level == "problem"
    assert "203.0.113.10:6443" in f"{found.said} {found.fix}"


def test_without_a_kubeconfig_the_fix_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    found = finding("Kubernetes cluster", Case(None, PODS))
    assert (found.level, bool(found.fix)) == ("problem", True)
