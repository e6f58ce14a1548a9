"""A real Kubernetes control plane on the loopback: etcd, API server (RBAC), controllers, scheduler, kwok as kubelets.

Everything lies in one folder, listens on free ports of 127.0.0.1 and ends with the context; nothing runs in the pods.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import yaml
from cluster_binaries import program
from cluster_certificates import make_certificates
from kube_http import Kube

__all__ = ["ADMIN", "LIMITED", "WRONG_DIGEST", "ControlPlane", "Processes", "free_port", "own_address", "wait_for"]

# Tokens of a control plane that lives for one test run on the loopback.
ADMIN = "admin-token-of-a-test-run"
LIMITED = "limited-token-of-a-test-run"
READY_S = 60.0
# An adapter that every init container finds to be another one than was asked for (stages.yaml).
WRONG_DIGEST = f"sha256:{'bad0' * 16}"
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def own_address() -> str:
    """This machine's address other than the loopback, which the API server proxies to nobody at; else 10.0.0.1."""
    import psutil

    addresses = (
        each.address for card in psutil.net_if_addrs().values() for each in card if each.family == socket.AF_INET
    )
    return next((address for address in addresses if not address.startswith(("127.", "169.254."))), "10.0.0.1")


def wait_for(what: str, look: Callable[[], T | None], limit_s: float = READY_S) -> T:
    """What `look` finds, asked five times a second; AssertionError, naming `what`, when the limit is over."""
    until = time.monotonic() + limit_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"waited {limit_s:g} s in vain for {what}")
        time.sleep(0.2)


class Processes:
    """Processes that end together; each writes `<folder>/<name>.log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], *, environment: Mapping[str, str] | None = None) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def require_alive(self) -> None:
        for name, process in self.running.items():
            if process.poll() is not None:
                last = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
                raise AssertionError(f"{name} ended with {process.returncode}: " + "\n".join(last))

    def stop(self, name: str) -> None:
        """End one, hard."""
        process = self.running.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)

    def stop_all(self) -> None:
        for name in reversed(list(self.running)):
            self.stop(name)


class ControlPlane:
    """`kube` is the administrator's client, `kubeconfig` a file with the contexts `admin` and `limited`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.certificates = folder / "certificates"
        self.processes = Processes(folder)
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.kube = Kube(self.url, ADMIN, self.certificates / "ca.crt")
        self.limited = Kube(self.url, LIMITED, self.certificates / "ca.crt")
        self.kubeconfig = folder / "kubeconfig"

    def __enter__(self) -> ControlPlane:
        try:
            self._start()
        except BaseException:
            self.processes.stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.processes.stop_all()

    def _start(self) -> None:
        make_certificates(self.certificates, ("server", "front-proxy", "keda", "keda-adapter"))
        (self.folder / "tokens.csv").write_text(
            f'{ADMIN},admin,1,"system:masters"\n{LIMITED},limited,2,"takeover:limited"\n'
        )
        self.kubeconfig.write_text(yaml.safe_dump(self._kubeconfig()))
        etcd = self._start_etcd()
        self.processes.start("kube-apiserver", self._api_server(etcd))
        wait_for("the API server", self._is_ready)
        own = ["--kubeconfig", str(self.kubeconfig), "--leader-elect=false", "--secure-port=0"]
        accounts = f"--service-account-private-key-file={self.certificates}/accounts.key"
        controllers = [str(program("kube-controller-manager")), *own, accounts, f"--root-ca-file={self.kube.authority}"]
        # As quick as a test wants it: autoscalers look every second, and nodes need no heartbeat.
        times = ("sync-period", "downscale-stabilization", "cpu-initialization-period", "initial-readiness-delay")
        controllers += [f"--horizontal-pod-autoscaler-{time}=1s" for time in times]
        controllers += ["--node-monitor-grace-period=24h"]
        self.processes.start("kube-controller-manager", controllers)
        self.processes.start("kube-scheduler", [str(program("kube-scheduler")), *own])
        self._start_kwok()
        wait_for(
            "the default service account", lambda: self.kube.get("/api/v1/namespaces/default/serviceaccounts/default")
        )
        self.processes.require_alive()

    def _start_etcd(self) -> str:
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        flags = {
            "data-dir": str(self.folder / "etcd"),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
        }
        self.processes.start(
            "etcd", [str(program("etcd")), "--unsafe-no-fsync", *(f"--{k}={v}" for k, v in flags.items())]
        )
        return client

    def _api_server(self, etcd: str) -> list[str]:
        keys = self.certificates
        flags = {
            "etcd-servers": etcd,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": str(self.port),
            "tls-cert-file": f"{keys}/server.crt",
            "tls-private-key-file": f"{keys}/server.key",
            "token-auth-file": str(self.folder / "tokens.csv"),
            "authorization-mode": "RBAC",
            "anonymous-auth": "false",
            "service-cluster-ip-range": "10.96.0.0/16",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": f"{keys}/accounts.key",
            "service-account-signing-key-file": f"{keys}/accounts.key",
            # The aggregation layer, by which KEDA's metrics adapter is reached.
            "requestheader-client-ca-file": f"{keys}/ca.crt",
            "requestheader-allowed-names": "front-proxy",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-username-headers": "X-Remote-User",
            "proxy-client-cert-file": f"{keys}/front-proxy.crt",
            "proxy-client-key-file": f"{keys}/front-proxy.key",
        }
        return [str(program("kube-apiserver")), *(f"--{name}={value}" for name, value in flags.items())]

    def _is_ready(self) -> bool:
        import httpx
        from kube_http import Answered

        self.processes.require_alive()
        try:
            self.kube.call("GET", "/readyz")
        except (httpx.HTTPError, Answered):
            return False
        return True

    def _start_kwok(self) -> None:
        stages = (Path(__file__).parent / "stages.yaml").read_text().replace("POD_IP", own_address())
        stages = stages.replace("WRONG_DIGEST", WRONG_DIGEST)
        (self.folder / "stages.yaml").write_text(stages)
        flags = [
            "--manage-all-nodes=true",
            "--config",
            str(self.folder / "stages.yaml"),
            "--kubeconfig",
            str(self.kubeconfig),
        ]
        self.processes.start("kwok", [str(program("kwok")), *flags], environment={"HOME": str(self.folder)})

    def _kubeconfig(self) -> dict[str, Any]:
        cluster = {"server": self.url, "certificate-authority": str(self.kube.authority)}
        contexts = [
            {"name": name, "context": {"cluster": "test", "user": name, "namespace": "default"}}
            for name in ("admin", "limited")
        ]
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": ADMIN}}, {"name": "limited", "user": {"token": LIMITED}}],
            "contexts": contexts,
            "current-context": "admin",
        }

    def add_node(self, name: str, zone: str, gpu: str = "NVIDIA-L40S") -> None:
        """A node with one GPU and its taint, as a node group makes it."""
        room = {"cpu": "16", "memory": "64Gi", "pods": "30", "ephemeral-storage": "200Gi", "nvidia.com/gpu": "1"}
        labels = {
            "kubernetes.io/hostname": name,
            "topology.kubernetes.io/zone": zone,
            "node.kubernetes.io/instance-type": "g6e.2xlarge",
            "nvidia.com/gpu.product": gpu,
            "nvidia.com/gpu.present": "true",
        }
        self.kube.call("POST", "/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]},
            "status": {"capacity": room, "allocatable": room},
        })  # fmt: skip
        wait_for(f"the node {name}", lambda: _is_ready(self.kube.get(f"/api/v1/nodes/{name}")))

    def install_definitions(self, files: list[Path]) -> None:
        """Custom resources' definitions; returns when they are served."""
        documents = [each for file in files for each in yaml.safe_load_all(file.read_text()) if each]
        for document in documents:
            self.kube.apply(document)
        for name in (document["metadata"]["name"] for document in documents):
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
            wait_for(name, lambda path=path: _is_established(self.kube.get(path)))


def _conditions(found: Mapping[str, Any] | None) -> dict[str, str]:
    return {each["type"]: each["status"] for each in ((found or {}).get("status") or {}).get("conditions") or []}


def _is_ready(node: Mapping[str, Any] | None) -> bool:
    return _conditions(node).get("Ready") == "True"


def _is_established(definition: Mapping[str, Any] | None) -> bool:
    return _conditions(definition).get("Established") == "True"
