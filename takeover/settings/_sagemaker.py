"""`takeover:sagemaker`: its keys, and what they say together. Pure; the provider asks the same rules.

docs/sagemaker.md explains each key. Limits are those of SageMaker's own API (botocore 1.43.117, read 2026-11-25).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from takeover.errors import Refused
from takeover.planning.hardware import instance_named
from takeover.sagemaker.images import AMI_VERSIONS, DEFAULT_AMI, DEFAULT_TAG, is_floating, is_too_old, regions
from takeover.settings._messages import suggest
from takeover.settings._models import Hosting, Positive, _Strict
from takeover.settings._raw import WrongSetting, join, shown

__all__ = ["DataCapture", "Latency", "SageMakerOptions", "Subnet", "Update", "sagemaker_mistakes"]

_KEY = "sagemaker"
_TIMEOUT = Annotated[int, Field(ge=60, le=3600)]
_PREFIX = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/\S+")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ARN = re.compile(r"arn:aws[a-z-]*:(?P<service>[a-z]+):(?P<region>[a-z0-9-]*):\d{12}:\S+")
_ZONE = re.compile(r"[a-z]{2}(-[a-z]+)+-\d[a-z]")
# Without a scheme of its own, a component carries at most these (CreateModel's AdditionalModelDataSources).
_MOST_STATIC = 5


class Latency(_Strict):
    """What `targetLatencyMs` is a bound for: the first token of a stream, or a whole answer of `tokens` tokens."""

    what: Literal["first-token", "whole-answer"] = "first-token"
    tokens: Positive | None = None


class Update(_Strict):
    """How a new version takes over. `percent` is the size of a step (canary and linear: at most 50)."""

    strategy: Literal["canary", "linear", "all-at-once", "rolling"] = "canary"
    percent: Annotated[int, Field(ge=5, le=50)] = 25
    wait_seconds: Annotated[int, Field(ge=0, le=3600)] = 300


class DataCapture(_Strict):
    """Keep prompts and answers in the bucket: personal data, so only where it is asked for, and for so many days."""

    percent: Annotated[int, Field(ge=1, le=100)]
    days: Positive = 30


class Subnet(_Strict):
    """A subnet and its zone: the zone is written down so that a single-zone endpoint is refused before a call."""

    id: str
    zone: str


class SageMakerOptions(_Strict):
    """`takeover:sagemaker`. Without `baseWeights` the base comes from the Hub when an instance starts, which needs the
    way out, so no network isolation. Without `bucket` and `roleArn` a stack makes its own."""

    region: str
    instance_type: str = "ml.g6e.2xlarge"
    mode: Literal["endpoint", "inference-components"] = "endpoint"
    image_tag: str = DEFAULT_TAG
    ami_version: str = DEFAULT_AMI
    base_weights: str | None = None
    bucket: str | None = None
    role_arn: str | None = None
    network_isolation: bool | None = None
    subnets: Annotated[tuple[Subnet, ...], Field(strict=False)] = ()
    security_groups: Annotated[tuple[str, ...], Field(strict=False)] = ()
    volume_kms_key_arn: str | None = None
    bucket_kms_key_arn: str | None = None
    startup_timeout_seconds: _TIMEOUT = 1200
    download_timeout_seconds: _TIMEOUT = 1200
    target_concurrency: Positive = 8
    context_length: Positive | None = None
    # A reservation for the scheduler, not what the base needs: a larger one than is free is refused by AWS.
    component_memory_mb: Annotated[int, Field(ge=128)] = 1024
    latency: Latency = Latency()
    update: Update = Update()
    data_capture: DataCapture | None = None
    alarms_topic: str | None = None

    @property
    def has_components(self) -> bool:
        return self.mode == "inference-components"

    @property
    def is_isolated(self) -> bool:
        """Without a way out, unless the setting says otherwise: where the base's weights lie in S3."""
        return self.base_weights is not None if self.network_isolation is None else self.network_isolation


def sagemaker_mistakes(options: SageMakerOptions, hosting: Hosting | None, adapters: int = 1) -> Iterator[Refused]:
    """What is wrong with these options together; each names its YAML key. `adapters` is how many are served."""
    yield from _place_mistakes(options)
    yield from _instance_mistakes(options)
    yield from _image_mistakes(options)
    yield from _storage_mistakes(options)
    yield from _network_mistakes(options)
    yield from _watch_mistakes(options, hosting)
    yield from _scale_mistakes(options, hosting, adapters)


def _wrong(key: str, said: str, *, why: str = "", fix: str) -> Refused:
    where = join(_KEY, *(int(part) if part.isdigit() else part for part in key.split(".")))
    return WrongSetting(f"{where} {said}", why=why, fix=fix, where=where)


def _place_mistakes(options: SageMakerOptions) -> Iterator[Refused]:
    if options.region not in regions():
        fix = suggest(options.region, regions()) or "Name one such as us-east-1."
        yield _wrong("region", f"is {shown(options.region)}, where AWS keeps no image of its vLLM server.", fix=fix)


def _instance_mistakes(options: SageMakerOptions) -> Iterator[Refused]:
    name = options.instance_type
    if not name.startswith("ml."):
        yield _wrong("instanceType", f"is {shown(name)}; SageMaker's names begin with ml.", fix=f"Write ml.{name}.")
        return
    try:
        machine = instance_named(name)
    except Refused as error:
        yield _wrong("instanceType", f"is {shown(name)}: {error.happened}.", why=error.why, fix=error.fix)
        return
    if options.volume_kms_key_arn is not None and machine.local_nvme:
        yield _wrong(
            "volumeKmsKeyArn",
            f"is set, but {name} has disks of its own (NVMe), which its hardware encrypts.",
            why="SageMaker refuses a key for the volume of such an instance when the configuration is created.",
            fix="Remove it; bucketKmsKeyArn encrypts what lies in S3.",
        )


def _image_mistakes(options: SageMakerOptions) -> Iterator[Refused]:
    if is_floating(options.image_tag):
        yield _wrong(
            "imageTag",
            f"is {shown(options.image_tag)}, which AWS moves to newer images.",
            why="A node that starts at night would run another vLLM than the ones beside it.",
            fix=f"Pin a minor version, such as {DEFAULT_TAG}.",
        )
    if is_too_old(options.image_tag):
        said = f"is {shown(options.image_tag)}, which cannot load an adapter from the start."
        yield _wrong("imageTag", said, why="Lists reach vLLM only from v2.4 on.", fix=f"Use {DEFAULT_TAG}.")
    if options.ami_version != DEFAULT_AMI:
        what = "has a driver that is too old" if options.ami_version in AMI_VERSIONS else "is none"
        yield _wrong(
            "amiVersion",
            f"is {shown(options.ami_version)}, which {what}.",
            why="The image needs driver 580 (CUDA 13): with another one no container starts, and no log appears.",
            fix=f"Use {DEFAULT_AMI}.",
        )


def _storage_mistakes(options: SageMakerOptions) -> Iterator[Refused]:
    if options.base_weights is not None and not _PREFIX.fullmatch(options.base_weights):
        yield _wrong("baseWeights", f"is {shown(options.base_weights)}.", fix="Write s3://BUCKET/PREFIX/ of a folder.")
    if options.bucket is not None and not _BUCKET.fullmatch(options.bucket):
        yield _wrong("bucket", f"is {shown(options.bucket)}.", fix="Write the bucket's name, without s3://.")
    for key, service, value in (
        ("roleArn", "iam", options.role_arn),
        ("volumeKmsKeyArn", "kms", options.volume_kms_key_arn),
        ("bucketKmsKeyArn", "kms", options.bucket_kms_key_arn),
        ("alarmsTopic", "sns", options.alarms_topic),
    ):
        yield from _arn_mistakes(key, service, value, options.region)
    if options.network_isolation and options.base_weights is None:
        yield _wrong(
            "networkIsolation",
            "is on, but baseWeights is not set.",
            why="An isolated container reaches neither the Hub nor S3 itself: SageMaker must bring the weights.",
            fix="Copy the base to S3 once and set baseWeights: docs/sagemaker.md has the command.",
        )


def _arn_mistakes(key: str, service: str, value: str | None, region: str) -> Iterator[Refused]:
    if value is None:
        return
    found = _ARN.fullmatch(value)
    if found is None or found["service"] != service:
        yield _wrong(key, f"is {shown(value)}.", fix=f"Write a whole ARN, arn:aws:{service}:...")
    elif service != "iam" and found["region"] != region:
        yield _wrong(key, f"is in {found['region']}, but the region is {region}.", fix=f"Name one in {region}.")


def _network_mistakes(options: SageMakerOptions) -> Iterator[Refused]:
    if bool(options.subnets) != bool(options.security_groups):
        missing = "securityGroups" if options.subnets else "subnets"
        yield _wrong(missing, "is missing: a network of one's own needs both.", fix="Add it, or remove the other one.")
    for index, subnet in enumerate(options.subnets):
        if not _ZONE.fullmatch(subnet.zone) or not subnet.zone.startswith(options.region):
            fix = f"Write the zone it lies in, such as {options.region}a."
            yield _wrong(f"subnets.{index}.zone", f"is {shown(subnet.zone)}.", fix=fix)
        if not subnet.id.startswith("subnet-"):
            yield _wrong(f"subnets.{index}.id", f"is {shown(subnet.id)}.", fix="Write a subnet's id, subnet-....")
    if options.subnets and len({subnet.zone for subnet in options.subnets}) < 2:
        yield _wrong(
            "subnets",
            f"lie in one zone only, {options.subnets[0].zone}.",
            why="SageMaker spreads instances over the zones of the subnets: with one, that zone's failure is yours.",
            fix="Name subnets in at least two zones.",
        )


def _watch_mistakes(options: SageMakerOptions, hosting: Hosting | None) -> Iterator[Refused]:
    latency = options.latency
    if latency.what == "whole-answer" and latency.tokens is None:
        fix = "Add it, for example tokens: 64, and ask with max_tokens of as many."
        yield _wrong("latency.tokens", "is missing: how long a whole answer takes depends on its length.", fix=fix)
    if latency.what == "first-token" and latency.tokens is not None:
        yield _wrong("latency.tokens", "is set, but what is first-token.", fix="Remove it, or write whole-answer.")
    if options.update.strategy in ("canary", "linear") and options.update.percent < 10:
        said = f"is {options.update.percent}, but a step of {options.update.strategy} has at least 10."
        yield _wrong("update.percent", said, fix="Set it to 10 to 50.")
    if options.has_components and options.data_capture is not None:
        yield _wrong("dataCapture", "is set, but mode is inference-components, which has none.", fix="Remove it.")
    if options.has_components and options.update.strategy not in ("canary", "rolling"):
        yield _wrong(
            "update.strategy",
            f"is {options.update.strategy}, but mode is inference-components.",
            why="A new version of an adapter is a component beside the old one: no fleet is replaced.",
            fix="Leave it out.",
        )


def _scale_mistakes(options: SageMakerOptions, hosting: Hosting | None, adapters: int) -> Iterator[Refused]:
    at_zero = hosting is not None and hosting.min_replicas == 0
    if at_zero and not options.has_components:
        yield _wrong(
            "mode",
            "is endpoint, but minReplicas is 0.",
            why="A variant with a model cannot go below one instance; only inference components can.",
            fix="Set mode: inference-components, or takeover:hosting.minReplicas: 1.",
        )
    if at_zero and hosting is not None and hosting.environment == "production":
        yield _wrong("mode", "cannot be at zero in production.", fix="Set takeover:hosting.minReplicas: 1 or more.")
    if adapters > _MOST_STATIC and not options.has_components:
        yield _wrong(
            "mode",
            f"is endpoint, with {adapters} adapters.",
            why=f"A model carries at most {_MOST_STATIC} adapters that are loaded from the start.",
            fix="Set mode: inference-components.",
        )
