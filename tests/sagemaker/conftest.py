"""A region on the loopback: the fake SageMaker, moto's S3 and CloudWatch, and a provider that does not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.moto_server import moto_url
from fakes.sagemaker_api import FakeSageMaker
from sagemaker_ground import BUCKET

from takeover.providers.sagemaker import SageMakerProvider


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSageMaker]:
    import boto3

    with FakeSageMaker() as fake:
        given = {**fake.environment, "AWS_ENDPOINT_URL": moto_url(), "TAKEOVER_HOME": str(tmp_path / "home")}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield fake
        assert fake.violations == []


@pytest.fixture
def provider() -> SageMakerProvider:
    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    return SageMakerProvider(sleep=at_once)
