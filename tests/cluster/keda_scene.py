"""KEDA and Prometheus as processes beside the control plane, and an exporter that speaks vLLM's metric names.

The metrics adapter is reached as in a cluster, through the aggregation layer: its APIService points to a Service of the
type ExternalName, which names the loopback.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import httpx
import yaml
from cluster_binaries import program
from control_plane import ControlPlane, Processes, free_port, wait_for

__all__ = ["Exporter", "Keda", "Prometheus"]


class Exporter:
    """`/metrics` with the gauges that are set, each with the labels given at the start."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.gauges: dict[str, float] = {}
        text = ",".join(f'{name}="{value}"' for name, value in labels.items())
        gauges = self.gauges

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lines = [f"# TYPE {name} gauge\n{name}{{{text}}} {value}\n" for name, value in gauges.items()]
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write("".join(lines).encode())

            def log_message(self, *_: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Prometheus:
    """Prometheus, scraping one exporter every second. It can be killed and started anew."""

    def __init__(self, processes: Processes, target: str) -> None:
        self.processes = processes
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "vllm", "honor_labels": True, "static_configs": [{"targets": [target]}]}],
        }
        self.config = processes.folder / "prometheus.yaml"
        self.config.write_text(yaml.safe_dump(config))

    def start(self) -> None:
        command = [
            str(program("prometheus")),
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.processes.folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        self.processes.start("prometheus", command)
        wait_for("Prometheus", self._is_ready)

    def kill(self) -> None:
        self.processes.stop("prometheus")

    def value(self, query: str) -> float | None:
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, trust_env=False)
        found = answer.json()["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def _is_ready(self) -> bool:
        self.processes.require_alive()
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


class Keda:
    """KEDA's operator and metrics adapter, on a control plane."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        folder = plane.folder / "keda"
        folder.mkdir(exist_ok=True)
        self.processes = Processes(folder)

    def __enter__(self) -> Keda:
        try:
            self._start()
        except BaseException:
            self.processes.stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.plane.kube.delete("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io")
        self.processes.stop_all()

    def _start(self) -> None:
        certificates = self.processes.folder / "certificates"
        certificates.mkdir(exist_ok=True)
        for source, target in (("ca.crt", "ca.crt"), ("keda.crt", "tls.crt"), ("keda.key", "tls.key")):
            shutil.copy(self.plane.certificates / source, certificates / target)
        environment = {
            "KUBECONFIG": str(self.plane.kubeconfig),
            "WATCH_NAMESPACE": "",
            "POD_NAMESPACE": "keda",
            "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda",
        }
        figures, adapter = free_port(), free_port()
        self._register(adapter)
        operator = [
            f"--cert-dir={certificates}",
            f"--metrics-service-bind-address=127.0.0.1:{figures}",
            f"--metrics-bind-address=127.0.0.1:{free_port()}",
            f"--health-probe-bind-address=127.0.0.1:{free_port()}",
        ]
        self.processes.start("keda-operator", [str(program("keda-operator")), *operator], environment=environment)
        server = [
            f"--secure-port={adapter}",
            "--bind-address=127.0.0.1",
            f"--port={free_port()}",
            f"--metrics-service-address=127.0.0.1:{figures}",
            f"--cert-dir={certificates}",
            f"--tls-cert-file={certificates}/tls.crt",
            f"--tls-private-key-file={certificates}/tls.key",
            f"--client-ca-file={certificates}/ca.crt",
            *(f"--{what}-kubeconfig={self.plane.kubeconfig}" for what in ("lister", "authentication", "authorization")),
        ]
        self.processes.start("keda-adapter", [str(program("keda-adapter")), *server], environment=environment)
        wait_for("KEDA's metrics adapter", self._is_served, 90)

    def _register(self, port: int) -> None:
        self.plane.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "keda"}})
        name = {"name": "keda-metrics-apiserver", "namespace": "keda"}
        service = {"type": "ExternalName", "externalName": "localhost"}
        self.plane.kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": service})
        self.plane.kube.apply(
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
                "spec": {
                    "service": {**name, "port": port},
                    "group": "external.metrics.k8s.io",
                    "version": "v1beta1",
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                    "insecureSkipTLSVerify": True,
                },
            }
        )

    def _is_served(self) -> bool:
        self.processes.require_alive()
        time.sleep(0.3)
        path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io"
        status = (self.plane.kube.get(path) or {}).get("status") or {}
        conditions = {each["type"]: each["status"] for each in status.get("conditions") or []}
        return conditions.get("Available") == "True"
