"""The world of sagemaker: a control plane and runtime made strict by botocore's models; S3 and CloudWatch by moto."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from fakes.canned import canned
from fakes.moto_server import moto_url
from fakes.sagemaker_api import SECRET_KEY, FakeSageMaker
from world_defaults import AsMade

from takeover.providers._base import Endpoint, EndpointSpec

BUCKET = "acme-adapters"
OPTIONS = {
    "region": "us-east-1",
    "instanceType": "ml.g6e.2xlarge",
    "roleArn": "arn:aws:iam::123456789012:role/acme-serving",
    "bucket": BUCKET,
    "baseWeights": "s3://acme-bases/tiny/",
}


class SageMakerWorld(AsMade):
    """A region with a bucket and a role of the user's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake = FakeSageMaker().__enter__()
        given = {**self.fake.environment, "AWS_ENDPOINT_URL": moto_url(), "TAKEOVER_HOME": str(folder / "home")}
        for variable, value in given.items():
            monkeypatch.setenv(variable, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)

    def wanted(self, spec: EndpointSpec) -> EndpointSpec:
        return spec.model_copy(update={"options": {**OPTIONS, **spec.options}})

    def existing(self, name: str) -> int:
        """Endpoints; without one, whatever else is left of it: components, configurations, models, files."""
        state = self.fake.state
        if name in state.endpoints:
            return 1
        parts = [each for each in (*state.models, *state.configurations) if each.startswith(f"{name}-")]
        parts += [key for key, each in state.components.items() if each.request["EndpointName"] == name]
        parts += [key for key in state.targets if name in key]
        return int(bool(parts))

    def secrets(self, name: str) -> list[str]:
        return [SECRET_KEY]

    def logs(self, name: str) -> str:
        return "\n".join(line for lines in self.fake.state.logs.values() for line in lines)

    def next_start_dies(self, words: str) -> None:
        self.fake.state.dies = words

    @contextmanager
    def answering(self, status: int | None, body: str, headers: Mapping[str, str]) -> Iterator[Endpoint]:
        with canned(status, body, headers) as root:
            url = f"{root}/endpoints/x/invocations"
            yield Endpoint(id="x", name="x", provider="sagemaker", url=url, protocol="sagemaker", models=("a@1",))

    def violations(self) -> list[str]:
        return self.fake.violations

    def requests(self) -> int:
        return len(self.fake.calls)

    def close(self) -> None:
        self.fake.__exit__()
