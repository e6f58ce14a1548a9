"""What the tiers that are billed by the machine and the hour cost, by prices made up for the test."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from takeover.planning import Plan, plan, plan_of_cluster
from takeover.planning._aws import cluster_hourly_usd, cluster_plan, eks_plan, sagemaker_plan
from takeover.planning._kubernetes import kubernetes_plan
from takeover.planning.prices import Prices, parse_prices
from takeover.settings._eks import EksOptions
from takeover.settings._kubernetes import KubernetesOptions
from takeover.settings._models import Hosting, Workload
from takeover.settings._sagemaker import SageMakerOptions
from takeover.settings._settings import Settings
from takeover.tiers import Tier, tier

MONTH = 730


def prices() -> Prices:
    def table(product: str, unit: str, prices: dict[str, str]) -> dict[str, object]:
        return {"product": product, "region": "all", "unit": unit, "as_of": "2026-01-01", "source": "made up"} | {
            "prices": prices
        }

    hourly = {"alb-hour": "0.02", "alb-lcu-hour": "0.01", "nat-gateway-hour": "0.04", "public-ipv4-hour": "0.01"}
    return parse_prices(
        {
            "table": [
                table("ec2", "usd_per_hour", {"g6e.2xlarge": "2", "g5.12xlarge": "8", "m7i.large": "0.1"}),
                table("sagemaker-hosting", "usd_per_hour", {"ml.g6e.2xlarge": "3"}),
                table("eks", "usd_per_hour", {"cluster-standard-support": "0.1"}),
                table("network", "usd_per_hour", hourly),
                table("storage", "usd_per_gb_month", {"ebs-gp3": "0.073"}),
            ]
        }
    )


def settings(hosting: Hosting, *options: BaseModel, workload: Workload | None = None) -> Settings:
    """Made of its parts, past the rules on what they say together, which are others' and tested there."""
    keys = {SageMakerOptions: "sagemaker", EksOptions: "eks", KubernetesOptions: "kubernetes"}
    parts = {keys[type(each)]: each for each in options}
    return Settings(stack="prod", hosting=hosting, adapter_sources=(), workload=workload, **parts)


def hosting(least: int, most: int) -> Hosting:
    said = {"environment": "staging", "provider": "any", "coldStartTolerance": "high"}
    return Hosting.model_validate(said | {"minReplicas": least, "maxReplicas": most})


def sagemaker(**keys: str) -> SageMakerOptions:
    return SageMakerOptions.model_validate({"region": "us-east-1"} | keys)


def kubernetes(**keys: object) -> KubernetesOptions:
    return KubernetesOptions.model_validate(keys)


def eks(**keys: object) -> EksOptions:
    said = {"region": "us-east-1", "zones": ["us-east-1a", "us-east-1b"], "disk": {"sizeGib": 100}}
    return EksOptions.model_validate(said | keys)


WORKLOAD = Workload.model_validate({"requestsPerDay": 1000, "tokensPerRequest": 1000, "pattern": "diurnal"})
SAGEMAKER, EKS, KUBERNETES = tier("sagemaker"), tier("dedicated-vllm", "eks"), tier("dedicated-vllm", "kubernetes")


def test_a_sagemaker_endpoint_costs_its_instances_whether_or_not_anybody_asks() -> None:
    options = sagemaker()
    stack = settings(hosting(2, 4), options, workload=WORKLOAD)
    assert sagemaker_plan(stack, SAGEMAKER, options, prices()) == Plan(
        monthly_usd=6.0 * MONTH,
        floor_usd=6.0 * MONTH,
        ceiling_usd=12.0 * MONTH,
        per_million_tokens_usd=pytest.approx(6.0 * 24, abs=1e-4),
        sentences=(
            "sagemaker: ml.g6e.2xlarge (1 x L40S) at 3.00 USD an hour; 6.00 USD an hour at no traffic, 12.00 at most;"
            " 4380 to 8760 USD a month, about 4380 as expected.",
            "During an update the old instances and the new ones run, and are billed, side by side.",
        ),
    )


def test_at_zero_replicas_the_busy_hours_of_one_instance_are_expected() -> None:
    options = sagemaker(mode="inference-components")
    found = sagemaker_plan(settings(hosting(0, 1), options, workload=WORKLOAD), SAGEMAKER, options, prices())
    assert (found.floor_usd, found.monthly_usd, found.ceiling_usd) == (0.0, 3.0 * MONTH / 2, 3.0 * MONTH)


def test_an_instance_without_a_price_says_so() -> None:
    options = sagemaker(instanceType="ml.p6-b200.48xlarge")
    found = sagemaker_plan(settings(hosting(1, 1), options), SAGEMAKER, options, prices())
    said = "sagemaker: prices/aws.toml has no price of ml.p6-b200.48xlarge: 0 USD here means that it is not known."
    assert found == Plan(0.0, 0.0, 0.0, 0.0, (said,))


@dataclass(frozen=True)
class Nodes:
    says: str
    least: int  # replicas
    most: int
    type: str
    gpus: int
    min_nodes: int
    floor: float  # USD an hour of machines
    ceiling: float


NODES = (
    Nodes("one node for each replica", 1, 2, "g6e.2xlarge", 1, 0, 2.01, 4.02),
    Nodes("never fewer nodes than the pool keeps", 1, 2, "g6e.2xlarge", 1, 2, 4.02, 4.02),
    Nodes("four replicas of one GPU share a machine of four", 1, 4, "g5.12xlarge", 1, 0, 8.01, 8.01),
    Nodes("two replicas of two GPUs each share it too", 2, 3, "g5.12xlarge", 2, 0, 8.01, 16.02),
)


@pytest.mark.parametrize("case", NODES, ids=lambda case: case.says)
def test_eks_bills_nodes_disks_balancer_and_cluster(case: Nodes) -> None:
    nodes, pods = eks(instanceType=case.type, nodes={"min": case.min_nodes, "max": 3}), kubernetes(gpus=case.gpus)
    stack = settings(hosting(case.least, case.most), nodes, pods)
    found = eks_plan(stack, EKS, pods, nodes, prices())
    # Balancer 0.03; control plane 0.1, two system nodes 0.2, two gateways with an address each 0.1.
    assert cluster_hourly_usd(nodes, prices()) == pytest.approx(0.4)
    beside = 0.03 + 0.4
    assert (found.floor_usd, found.ceiling_usd) == (
        pytest.approx((case.floor + beside) * MONTH, abs=0.01),
        pytest.approx((case.ceiling + beside) * MONTH, abs=0.01),
    )


def test_a_cluster_of_another_stack_is_not_billed_twice_and_spot_is_named() -> None:
    nodes = eks(
        instanceType="g6e.2xlarge",
        nodes={"min": 1, "max": 2},
        clusterStack="organization/project/cluster",
        scheme="none",
        capacityType="SPOT",
    )
    found = eks_plan(settings(hosting(1, 2), nodes, kubernetes()), EKS, kubernetes(), nodes, prices())
    assert found.sentences == (
        "dedicated-vllm/eks: 1 to 2 x g6e.2xlarge (1 x L40S) at 2.00 USD an hour, 100 GiB of disk each;"
        " 2.01 USD an hour at no traffic, 4.02 at most; 1467 to 2935 USD a month;"
        " takeover:workload would say where between.",
        "The cluster itself is on the bill of organization/project/cluster. Traffic out of AWS, logs and S3"
        " come on top.",
        "Spot costs less than these on-demand prices, as it pleases the market, and can be taken back.",
    )


def test_a_cluster_alone_has_the_same_bill_every_hour() -> None:
    assert cluster_plan(eks(role="cluster"), prices()) == Plan(
        0.4 * MONTH,
        0.4 * MONTH,
        0.4 * MONTH,
        0.0,
        (
            "eks: 0.40 USD an hour, 292 a month, for the control plane, its 2 system nodes and the ways out."
            " Traffic out of AWS, logs and S3 come on top.",
        ),
    )


def test_the_cluster_of_one_stack_is_in_its_hour_and_its_unverified_price_is_named() -> None:
    options = (eks(instanceType="g6e.2xlarge", nodes={"min": 1, "max": 1}), kubernetes())
    assert plan(settings(hosting(1, 1), *options), EKS).sentences[1:] == (
        "Of each hour 0.03 for the load balancer and 0.40 for the control plane, its 2 system nodes and the ways out."
        " Traffic out of AWS, logs and S3 come on top.",
        "m7i.large's price, as of 2026-11-25, is not verified.",
    )
    assert plan_of_cluster(eks(role="cluster")).sentences[1:] == (
        "m7i.large's price, as of 2026-11-25, is not verified.",
    )


def test_a_cluster_of_unknown_machines_has_an_unknown_bill() -> None:
    pods = kubernetes(gpu="L40S")
    assert kubernetes_plan(settings(hosting(1, 3), pods), KUBERNETES, pods, prices()) == Plan(
        0.0,
        0.0,
        0.0,
        0.0,
        (
            "dedicated-vllm/kubernetes: 1 to 3 replicas of a pod with 1 x L40S, on the bill of whoever owns the"
            " cluster: 0 USD here means that it is not known.",
            "A node selector node.kubernetes.io/instance-type with an EC2 type would give it a price.",
        ),
    )


def test_a_pod_pays_its_share_of_a_machine_that_the_node_selector_names() -> None:
    pods = kubernetes(gpu="A10G", gpus=2, nodeSelector={"node.kubernetes.io/instance-type": "g5.12xlarge"})
    found = kubernetes_plan(settings(hosting(1, 3), pods), KUBERNETES, pods, prices())
    assert (found.floor_usd, found.ceiling_usd) == (4.0 * MONTH, 12.0 * MONTH)


@pytest.mark.parametrize(
    ("record", "options", "hourly"),
    [
        pytest.param(SAGEMAKER, (sagemaker(),), 2.80, id="sagemaker"),
        pytest.param(
            EKS,
            (eks(instanceType="g6e.2xlarge", clusterStack="a/b/c", scheme="none"), kubernetes()),
            2.24208 + 100 * 0.08 / MONTH,
            id="eks",
        ),
        pytest.param(KUBERNETES, (kubernetes(),), 0.0, id="kubernetes"),
    ],
)
def test_the_rule_of_each_tier_reads_the_recorded_table(
    record: Tier, options: tuple[BaseModel, ...], hourly: float
) -> None:
    assert plan(settings(hosting(1, 1), *options), record).floor_usd == pytest.approx(hourly * MONTH, abs=0.01)
