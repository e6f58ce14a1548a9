"""What EKS adds to the pods and their Ingress, and who imports a cloud's SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fakes.eks_stacks import CERTIFICATE, GIVEN, MINIMAL, ON_SHARED, S3, hosting_args, spec

from components.eks.pods import bucket_folders, platform
from components.eks.vllm import eks_options, serving_on_eks, with_charts
from takeover.errors import Refused
from takeover.kubernetes import manifests
from takeover.settings._eks import EksOptions

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")

ROOT = Path(__file__).parents[2]
ALB = "alb.ingress.kubernetes.io/"


def deployment(said: dict[str, Any]) -> dict[str, Any]:
    args = hosting_args(said, S3[2:], {}, protect=True)
    found = manifests(serving_on_eks(args, eks_options(args)))
    return next(each for each in found if each["kind"] == "Deployment")


@dataclass(frozen=True)
class Stays:
    autoscaler: str
    annotation: tuple[str, str] | None


STAYS = (
    Stays("karpenter", ("karpenter.sh/do-not-disrupt", "true")),
    Stays("cluster-autoscaler", ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false")),
    Stays("none", None),
)


@pytest.mark.parametrize("case", STAYS, ids=lambda case: case.autoscaler)
def test_pods_go_to_their_own_nodes_and_no_autoscaler_moves_them(case: Stays) -> None:
    template = deployment({**MINIMAL, "autoscaler": case.autoscaler, "nodes": {"min": 2, "max": 2}})["spec"]["template"]
    assert template["spec"]["nodeSelector"]["takeover.dev/pool"] == "takeover-prod"
    taint = {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"}
    assert taint in template["spec"]["tolerations"]
    found = [item for item in template["metadata"]["annotations"].items() if "takeover.dev" not in item[0]]
    assert found == [each for each in (case.annotation,) if each]


def annotations(**said: Any) -> dict[str, str]:
    options = EksOptions.model_validate({**MINIMAL, **said})
    given = platform(spec(), (), options, drain_seconds=120).ingress_annotations
    return {key.removeprefix(ALB): value for key, value in given.items()}


def test_the_load_balancer_speaks_tls_and_waits_for_long_answers() -> None:
    found = annotations()
    assert json.loads(found["listen-ports"]) == [{"HTTPS": 443}]
    assert found["certificate-arn"] == CERTIFICATE
    assert found["ssl-policy"].startswith("ELBSecurityPolicy-TLS13-1-2")
    assert "idle_timeout.timeout_seconds=3600" in found["load-balancer-attributes"]
    assert "deregistration_delay.timeout_seconds=120" in found["target-group-attributes"]
    assert (found["scheme"], found["target-type"], found["inbound-cidrs"]) == ("internal", "ip", "10.64.0.0/16")


def test_an_outside_load_balancer_is_open_to_those_named_and_guarded_where_asked_for() -> None:
    firewall = "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/x/0a"
    found = annotations(
        scheme="internet-facing", inboundCidrs=["203.0.113.0/24", "198.51.100.7/32"], wafAclArn=firewall
    )
    assert (found["scheme"], found["inbound-cidrs"]) == ("internet-facing", "203.0.113.0/24,198.51.100.7/32")
    assert found["wafv2-acl-arn"] == firewall


def test_given_subnets_are_named_one_in_each_zone() -> None:
    options = EksOptions.model_validate(GIVEN)
    found = platform(spec(), (), options, drain_seconds=120).ingress_annotations
    assert found[f"{ALB}subnets"] == "subnet-0a,subnet-0c"
    assert "subnets" not in annotations()


def test_without_a_load_balancer_there_is_no_ingress() -> None:
    args = hosting_args(
        {key: MINIMAL[key] for key in ("region", "zones", "instanceType")} | {"scheme": "none"},
        S3[2:],
        {},
        protect=True,
    )
    serving = serving_on_eks(args, eks_options(args))
    assert [each["kind"] for each in manifests(serving) if each["kind"] == "Ingress"] == []
    assert serving.platform.namespace_labels == {}


CHARTS = (
    ({"scaler": "keda", "monitoring": "none"}, 1, 2, ("keda", "kube-prometheus-stack")),
    ({"scaler": "keda", "monitoring": "prometheus-operator"}, 2, 2, ("kube-prometheus-stack",)),
    ({"scaler": "none", "monitoring": "none"}, 1, 2, ()),
)


@pytest.mark.parametrize(("pods", "least", "most", "charts"), CHARTS)
def test_a_new_cluster_gets_what_its_pods_need(
    pods: dict[str, Any], least: int, most: int, charts: tuple[str, ...]
) -> None:
    args = hosting_args(MINIMAL, S3, pods, protect=True)
    asked = replace(args, spec=args.spec.model_copy(update={"min_replicas": least, "max_replicas": most}))
    assert with_charts(eks_options(asked), asked).install == charts


def test_only_pods_with_adapters_in_s3_reach_the_agent_that_gives_them_a_role() -> None:
    options = EksOptions.model_validate(ON_SHARED)
    assert platform(spec(), S3, options, drain_seconds=1).egress == (("169.254.170.23/32", 80),)
    assert platform(spec(), S3[2:], options, drain_seconds=1).egress == ()
    assert bucket_folders(S3) == ("weights/adapters/other", "weights/adapters/tone")


def test_without_its_settings_it_is_refused() -> None:
    args = hosting_args(MINIMAL, S3, {}, protect=True)
    with pytest.raises(Refused, match="takeover:eks is missing"):
        eks_options(type(args)(args.tier, args.models, args.spec))


PROGRAM = """
import json, sys, time
start = time.process_time()
{code}
seconds = time.process_time() - start
print(json.dumps([seconds, sorted({{"pulumi_aws", "pulumi_kubernetes"}} & set(sys.modules))]))
"""


def run_python(code: str) -> tuple[float, list[str]]:
    """CPU seconds of our own, and which SDKs came in, of a process of its own."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(code=code)],
        env=kept,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    seconds, modules = json.loads(done.stdout.splitlines()[-1])
    return seconds, modules


def test_no_other_stack_imports_a_cloud_s_sdk() -> None:
    code = (
        "import components.program, components.local, components.modal, components.dedicated_vllm, components.eks.pods"
    )
    assert run_python(code)[1] == []


def test_the_preview_of_the_full_stack_takes_less_than_two_seconds_of_our_own() -> None:
    code = (
        "sys.path[:0] = ['tests']\n"
        "from fakes.eks_stacks import FULL, S3, serve_run\n"
        "assert len(serve_run(FULL, models=S3, preview=True).made) > 80"
    )
    # The first time of all Python compiles what the SDKs' wheels bring as source only.
    assert any(run_python(code)[0] < 2 for _ in range(3))
