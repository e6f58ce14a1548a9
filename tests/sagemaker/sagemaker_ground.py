"""What the tests of SageMaker share: a base, adapters, options, a provider on the fake."""

from __future__ import annotations

from typing import Any

from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.sagemaker.serving import Serving, build_serving

NAME = "demo-prod-1a2b3c4d"
BASE = "hub:acme/base@" + "b" * 40
ROLE = "arn:aws:iam::123456789012:role/acme-serving"
BUCKET = "acme-adapters"
OPTIONS: dict[str, Any] = {"region": "us-east-1", "roleArn": ROLE, "bucket": BUCKET}
COMPONENTS = {**OPTIONS, "mode": "inference-components"}


def model(name: str = "tone", mark: str = "a", rank: int = 8, base: str = BASE) -> TrainedModel:
    """An adapter that nobody opens."""
    digest = mark * 64
    return TrainedModel(
        name=name, digest=f"sha256:{digest}", served_name=f"{name}@{digest[:12]}", path="/nowhere", base=base, rank=rank
    )


def spec(options: dict[str, Any] | None = None, **changes: Any) -> EndpointSpec:
    given = {"name": NAME, "base": BASE, "options": options or OPTIONS, "labels": {"stack": "prod"}, **changes}
    return EndpointSpec.model_validate(given)


def serving(
    options: dict[str, Any] | None = None, models: tuple[TrainedModel, ...] = (model(),), **changes: Any
) -> Serving:
    return build_serving(models, spec({**OPTIONS, **(options or {})}, **changes))


def uri(key: str) -> str:
    return f"s3://{BUCKET}/{key}"
