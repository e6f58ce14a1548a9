"""What stands before the engine: nginx in the same pod, with a short list of paths.

vLLM's key guards /v1 only: /invocations, /tokenize, /metrics and others answer without it. So the engine listens on the
loopback, and nginx forwards what is listed and nothing else. Each path is written out in `proxy_pass`: nginx compares
the cleaned path, but would forward it as it came, and vLLM takes `/metrics/../v1/models` for /metrics.

A native sidecar (an init container with restartPolicy Always, Kubernetes 1.29 and later) starts before the engine and
ends after it, so that it forwards answers as long as the engine still writes some.
"""

from __future__ import annotations

from typing import Any

from takeover.kubernetes import names
from takeover.kubernetes._object import Manifest, manifest
from takeover.kubernetes._probes import gate_probes
from takeover.kubernetes._security import container_security, scratch
from takeover.kubernetes.serving import Serving

__all__ = ["PATHS", "configuration", "gate_config_map", "gate_container"]

PATHS = (
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("GET", "/v1/models"),
)
_FOLDER = "/etc/gate"
_FILE = "gate.conf"
# Longer than a load balancer keeps an idle connection (60 s for AWS's, unless set), or it would send into a closed one;
# without a balancer shorter than the wait before SIGTERM, so that callers have left by then.
_KEPT_BY_BALANCER_S = 620
_KEPT_S = 15
_LONGEST_BODY = "8m"


def configuration(serving: Serving, *, folder: str = names.TMP, engine: str = f"127.0.0.1:{names.ENGINE_PORT}") -> str:
    """The whole nginx.conf. `folder` is where nginx may write, `engine` where it forwards to."""
    options = serving.options
    behind_balancer = bool(options.ingress or options.gateway or serving.platform.ingress_class)
    kept = _KEPT_BY_BALANCER_S if behind_balancer else _KEPT_S
    servers = [_calls(names.GATE_PORT, engine), _watch(names.METRICS_PORT, engine)]
    if options.routing == "inference-extension":
        servers.append(_calls(names.POOL_PORT, engine, more=_forwarded("GET", "/metrics", engine)))
    return _HEAD.format(
        folder=folder, body=_LONGEST_BODY, kept=kept, answer=options.request_timeout_seconds, servers="\n".join(servers)
    )


_HEAD = """\
worker_processes 2;
pid {folder}/nginx.pid;
error_log /dev/stderr warn;

events {{
  worker_connections 4096;
}}

http {{
  server_tokens off;
  default_type application/json;
  # No query, no header, no body: prompts and keys stay out of the log.
  log_format gate escape=json '{{"time":"$time_iso8601","method":"$request_method","path":"$uri","status":$status,'
    '"seconds":$request_time,"bytes":$bytes_sent,"id":"$request_id"}}';
  access_log /dev/stdout gate;

  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;

  client_max_body_size {body};
  keepalive_timeout {kept}s;
  keepalive_time 10s;

  # Tokens go out as they come. A request is never sent a second time, and no connection to the engine is reused: one
  # that the engine closes at that moment would be an error to the caller.
  proxy_buffering off;
  proxy_http_version 1.1;
  proxy_next_upstream off;
  proxy_connect_timeout 5s;
  proxy_read_timeout {answer}s;
  proxy_send_timeout {answer}s;
  proxy_set_header Host $host;
  proxy_set_header X-Request-Id $request_id;

{servers}
}}
"""


def _calls(port: int, engine: str, more: str = "") -> str:
    """For callers: the list, and the engine's health, which a balancer asks for without a key."""
    allowed = "".join(_forwarded(method, path, engine) for method, path in PATHS)
    return _server(port, allowed + _forwarded("GET", "/health", engine, is_logged=False) + more)


def _watch(port: int, engine: str) -> str:
    """For Prometheus and the kubelet; /gate is nginx's own health."""
    metrics = _forwarded("GET", "/metrics", engine, is_logged=False)
    health = _forwarded("GET", "/health", engine, is_logged=False)
    own = "    location = /gate {\n      access_log off;\n      return 200 '{}';\n    }\n"
    return _server(port, metrics + health + own)


_NOT_THERE = '{"error":{"message":"There is no such path here.","code":404}}'


def _server(port: int, locations: str) -> str:
    return (
        f"  server {{\n    listen {port};\n{locations}    location / {{\n      return 404 '{_NOT_THERE}';\n    }}\n  }}"
    )


def _forwarded(method: str, path: str, engine: str, *, is_logged: bool = True) -> str:
    quiet = "" if is_logged else "      access_log off;\n"
    return (
        f"    location = {path} {{\n{quiet}      if ($request_method != {method}) {{\n        return 405;\n      }}\n"
        f"      proxy_pass http://{engine}{path};\n    }}\n"
    )


def gate_config_map(serving: Serving) -> Manifest:
    """The configuration, by its content: a pod keeps the one it was started with."""
    data = {_FILE: configuration(serving)}
    return manifest(
        serving, "v1", "ConfigMap", names.content_name(serving.name, "gate", data), immutable=True, data=data
    )


def gate_container(serving: Serving) -> Manifest:
    """nginx as a native sidecar."""
    ports = [("http", names.GATE_PORT), ("metrics", names.METRICS_PORT)]
    if serving.options.routing == "inference-extension":
        ports.append(("pool", names.POOL_PORT))
    return {
        "name": "gate",
        "image": serving.options.gate_image,
        "restartPolicy": "Always",
        "command": ["nginx", "-e", "/dev/stderr", "-c", f"{_FOLDER}/{_FILE}", "-g", "daemon off;"],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports],
        **gate_probes(),
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": container_security(user=101),
        "volumeMounts": [
            {"name": "gate", "mountPath": _FOLDER, "readOnly": True},
            {"name": "gate-tmp", "mountPath": names.TMP},
        ],
    }


def gate_volumes(config: Manifest) -> list[dict[str, Any]]:
    """What the sidecar mounts."""
    return [{"name": "gate", "configMap": {"name": config["metadata"]["name"]}}, scratch("gate-tmp", "256Mi")]
