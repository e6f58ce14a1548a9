"""The container: its image, what it downloads before it starts, and its environment. Pure.

The image's entry point turns `SM_VLLM_X_Y=v` into `--x-y v`, and a JSON list into one argument for each element
(github.com/aws/deep-learning-containers, scripts/docker/vllm/sagemaker_args.py, read 2026-11-25). There is no secret in
an environment: whoever may describe a model reads it. A gated base therefore comes from S3.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from takeover.errors import Refused
from takeover.sagemaker.images import image_uri
from takeover.sagemaker.names import BASE_MODEL, adapter_key, channel_name
from takeover.sagemaker.serving import Serving

__all__ = ["Uri", "base_of", "build_container", "build_environment", "static_adapters"]

# A key in the bucket -> its address: text, or a Pulumi output where the bucket is not made yet.
Uri = Callable[[str], Any]

_MODEL_DIR = "/opt/ml/model"
_EXTRA_DIR = "/opt/ml/additional-model-data-sources"
# SIGKILL comes 30 s after SIGTERM; the image's supervisor would kill vLLM after 10 s by itself
# (github.com/aws/model-hosting-container-standards, read 2026-11-25). vLLM drains for less than both.
_DRAIN_S, _SUPERVISOR_WAIT_S = 25, 28
_LONGEST_VALUE = 1024


def build_container(serving: Serving, uri: Uri) -> dict[str, Any]:
    """`PrimaryContainer` of CreateModel. Prefixes end in a slash, or another prefix that begins alike comes along."""
    container: dict[str, Any] = {
        "Image": image_uri(serving.options.region, serving.options.image_tag),
        "Environment": build_environment(serving),
    }
    if serving.options.base_weights is not None:
        container["ModelDataSource"] = _prefix(serving.options.base_weights.rstrip("/") + "/")
    if not serving.options.has_components:
        container["AdditionalModelDataSources"] = [
            {"ChannelName": channel_name(model.served_name), **_prefix(uri(adapter_key(serving.name, model.digest)))}
            for model in serving.models
        ]
    return container


def _prefix(where: Any) -> dict[str, Any]:
    return {"S3DataSource": {"S3Uri": where, "S3DataType": "S3Prefix", "CompressionType": "None"}}


def build_environment(serving: Serving) -> dict[str, str]:
    """What the container is told. Refused when it does not fit into what SageMaker takes."""
    said = {
        **_base(serving),
        "SM_VLLM_SERVED_MODEL_NAME": _json([BASE_MODEL, str(serving.base)]),
        "SM_VLLM_ENABLE_LORA": "true",
        **{f"SM_VLLM_{flag.upper().replace('-', '_')}": value for flag, value in serving.flags.items()},
        "SM_VLLM_SHUTDOWN_TIMEOUT": str(_DRAIN_S),
        "SUPERVISOR_PROGRAM__APP_STOPWAITSECS": str(_SUPERVISOR_WAIT_S),
        "VLLM_NO_USAGE_STATS": "1",
    }
    if serving.options.has_components:
        # SageMaker registers adapters with the running server; only so can it.
        said["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "true"
    else:
        said["SM_VLLM_LORA_MODULES"] = _json([_module(model.served_name) for model in serving.models])
    for name, value in said.items():
        if len(value) > _LONGEST_VALUE:
            raise Refused(
                f"{name} has {len(value)} characters",
                why=f"SageMaker takes {_LONGEST_VALUE}.",
                fix="Serve fewer adapters, give them shorter names, or set mode: inference-components.",
                where="models",
            )
    return dict(sorted(said.items()))


def _base(serving: Serving) -> dict[str, str]:
    if serving.options.base_weights is not None:
        return {"SM_VLLM_MODEL": _MODEL_DIR, "HF_HUB_OFFLINE": "1"}
    return {"SM_VLLM_MODEL": serving.base.name, "SM_VLLM_REVISION": str(serving.base.revision)}


def _module(served: str) -> dict[str, str]:
    return {"name": served, "path": f"{_EXTRA_DIR}/{channel_name(served)}"}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def base_of(container: dict[str, Any]) -> str | None:
    """The base's text, as a described container tells it: the second of the names that it is served under."""
    names = json.loads((container.get("Environment") or {}).get("SM_VLLM_SERVED_MODEL_NAME", "[]"))
    return str(names[1]) if len(names) > 1 else None


def static_adapters(container: dict[str, Any]) -> dict[str, str]:
    """Served name -> address of its files, as a described container tells it; empty for inference components."""
    environment = container.get("Environment") or {}
    modules = json.loads(environment.get("SM_VLLM_LORA_MODULES", "[]"))
    channels = {
        source["ChannelName"]: str(source["S3DataSource"]["S3Uri"])
        for source in container.get("AdditionalModelDataSources") or ()
    }
    return {each["name"]: channels.get(each["path"].rpartition("/")[2], "") for each in modules}
