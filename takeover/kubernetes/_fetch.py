"""The adapters in the pod: an init container fetches and verifies them, and the engine only reads."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from takeover.kubernetes import names
from takeover.kubernetes._engine import hub, variables
from takeover.kubernetes._object import Manifest, manifest
from takeover.kubernetes._security import container_security
from takeover.kubernetes.serving import Serving

__all__ = ["ADAPTERS_VOLUME", "fetch_config_map", "fetch_container"]

ADAPTERS_VOLUME = "adapters"
_FOLDER = "/opt/takeover"
_SCRIPT = "fetch_adapter.py"


@cache
def script() -> str:
    """The program that runs in the init container."""
    return files("serving.kubernetes").joinpath(_SCRIPT).read_text(encoding="utf-8")


def fetch_config_map(serving: Serving) -> Manifest:
    """The program, by its content."""
    data = {_SCRIPT: script()}
    return manifest(
        serving, "v1", "ConfigMap", names.content_name(serving.name, "fetch", data), immutable=True, data=data
    )


def wanted(serving: Serving) -> str:
    """What the program is told: of each adapter its name, its address and what it must be."""
    adapters = [
        {"name": names.lora_name(model), "source": model.source, "digest": model.digest} for model in serving.models
    ]
    return json.dumps(adapters)


def fetch_container(serving: Serving) -> Manifest:
    """With the engine's image, which is on the node anyway, and holds the Hub's and S3's clients."""
    return {
        "name": "fetch-adapters",
        "image": serving.options.image,
        "command": ["python3", "-B", f"{_FOLDER}/{_SCRIPT}"],
        "env": [
            *variables({"HOME": names.TMP, "TAKEOVER_ADAPTERS": wanted(serving), "TAKEOVER_INTO": str(names.ADAPTERS)}),
            *hub(serving),
        ],
        **_storage(serving),
        "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "fetch", "mountPath": _FOLDER, "readOnly": True},
            {"name": ADAPTERS_VOLUME, "mountPath": str(names.ADAPTERS)},
            {"name": "tmp", "mountPath": names.TMP},
        ],
    }


def _storage(serving: Serving) -> dict[str, Any]:
    """The bucket's credentials by reference; without them the pod's own identity."""
    secret = serving.options.storage_secret
    return {"envFrom": [{"secretRef": {"name": secret}}]} if secret else {}
