"""The provider of `cluster: kubernetes` against a real API server: the conformance suite's life, and more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_ground import BASE, NAME, free_gpus, quick, require_kinds, trained, wrong
from control_plane import ADMIN, ControlPlane, own_address, wait_for
from fakes.kube_pods import METRICS

from takeover.errors import AuthError, Refused, TakeoverError
from takeover.kubernetes import manifests, names
from takeover.providers._base import Endpoint, EndpointSpec
from takeover.providers._progress import reporting
from takeover.providers.kubernetes import KubernetesProvider

pytestmark = pytest.mark.cluster
ROLE = Path(__file__).parents[2] / "docs" / "kubernetes-role.yaml"
OLD, NEW = trained(version=1), trained(version=2)


def spec(name: str = NAME, **changes: Any) -> EndpointSpec:
    options = {"monitoring": "none", **changes.pop("options", {})}
    return EndpointSpec(name=name, base=BASE, cluster="kubernetes", options=options, **changes)


@dataclass(frozen=True)
class Ground:
    plane: ControlPlane
    provider: KubernetesProvider

    def namespace(self, name: str = NAME) -> dict[str, Any] | None:
        return self.plane.kube.get(f"/api/v1/namespaces/{name}")


@pytest.fixture
def ground(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """An administrator's kubeconfig; every endpoint of these tests is gone afterwards."""
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    monkeypatch.setattr("takeover.providers.kubernetes.manifests", lambda serving: quick(manifests(serving), {}))
    plane.kube.delete(f"/api/v1/namespaces/{NAME}")
    wait_for("the end of the tests before", lambda: plane.kube.get(f"/api/v1/namespaces/{NAME}") is None)
    yield Ground(plane, KubernetesProvider())
    for namespace in (NAME, "shared"):
        if plane.kube.get(f"/api/v1/namespaces/{namespace}"):
            free_gpus(plane, namespace)


async def test_the_life_of_an_endpoint(ground: Ground) -> None:
    assert await ground.provider.find(NAME) is None
    endpoint = await ground.provider.deploy((OLD,), spec())
    assert await ground.provider.deploy((OLD,), spec()) == endpoint
    assert await ground.provider.find(NAME) == endpoint
    told = await ground.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests, told.models, told.replicas, told.hardware, told.base) == (
        True,
        (OLD.digest,),
        (OLD.served_name,),
        1,
        "1 x NVIDIA-L40S (g6e.2xlarge)",
        BASE,
    )
    await ground.provider.destroy(endpoint)
    await ground.provider.destroy(endpoint)
    assert ground.namespace() is None
    assert await ground.provider.find(NAME) is None
    assert await ground.provider.describe(endpoint) is None


async def test_another_version_is_served_and_what_only_the_old_one_had_is_gone(ground: Ground) -> None:
    await ground.provider.deploy((OLD,), spec())
    before = config_maps(ground)
    endpoint = await ground.provider.deploy((NEW,), spec(options={"requestTimeoutSeconds": 300}))
    told = await ground.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests) == (True, (NEW.digest,))
    assert len(config_maps(ground)) == len(before)
    assert config_maps(ground) != before


def config_maps(ground: Ground) -> set[str]:
    found = ground.plane.kube.items(f"/api/v1/namespaces/{NAME}/configmaps", labelSelector="takeover.dev/x!=y")
    return {each["metadata"]["name"] for each in found} - {"kube-root-ca.crt"}


async def test_scale_asks_the_deployment(ground: Ground) -> None:
    endpoint = await ground.provider.deploy((OLD,), spec())
    await ground.provider.scale(endpoint, 2)
    path = f"/apis/apps/v1/namespaces/{NAME}/deployments/{NAME}"
    wait_for("two pods", lambda: ground.plane.kube.call("GET", path)["status"].get("readyReplicas") == 2)
    await ground.provider.scale(endpoint, 0)
    wait_for("no pod", lambda: not ground.plane.kube.call("GET", path)["status"].get("replicas"))
    told = await ground.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.replicas, told.reason) == (True, 0, "at 0 replicas")


async def test_a_wrong_digest_is_told_and_the_old_version_goes_on(ground: Ground) -> None:
    await ground.provider.deploy((OLD,), spec(min_replicas=2, max_replicas=2))
    with pytest.raises(TakeoverError, match="the adapter's digest is another one") as caught:
        await ground.provider.deploy((wrong(),), spec(min_replicas=2, max_replicas=2))
    assert "its init container" in str(caught.value)
    found = await ground.provider.find(NAME)
    assert found is not None
    told = await ground.provider.describe(found)
    assert told is not None
    assert (told.healthy, told.digests, told.replicas) == (False, (OLD.digest,), 1)
    assert "the adapter's digest is another one" in told.reason
    again = await ground.provider.deploy((OLD,), spec(min_replicas=2, max_replicas=2))
    assert again.replicas_ready == 2


async def test_who_may_nothing_is_told_which_verb_on_which_resource(ground: Ground) -> None:
    ground.plane.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shared"}})
    with pytest.raises(AuthError) as caught:
        await ground.provider.deploy((OLD,), spec(options={"context": "limited", "namespace": "shared"}))
    assert "lacks the verb create on secrets in the namespace shared for limited" in str(caught.value)
    assert ground.plane.kube.items("/apis/apps/v1/namespaces/shared/deployments") == []


async def test_every_right_that_is_missing_is_told_at_once_before_anything_is_written(ground: Ground) -> None:
    ground.plane.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shared"}})
    grant(ground.plane, ("secrets", ""), ("configmaps", ""), ("services", ""), ("serviceaccounts", ""))
    with pytest.raises(AuthError) as caught:
        await ground.provider.deploy((OLD,), spec(options={"context": "limited", "namespace": "shared"}))
    lacking = ("networkpolicies.networking.k8s.io", "deployments.apps", "poddisruptionbudgets.policy")
    assert [resource for resource in lacking if f"lacks the verb patch on {resource}" not in str(caught.value)] == []
    assert ground.plane.kube.items("/api/v1/namespaces/shared/services") == []
    unbind(ground.plane, "some")


async def test_the_role_of_the_docs_is_enough(ground: Ground) -> None:
    ground.plane.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shared"}})
    require_kinds(ground.plane, "monitoring.coreos.com/v1", "keda.sh/v1alpha1")
    role = yaml.safe_load(ROLE.read_text().replace("NAMESPACE", "shared"))
    bind(ground.plane, role["metadata"]["name"], role["rules"])
    options = {
        "context": "limited",
        "namespace": "shared",
        "monitoring": "prometheus-operator",
        "prometheus": "http://p:9090",
    }
    provider = ground.provider.knowing((OLD,), spec(max_replicas=2, options=options))
    endpoint = await provider.deploy((OLD,), spec(max_replicas=2, options=options))
    assert await provider.find(NAME) == endpoint
    await provider.scale(endpoint, 2)
    told = await provider.describe(endpoint)
    assert told is not None
    assert (told.digests, told.hardware) == ((OLD.digest,), None)
    with pods_that_answer():
        assert (await provider.get_metrics(endpoint)).requests == 7
    await provider.destroy(endpoint)
    assert await provider.find(NAME) is None
    unbind(ground.plane, role["metadata"]["name"])


async def test_two_deploys_at_once_end_with_one_endpoint(ground: Ground) -> None:
    first, second = await asyncio.gather(*(ground.provider.deploy((OLD,), spec()) for _ in range(2)))
    assert first == second
    found = await ground.provider.find(NAME)
    assert found == first


async def test_a_deploy_waits_for_the_end_of_what_was_destroyed_just_now(ground: Ground) -> None:
    await ground.provider.deploy((OLD,), spec())
    ground.plane.kube.delete(f"/api/v1/namespaces/{NAME}")
    endpoint = await ground.provider.deploy((NEW,), spec())
    told = await ground.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests) == (True, (NEW.digest,))


def grant(plane: ControlPlane, *resources: tuple[str, str]) -> None:
    """Everything on these resources, to the user `limited` in the namespace `shared`."""
    bind(plane, "some", [{"apiGroups": [group], "resources": [each], "verbs": ["*"]} for each, group in resources])


def bind(plane: ControlPlane, role: str, rules: list[dict[str, Any]]) -> None:
    api, name = "rbac.authorization.k8s.io", {"name": role, "namespace": "shared"}
    plane.kube.apply({"apiVersion": f"{api}/v1", "kind": "Role", "metadata": name, "rules": rules})
    plane.kube.apply(
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": name,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": role},
            "subjects": [{"kind": "User", "name": "limited", "apiGroup": api}],
        }
    )


def unbind(plane: ControlPlane, role: str) -> None:
    plane.kube.delete(f"/apis/rbac.authorization.k8s.io/v1/namespaces/shared/rolebindings/{role}")


async def test_a_namespace_of_somebody_else_is_neither_taken_nor_removed(ground: Ground) -> None:
    ground.plane.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}})
    with pytest.raises(Refused, match="exists and was not made for"):
        await ground.provider.deploy((OLD,), spec())
    await ground.provider.destroy(Endpoint(id=NAME, name=NAME, provider="dedicated-vllm", url="", models=()))
    assert ground.namespace() is not None


async def test_in_a_given_namespace_only_what_is_ours_goes(ground: Ground) -> None:
    ground.plane.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shared"}})
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "shared"}}
    ground.plane.kube.apply(other)
    endpoint = await ground.provider.deploy((OLD,), spec(options={"namespace": "shared"}))
    assert endpoint.id == f"shared/{NAME}"
    assert await ground.provider.find(NAME) == endpoint
    await ground.provider.destroy(endpoint)
    left = {each["metadata"]["name"] for each in ground.plane.kube.items("/api/v1/namespaces/shared/configmaps")}
    assert left - {"kube-root-ca.crt"} == {"other"}
    assert ground.namespace("shared") is not None


async def test_another_cluster_than_the_stack_s_is_refused(ground: Ground) -> None:
    with pytest.raises(Refused, match="leads to another cluster"):
        await ground.provider.deploy((OLD,), spec(options={"expectedCluster": "https://elsewhere.example:6443"}))
    assert ground.namespace() is None
    system = ground.namespace("kube-system")
    assert system is not None
    expected = {"expectedCluster": system["metadata"]["uid"]}
    assert await ground.provider.deploy((OLD,), spec(options=expected))


async def test_metrics_come_through_the_api_server_summed(ground: Ground) -> None:
    endpoint = await ground.provider.deploy((OLD,), spec(min_replicas=2, max_replicas=2))
    with pods_that_answer():
        figures = await ground.provider.get_metrics(endpoint)
    assert (figures.requests, figures.queue, figures.replicas) == (14, 4, 2)


class pods_that_answer:  # noqa: N801 a context
    """Every pod's metrics port, on this machine's own address: kwok gives it to all pods."""

    def __enter__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                return

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(METRICS.encode())

        self.server = ThreadingHTTPServer((own_address(), names.METRICS_PORT), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


async def test_no_token_is_in_what_anybody_may_see(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    heard: list[str] = []
    with reporting(lambda step, sentence: heard.append(f"{step} {sentence}")):
        endpoint = await ground.provider.deploy((OLD,), spec())
    assert endpoint.api_key is not None
    seen = "\n".join([repr(endpoint), *heard, caplog.text])
    assert [secret for secret in (ADMIN, endpoint.api_key.get_secret_value()) if secret in seen] == []
