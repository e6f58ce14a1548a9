"""The 26 mistakes that common examples make (shared/facts/cloud-serving.md, part F), as checks on what a stack makes.

A check takes what one stack registers and gives what is wrong with it, in words; nothing where all is well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from takeover.planning.fit import LORA_RANKS

__all__ = ["LATER", "ROWS", "Row", "Stack"]

# Key of the resource -> its inputs under "inputs", its options beside them.
Stack = dict[str, dict[str, Any]]
Words = Iterator[str]


@dataclass(frozen=True)
class Row:
    """`stack` is the example that the check reads; `spoil` puts the mistake back into what it makes."""

    number: int
    mistake: str
    stack: str
    check: Callable[[Stack], Words]
    spoil: Callable[[Stack], object]

    @property
    def id(self) -> str:
        return f"{self.number} {self.mistake}"


def each(stack: Stack, kind: str) -> list[dict[str, Any]]:
    """The resources of a type, by the last part of its token."""
    return [found for key, found in stack.items() if key.split()[0].endswith(f":{kind}")]


def the(stack: Stack, kind: str) -> dict[str, Any]:
    """The inputs of the only resource of a type."""
    (found,) = each(stack, kind)
    inputs: dict[str, Any] = found["inputs"]
    return inputs


def named(stack: Stack, part: str) -> dict[str, Any]:
    """The resource whose name ends so."""
    (found,) = [found for key, found in stack.items() if key.endswith(part)]
    return found


def pod(stack: Stack) -> dict[str, Any]:
    spec: dict[str, Any] = the(stack, "Deployment")["spec"]["template"]["spec"]
    return spec


def engine(stack: Stack) -> dict[str, Any]:
    (found,) = [container for container in pod(stack)["containers"] if container["name"] == "engine"]
    assert isinstance(found, dict)
    return found


def flag(stack: Stack, name: str) -> str | None:
    words = [str(word) for word in engine(stack)["command"]]
    return next((word.partition("=")[2] for word in words if word.startswith(f"--{name}=")), None)


def variant(stack: Stack) -> dict[str, Any]:
    (found,) = the(stack, "EndpointConfiguration")["productionVariants"]
    assert isinstance(found, dict)
    return found


def environment(stack: Stack) -> dict[str, str]:
    found: dict[str, str] = the(stack, "Model")["primaryContainer"]["environment"]
    return found


def alarm(stack: Stack, name: str) -> dict[str, Any]:
    found: dict[str, Any] = named(stack, f"-{name}")["inputs"]
    return found


# SageMaker.


def configuration_names(stack: Stack) -> Words:
    if "name" in the(stack, "EndpointConfiguration"):
        yield "the configuration has a name of its own: an update is not picked up, or the old one goes too early"
    for found in each(stack, "EndpointConfiguration"):
        if found["deleteBeforeReplace"]:
            yield "the configuration in use is deleted before the new one is there"


def ami_version(stack: Stack) -> Words:
    if not str(variant(stack).get("inferenceAmiVersion", "")).startswith("al2023-ami-sagemaker-inference-gpu-4"):
        yield "a CUDA 13 image without the driver for it: the container never starts, and writes no log"


def kms_on_nvme(stack: Stack) -> Words:
    if the(stack, "EndpointConfiguration").get("kmsKeyArn"):
        yield "an instance with disks of its own refuses a key for the volume"


def latency_alarm(stack: Stack) -> Words:
    found = alarm(stack, "latency")
    if found["threshold"] < 1000 * 100:
        yield f"the threshold {found['threshold']} is in milliseconds; SageMaker counts microseconds"
    if "statistic" in found or found.get("extendedStatistic") != "p95":
        yield "p95 needs extendedStatistic, and never statistic beside it"


def latency_of_answers(stack: Stack) -> Words:
    """A goal of a few hundred milliseconds is one for the first token; ModelLatency ends with the whole answer."""
    if alarm(stack, "latency")["metricName"] == "ModelLatency":
        yield "an alarm on whole answers, which no 8B model writes in half a second: it would always ring"


def lora_rank(stack: Stack) -> Words:
    rank, largest = int(environment(stack)["SM_VLLM_MAX_LORA_RANK"]), 4
    if rank not in LORA_RANKS:
        yield f"vLLM has no --max-lora-rank {rank}"
    if rank != next(known for known in LORA_RANKS if known >= largest):
        yield f"--max-lora-rank {rank} for an adapter of rank {largest}"


def old_settings(stack: Stack) -> Words:
    if any("lmi-dist" in str(value) or "ROLLING_BATCH" in name for name, value in environment(stack).items()):
        yield "lmi-dist was removed in LMI v15"


def adapter_files(stack: Stack) -> Words:
    for module in json.loads(environment(stack)["SM_VLLM_LORA_MODULES"]):
        if not module["path"].startswith("/"):
            yield f"{module['path']} is no path of the container: vLLM reads no s3://"
    for found in each(stack, "BucketObjectv2"):
        if found["inputs"]["key"].rpartition("/")[2] not in ("adapter_config.json", "adapter_model.safetensors"):
            yield f"{found['inputs']['key']} is not at the root of the adapter's prefix"


def order_of_scaling(stack: Stack) -> Words:
    """What depends on something is made after it, and so goes before it."""
    (target,), (policy,) = each(stack, "Target"), each(stack, "Policy")
    if not any(name.endswith("-endpoint") for name in target["after"]):
        yield "the scalable target does not wait for the endpoint: it would outlive it"
    if not any(name.endswith("-target") for name in policy["after"]):
        yield "the policy does not wait for its target"


def double_quota(stack: Stack) -> Words:
    said = " ".join(stack["said"]["lines"])
    if "quota of 8 x ml.g6e.2xlarge" not in said:
        yield "blue and green need twice the instances, and nobody says so"


def retained_count(stack: Stack) -> Words:
    least = the(stack, "Target")["minCapacity"]
    if variant(stack)["initialInstanceCount"] < least:
        yield "each update sets the fleet back below its least"


# Inference components: what the native provider sends.


def model_in_variant(stack: Stack) -> Words:
    if "ModelName" in stack["requests"]["configuration"]["ProductionVariants"][0]:
        yield "the variant names a model: the endpoint refuses inference components"


def zero_wakes(stack: Stack) -> Words:
    requests = stack["requests"]
    if requests["step"] is None:
        yield "without a step policy nothing wakes what is at zero"
    if not requests["wake"]:
        yield "no alarm wakes it"
    for wake in requests["wake"]:
        if (wake["ComparisonOperator"], wake["Threshold"]) != ("GreaterThanOrEqualToThreshold", 1.0):
            yield "one lone call does not wake it"
        if wake["AlarmActions"] != ["the policy"]:
            yield "the alarm wakes nobody"


# EKS and its nodes.


def device_plugin(stack: Stack) -> Words:
    plugins = [key for key in stack if key.endswith("Release device-plugin")]
    if len(plugins) != 1:
        yield f"the device plugin is installed {len(plugins)} times on nodes that bring none"
    for group in gpu_groups(stack):
        if group["inputs"]["labels"].get("nvidia.com/gpu.present") != "true":
            yield "the plugin's DaemonSet finds no node: DESIRED 0, without an event"
        if [taint["value"] for taint in group["inputs"]["taints"]] != ["present"]:
            yield "NFD's workers tolerate the value present only"


def gpu_groups(stack: Stack) -> list[dict[str, Any]]:
    return [found for key, found in stack.items() if "NodeGroup" in key and "-gpu-" in key]


def disk_size(stack: Stack) -> Words:
    (disk,) = named(stack, "LaunchTemplate takeover-eks-gpu")["inputs"]["blockDeviceMappings"]
    if disk["ebs"]["volumeSize"] < 100:
        yield f"{disk['ebs']['volumeSize']} GiB hold neither image nor base"
    if disk["ebs"]["throughput"] < 600:
        yield "parallel pulls from a disk slower than 600 MiB/s are slower than plain ones"


def scaling_signals(stack: Stack) -> Words:
    if not [key for key in stack if key.endswith(("Release cluster-autoscaler", "Release karpenter"))]:
        yield "pods are scaled, nodes are not: the second pod stays Pending"
    for trigger in the(stack, "ScaledObject")["spec"]["triggers"]:
        query = trigger["metadata"]["query"]
        if not query.startswith("sum("):
            yield f"{query} gives a figure for each pod; KEDA takes one"
        if "model_name=" not in query or "{model=" in query:
            yield f"{query} asks for a label that vLLM does not have"


def desired_size(stack: Stack) -> Words:
    for group in gpu_groups(stack):
        if "scalingConfig.desiredSize" not in group["ignoreChanges"]:
            yield "each `up` sets the number of nodes back that the autoscaler chose"


def enforced_policy(stack: Stack) -> Words:
    configured = named(stack, "Addon takeover-eks-vpc-cni")["inputs"].get("configurationValues") or {}
    if each(stack, "NetworkPolicy") and configured.get("enableNetworkPolicy") != "true":
        yield "the NetworkPolicy is written, and the CNI does not enforce it"


# Pods.


def probes_and_grace(stack: Stack) -> Words:
    container, spec = engine(stack), pod(stack)
    if "livenessProbe" in container and "startupProbe" not in container:
        yield "a pod that loads its base is killed for not being alive"
    drain = int(flag(stack, "shutdown-timeout") or 0)
    sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if drain == 0:
        yield "vLLM ends at once on SIGTERM: running answers are cut"
    if spec.get("terminationGracePeriodSeconds", 30) <= drain + sleep:
        yield "SIGKILL comes before the drain has ended"


def guarded_paths(stack: Stack) -> Words:
    gate = json.dumps(named(stack, "configmap-gate")["inputs"]["data"])
    words = [str(word) for word in engine(stack)["command"]]
    if words[words.index("--host") + 1] != "127.0.0.1":
        yield "vLLM listens for everybody: its key guards neither /invocations nor /metrics"
    if "/invocations" in gate or "location / { proxy_pass" in " ".join(gate.split()):
        yield "the gate lets through what the key does not guard"


def static_adapters(stack: Stack) -> Words:
    variables = {each["name"]: each.get("value") for each in engine(stack)["env"]}
    if not any(str(word).startswith("--lora-modules") for word in engine(stack)["command"]):
        yield "adapters are loaded later: a pod that restarts has lost them, and says it is healthy"
    if variables.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        yield "whoever reaches the pod can load other adapters"


def service_names(stack: Stack) -> Words:
    if pod(stack).get("enableServiceLinks", True):
        yield "Kubernetes writes every Service into the environment; one called vllm would break vLLM's own VLLM_PORT"
    if the(stack, "Service")["metadata"]["name"] == "vllm":
        yield "a Service called vllm"


def surge(stack: Stack) -> Words:
    rolling = the(stack, "Deployment")["spec"]["strategy"]["rollingUpdate"]
    if rolling != {"maxSurge": 0, "maxUnavailable": 1}:
        yield f"{rolling} waits for a free GPU that there is not"


def patience(stack: Stack) -> Words:
    (found,) = each(stack, "Deployment")
    minutes = int(str(found["timeouts"].get("create", "10m")).removesuffix("m"))
    if minutes < 30:
        yield f"the engine waits {minutes} minutes; node, image and weights take longer"


def put(path: str, value: Any, where: Callable[[Stack], Any]) -> Callable[[Stack], object]:
    """Put a value into what `where` gives."""

    def spoil(stack: Stack) -> None:
        where(stack)[path] = value

    return spoil


def without(path: str, where: Callable[[Stack], Any]) -> Callable[[Stack], object]:
    return lambda stack: where(stack).pop(path)


def instead(old: str, new: str) -> Callable[[Stack], object]:
    """Another word in the engine's command."""

    def spoil(stack: Stack) -> None:
        words = engine(stack)["command"]
        words[:] = [new if str(word).startswith(old) else word for word in words]

    return spoil


def configuration(stack: Stack) -> dict[str, Any]:
    return the(stack, "EndpointConfiguration")


def latency(stack: Stack) -> dict[str, Any]:
    return alarm(stack, "latency")


def rolling_update(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = the(stack, "Deployment")["spec"]["strategy"]
    return found


ROWS = (
    Row(1, "an endpoint configuration with a name", "sagemaker", configuration_names, put("name", "c", configuration)),
    Row(
        2,
        "a model in the variant, and inference components",
        "sagemaker-components",
        model_in_variant,
        lambda s: s["requests"]["configuration"]["ProductionVariants"][0].update(ModelName="m"),
    ),
    Row(3, "no AMI version with CUDA 13", "sagemaker", ami_version, without("inferenceAmiVersion", variant)),
    Row(4, "a KMS key on NVMe", "sagemaker", kms_on_nvme, put("kmsKeyArn", "arn:aws:kms:x", configuration)),
    Row(5, "a threshold in milliseconds", "sagemaker", latency_alarm, put("threshold", 500.0, latency)),
    Row(5, "a percentile with statistic", "sagemaker", latency_alarm, put("statistic", "Average", latency)),
    Row(6, "200 ms for whole answers", "sagemaker", latency_of_answers, put("metricName", "ModelLatency", latency)),
    Row(
        7,
        "zero without a step policy",
        "sagemaker-components",
        zero_wakes,
        lambda s: s["requests"].update(step=None),
    ),
    Row(
        7,
        "an alarm that one call does not ring",
        "sagemaker-components",
        zero_wakes,
        lambda s: s["requests"]["wake"][0].update(ComparisonOperator="GreaterThanThreshold"),
    ),
    Row(8, "a rank that vLLM has not", "sagemaker", lora_rank, put("SM_VLLM_MAX_LORA_RANK", "24", environment)),
    Row(8, "the rank left at 16", "sagemaker", lora_rank, put("SM_VLLM_MAX_LORA_RANK", "16", environment)),
    Row(9, "lmi-dist", "sagemaker", old_settings, put("OPTION_ROLLING_BATCH", "lmi-dist", environment)),
    Row(
        10,
        "s3:// for vLLM",
        "sagemaker",
        adapter_files,
        put("SM_VLLM_LORA_MODULES", '[{"name": "a", "path": "s3://b/a"}]', environment),
    ),
    Row(
        10,
        "an archive with a folder on top",
        "sagemaker",
        adapter_files,
        lambda s: each(s, "BucketObjectv2")[0]["inputs"].update(key="adapters/tone.tar.gz"),
    ),
    Row(
        11,
        "an endpoint that goes before what scales it",
        "sagemaker",
        order_of_scaling,
        lambda s: each(s, "Target")[0].update(after=[]),
    ),
    Row(
        12,
        "a quota for one fleet only",
        "sagemaker",
        double_quota,
        lambda s: s["said"].update(lines=[]),
    ),
    Row(
        13,
        "a fleet set back by each update",
        "sagemaker",
        retained_count,
        lambda s: variant(s).update(initialInstanceCount=1),
    ),
    Row(
        14,
        "a device plugin without nodes",
        "eks",
        device_plugin,
        lambda s: gpu_groups(s)[0]["inputs"]["labels"].pop("nvidia.com/gpu.present"),
    ),
    Row(
        14,
        "a taint that NFD does not tolerate",
        "eks",
        device_plugin,
        lambda s: gpu_groups(s)[0]["inputs"]["taints"][0].update(value="true"),
    ),
    Row(
        15,
        "20 GiB of disk",
        "eks",
        disk_size,
        lambda s: named(s, "LaunchTemplate takeover-eks-gpu")["inputs"]["blockDeviceMappings"][0]["ebs"].update(
            volumeSize=20
        ),
    ),
    Row(
        16,
        "pods scaled without nodes",
        "eks",
        scaling_signals,
        lambda s: [s.pop(key) for key in list(s) if key.endswith("Release cluster-autoscaler")],
    ),
    Row(
        16,
        "a query that is not summed",
        "eks",
        scaling_signals,
        lambda s: the(s, "ScaledObject")["spec"]["triggers"][0]["metadata"].update(
            query='vllm:num_requests_waiting{model_name="m"}'
        ),
    ),
    Row(
        16,
        "a label that vLLM has not",
        "eks",
        scaling_signals,
        lambda s: the(s, "ScaledObject")["spec"]["triggers"][0]["metadata"].update(
            query='sum(vllm:num_requests_waiting{model="m"})'
        ),
    ),
    Row(
        17, "the number of nodes fought over", "eks", desired_size, lambda s: gpu_groups(s)[0].update(ignoreChanges=[])
    ),
    Row(18, "liveness without start-up", "eks", probes_and_grace, without("startupProbe", engine)),
    Row(18, "no drain", "eks", probes_and_grace, instead("--shutdown-timeout", "--shutdown-timeout=0")),
    Row(
        18,
        "30 s of grace",
        "eks",
        probes_and_grace,
        put("terminationGracePeriodSeconds", 30, pod),
    ),
    Row(19, "a key believed to guard everything", "eks", guarded_paths, instead("127.0.0.1", "0.0.0.0")),
    Row(20, "adapters lost on restart", "eks", static_adapters, instead("--lora-modules", "--lora")),
    Row(21, "service links", "eks", service_names, put("enableServiceLinks", True, pod)),
    Row(
        22,
        "a NetworkPolicy that nobody enforces",
        "eks",
        enforced_policy,
        lambda s: named(s, "Addon takeover-eks-vpc-cni")["inputs"].pop("configurationValues"),
    ),
    Row(
        23,
        "a surge with no free GPU",
        "kubernetes",
        surge,
        put("rollingUpdate", {"maxSurge": "25%", "maxUnavailable": "25%"}, rolling_update),
    ),
    Row(
        24,
        "ten minutes for a cold start",
        "kubernetes",
        patience,
        lambda s: each(s, "Deployment")[0].update(timeouts={}),
    ),
)
# Of tiers that are not built yet: 25 Vertex AI, 26 RunPod's proxy, Vast's entrypoint, Lambda's ports.
LATER = (25, 26)
