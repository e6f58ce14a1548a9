"""Every manifest of each endpoint: the whole list against a snapshot, the published schemas, and what must be absent.

After a change that is meant: TAKEOVER_REWRITE=1 pytest tests/kubernetes; git then shows what changed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kube_servings import BASE, GIVEN, NAME, Given, trained

from takeover.errors import Refusals
from takeover.kubernetes import manifests, url
from takeover.kubernetes.render import render
from takeover.kubernetes.words import role_of

SNAPSHOTS = Path(__file__).parent / "snapshots"
REWRITE = os.environ.get("TAKEOVER_REWRITE") == "1"
NO_SCHEMA = {
    "ScaledObject", "PodMonitor", "PrometheusRule", "ExternalSecret", "InferencePool", "HTTPRoute", "LeaderWorkerSet",
}  # fmt: skip
# Long texts that have tests of their own.
TEXTS = {"fetch_adapter.py", f"{NAME}.json"}

Object = dict[str, Any]


def everything() -> Iterator[tuple[str, Object]]:
    for name, given in GIVEN.items():
        for each in manifests(given.serving()):
            yield f"{name}: {role_of(each, NAME)}", each


ALL = dict(everything())


def one(kind: str, given: Given = GIVEN["minimal"]) -> Object:
    """The only object of its kind."""
    [found] = [each for each in manifests(given.serving()) if each["kind"] == kind]
    return found


def pod(given: Given = GIVEN["minimal"]) -> Object:
    spec: Object = one("Deployment", given)["spec"]["template"]["spec"]
    return spec


def engine_of(given: Given = GIVEN["minimal"]) -> Object:
    container: Object = pod(given)["containers"][0]
    return container


def shortened(each: Object) -> Object:
    data = each.get("data")
    return each if data is None else {**each, "data": {k: "..." if k in TEXTS else v for k, v in data.items()}}


@pytest.mark.parametrize("name", GIVEN)
def test_the_whole_list_is_the_snapshot_s(name: str) -> None:
    given = GIVEN[name]
    found = render([shortened(each) for each in manifests(given.serving())], NAME)
    text = "".join(f"---\n# {file}\n{content}" for file, content in found.items())
    snapshot = SNAPSHOTS / f"{name}.yaml"
    if REWRITE:
        snapshot.write_text(text, encoding="utf-8")
    assert text == snapshot.read_text(encoding="utf-8")


@pytest.mark.parametrize("version", ["1.30", "1.34"])
def test_every_object_is_one_of_the_published_schemas(version: str) -> None:
    for each in ALL.values():
        if each["kind"] not in NO_SCHEMA:
            kubernetes_validate.validate(each, version, strict=True)


def test_names_are_labels_of_dns_and_no_two_objects_share_one() -> None:
    for name, given in GIVEN.items():
        found = [(each["kind"], each["metadata"]["name"]) for each in manifests(given.serving())]
        assert len(set(found)) == len(found), name
        assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", each) for _, each in found)


def pod_specs(each: Object) -> Iterator[Object]:
    spec = each.get("spec", {})
    group = spec.get("leaderWorkerTemplate", {})
    for template in (spec.get("template"), group.get("leaderTemplate"), group.get("workerTemplate")):
        if template:
            yield template["spec"]


PODS = [(name, spec) for name, each in ALL.items() for spec in pod_specs(each)]
CONTAINERS = [
    (f"{name}, {each['name']}", each)
    for name, spec in PODS
    for each in (*spec.get("initContainers", ()), *spec["containers"])
]


@dataclass(frozen=True)
class Absent:
    """Something that no container (or pod) may have; `found` says whether this one does."""

    id: str
    found: Callable[[Object], object]


IN_CONTAINERS = (
    Absent("an image without a digest", lambda each: not re.search(r"@sha256:[0-9a-f]{64}$", each["image"])),
    Absent("a root that can be written to", lambda each: not each["securityContext"]["readOnlyRootFilesystem"]),
    Absent("a way to more rights", lambda each: each["securityContext"]["allowPrivilegeEscalation"]),
    Absent("a capability", lambda each: each["securityContext"]["capabilities"] != {"drop": ["ALL"]}),
    Absent("no bound on its memory", lambda each: "memory" not in each["resources"]["limits"]),
    Absent("a bound on its processor", lambda each: "cpu" in each["resources"]["limits"]),
    Absent("a secret's value", lambda each: [e for e in each.get("env", ()) if "KEY" in e["name"] and "value" in e]),
    Absent(
        "runtime loading of adapters, or the developer's mode",
        lambda each: [e for e in each.get("env", ()) if "RUNTIME_LORA" in e["name"] or "DEV_MODE" in e["name"]],
    ),
    Absent(
        "a late first look of liveness", lambda each: each.get("livenessProbe", {}).get("initialDelaySeconds", 0) > 10
    ),
    Absent("an engine that listens outside of the pod", lambda each: "0.0.0.0" in each.get("command", ())),
)
IN_PODS = (
    Absent("links to services", lambda spec: spec["enableServiceLinks"] is not False),
    Absent("a user that may be root", lambda spec: not spec["securityContext"]["runAsNonRoot"]),
    Absent("no seccomp profile", lambda spec: spec["securityContext"]["seccompProfile"] != {"type": "RuntimeDefault"}),
    Absent("the host's network, disk or processes", lambda spec: any(key.startswith("host") for key in spec)),
    Absent("a volume of the host", lambda spec: [v for v in spec["volumes"] if "hostPath" in v]),
    Absent("a scratch volume without a limit", lambda spec: [v for v in spec["volumes"] if v.get("emptyDir") == {}]),
)


@pytest.mark.parametrize("absent", IN_CONTAINERS, ids=lambda absent: absent.id)
def test_no_container_has(absent: Absent) -> None:
    assert [name for name, each in CONTAINERS if absent.found(each)] == []


@pytest.mark.parametrize("absent", IN_PODS, ids=lambda absent: absent.id)
def test_no_pod_has(absent: Absent) -> None:
    assert [name for name, spec in PODS if absent.found(spec)] == []


def test_only_the_endpoint_picker_has_a_token_of_the_api_server() -> None:
    assert {name for name, spec in PODS if spec["automountServiceAccountToken"]} == {"scale-to-zero: deployment-picker"}
    accounts = [each for each in ALL.values() if each["kind"] == "ServiceAccount"]
    assert {each["automountServiceAccountToken"] for each in accounts} == {False}


def test_no_manifest_is_a_secret_and_none_makes_rights_over_the_cluster() -> None:
    assert {each["kind"] for each in ALL.values()} & {"Secret", "ClusterRole", "ClusterRoleBinding"} == set()
    verbs = {verb for each in ALL.values() for rule in each.get("rules", ()) for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch"}


def test_no_service_is_called_vllm_or_open_to_the_world() -> None:
    services = [each for each in ALL.values() if each["kind"] == "Service"]
    assert {each["spec"]["type"] for each in services} == {"ClusterIP"}
    assert [each for each in services if "vllm" in each["metadata"]["name"]] == []
    # A name is looked up in containers only by some controllers (AWS's for load balancers), and nginx is a sidecar.
    assert all(isinstance(port["targetPort"], int) for each in services for port in each["spec"]["ports"])


def test_the_pod_s_end_is_in_order_and_fits_into_its_grace() -> None:
    given = replace(GIVEN["minimal"], options={"monitoring": "none", "drainSeconds": 200, "requestTimeoutSeconds": 900})
    spec, engine = pod(given), engine_of(given)
    wait = engine["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert "--shutdown-timeout=200" in engine["command"]
    assert spec["terminationGracePeriodSeconds"] > wait + 200
    # nginx is a sidecar, so it ends after the engine, and its callers' connections are over before SIGTERM.
    gate = spec["initContainers"][-1]
    assert (gate["name"], gate["restartPolicy"]) == ("gate", "Always")
    kept = re.findall(r"keepalive_time(?:out)? (\d+)s;", gate_text(given))
    assert len(kept) == 2
    assert sum(map(int, kept)) < wait


def gate_text(given: Given) -> str:
    [text] = [each["data"]["gate.conf"] for each in manifests(given.serving()) if "gate.conf" in each.get("data", {})]
    return str(text)


def test_nothing_kills_or_calls_a_pod_while_it_loads() -> None:
    engine = engine_of(replace(GIVEN["minimal"], options={"monitoring": "none", "startupTimeoutSeconds": 3605}))
    start, alive = engine["startupProbe"], engine["livenessProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 3605
    assert "initialDelaySeconds" not in alive
    assert alive["failureThreshold"] * alive["periodSeconds"] >= 60


@dataclass(frozen=True)
class Change:
    id: str
    before: Given
    after: Given
    is_rollout: bool


MINIMAL = GIVEN["minimal"]
CHANGES = (
    Change("another version of the adapter", MINIMAL, replace(MINIMAL, models=(trained(version=2),)), True),
    Change("one adapter more", MINIMAL, replace(MINIMAL, models=(trained(), trained("legal"))), True),
    Change(
        "another gate", MINIMAL, replace(MINIMAL, options={"monitoring": "none", "requestTimeoutSeconds": 300}), True
    ),
    Change("another number of replicas", MINIMAL, replace(MINIMAL, replicas=(3, 3)), False),
    Change("alerts", MINIMAL, replace(MINIMAL, options={}), False),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.id)
def test_what_is_a_rollout_and_what_is_not(change: Change) -> None:
    before, after = one("Deployment", change.before), one("Deployment", change.after)
    assert (before["spec"]["template"] != after["spec"]["template"]) == change.is_rollout
    assert before["spec"]["selector"] == after["spec"]["selector"]


def test_the_template_carries_the_whole_digests_and_the_engine_gets_them_by_their_place() -> None:
    given = GIVEN["several-adapters"]
    template = one("Deployment", given)["spec"]["template"]
    digests = [model.digest for model in given.models]
    assert template["metadata"]["annotations"]["takeover.dev/digests"].split(",") == digests
    command = engine_of(given)["command"]
    modules = [json.loads(part) for part in command if part.startswith("{")]
    assert modules == [
        {"name": model.served_name, "path": f"/adapters/{model.digest[7:]}", "base_model_name": BASE}
        for model in given.models
    ]
    assert "--max-lora-rank=64" in command
    assert "--max-loras=2" in command


def test_config_maps_are_named_by_their_content_and_never_change() -> None:
    mounted = [
        each for each in ALL.values() if each["kind"] == "ConfigMap" and "dashboard" not in each["metadata"]["name"]
    ]
    assert {each["immutable"] for each in mounted} == {True}
    names = {json.dumps(each["data"], sort_keys=True): each["metadata"]["name"] for each in mounted}
    assert len(set(names.values())) == len(names)


@pytest.mark.parametrize(
    ("spare", "want"), [(False, {"maxSurge": 0, "maxUnavailable": 1}), (True, {"maxSurge": 1, "maxUnavailable": 0})]
)
def test_a_rollout_waits_for_no_gpu_that_is_not_there(spare: bool, want: Mapping[str, int]) -> None:
    given = replace(MINIMAL, options={"monitoring": "none", "spareGpu": spare})
    assert one("Deployment", given)["spec"]["strategy"]["rollingUpdate"] == want


def test_the_budget_lets_a_node_go_even_with_one_replica() -> None:
    assert one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert "minAvailable" not in one("PodDisruptionBudget")["spec"]


def triggers(given: Given) -> dict[str, Object]:
    return {each["name"]: each["metadata"] for each in one("ScaledObject", given)["spec"]["triggers"]}


def test_keda_asks_for_one_figure_by_the_engine_s_own_label_and_minds_an_empty_answer() -> None:
    found = triggers(GIVEN["full"])
    assert set(found) == {"queue", "kv-cache"}
    assert all(re.match(r"sum\(vllm:[a-z_]+\{", each["query"]) for each in found.values())
    assert all(f'namespace="llm",model_name="{BASE}"' in each["query"] for each in found.values())
    assert {each["ignoreNullValues"] for each in found.values()} == {"false"}
    assert all("vector" not in each["query"] for each in found.values())
    assert one("ScaledObject", GIVEN["full"])["spec"]["fallback"] == {
        "failureThreshold": 3,
        "replicas": 2,
        "behavior": "currentReplicasIfHigher",
    }


def test_zero_wakes_by_what_there_is_without_a_pod_and_only_there_no_pod_is_no_error() -> None:
    found = triggers(GIVEN["scale-to-zero"])
    assert found["wake"]["query"] == f'sum(llm_d_epp_flow_control_queue_size{{inference_pool="{NAME}"}}) or vector(0)'
    assert all(each["query"].endswith(" or vector(0)") for each in found.values())
    # Prometheus reads it of the picker, which is there when no pod is.
    [monitor] = [each for key, each in ALL.items() if key == "scale-to-zero: podmonitor-picker"]
    [picker] = [each for key, each in ALL.items() if key == "scale-to-zero: deployment-picker"]
    template = picker["spec"]["template"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert {each["port"] for each in monitor["spec"]["podMetricsEndpoints"]} <= {
        port["name"] for port in template["spec"]["containers"][0]["ports"]
    }
    spec = one("ScaledObject", GIVEN["scale-to-zero"])["spec"]
    assert (spec["minReplicaCount"], spec["fallback"]["replicas"]) == (0, 1)


@pytest.mark.parametrize("name", ["full", "several-adapters", "scale-to-zero"])
def test_a_scaler_s_replicas_are_not_set_back_by_the_next_change(name: str) -> None:
    [workload] = [each for key, each in ALL.items() if key == f"{name}: deployment"]
    assert "replicas" not in workload["spec"]


def ports(rules: list[Object]) -> list[tuple[int, bool]]:
    """Each port with whether everybody may."""
    return [(port["port"], not (rule.get("from") or rule.get("to"))) for rule in rules for port in rule["ports"]]


def test_the_walls() -> None:
    policy = one("NetworkPolicy")["spec"]
    assert ports(policy["ingress"]) == [(8080, True), (8081, False)]
    assert ports(policy["egress"]) == [(53, True), (53, True), (443, False)]
    [block] = policy["egress"][1]["to"]
    assert block == {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}
    private = one("NetworkPolicy", GIVEN["private-network"])["spec"]
    assert ports(private["ingress"]) == [(8080, False), (8081, False)]
    assert ports(private["egress"]) == [(53, True), (53, True), (443, False), (8081, False), (80, False)]


def test_behind_a_gateway_only_the_gateway_and_its_picker_reach_the_pool_s_port() -> None:
    [policy] = [each for key, each in ALL.items() if key == "scale-to-zero: networkpolicy"]
    assert ports(policy["spec"]["ingress"]) == [(8082, False), (8081, False)]
    [route] = [each for key, each in ALL.items() if key == "scale-to-zero: httproute"]
    [rule] = route["spec"]["rules"]
    assert [match["path"]["value"] for match in rule["matches"]] == [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/models",
    ]


def test_sglang_gets_the_adapters_from_the_start_and_its_base_a_name_without_a_colon() -> None:
    command = engine_of(GIVEN["sglang"])["command"]
    model = trained()
    assert command[-2:] == ["--lora-paths", f"{model.served_name}=/adapters/{model.digest[7:]}"]
    assert command[command.index("--served-model-name") + 1] == "meta-llama/Llama-3.1-8B-Instruct"
    assert "--api-key=$(TAKEOVER_API_KEY)" in command


def test_a_base_over_two_nodes_is_one_group_whose_worker_answers_nobody() -> None:
    group = one("LeaderWorkerSet", GIVEN["multi-node"])["spec"]["leaderWorkerTemplate"]
    leader, worker = (group[role]["spec"]["containers"][0]["command"] for role in ("leaderTemplate", "workerTemplate"))
    assert worker == [*leader, "--headless"]
    assert {"--tensor-parallel-size=8", "--pipeline-parallel-size=2", "--nnodes=2"} <= set(leader)
    labels = group["workerTemplate"]["metadata"]["labels"]
    service = one("Service", GIVEN["multi-node"])["spec"]["selector"]
    assert not service.items() <= labels.items()
    assert service.items() <= group["leaderTemplate"]["metadata"]["labels"].items()
    # A worker that is drained takes its group along, so the budget counts it, and the walls are around it too.
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        assert one(kind, GIVEN["multi-node"])["spec"][key]["matchLabels"].items() <= labels.items()


def test_addresses() -> None:
    assert url(MINIMAL.serving()) == f"http://{NAME}-pods.{NAME}.svc.cluster.local:8080/v1"
    assert url(GIVEN["full"].serving()) == "https://llm.example.com/v1"
    assert url(GIVEN["private-network"].serving()) == "https://llm.internal/v1"


def test_what_pods_cannot_fetch_is_refused_all_at_once() -> None:
    other = trained("other").model_copy(update={"base": f"hub:acme/other@{'1' * 40}"})
    with pytest.raises(Refusals) as refused:
        replace(MINIMAL, models=(trained(source=""), other)).serving()
    assert [mistake.happened for mistake in refused.value.mistakes] == [
        f"{trained().served_name} is a folder on this machine",
        f"{other.served_name} was trained on hub:acme/other@{'1' * 40}, not on {BASE}",
    ]


def test_snapshots_are_of_what_there_is() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.yaml")} == set(GIVEN)
    assert all(list(yaml.safe_load_all(path.read_text())) for path in SNAPSHOTS.glob("*.yaml"))
