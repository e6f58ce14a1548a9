"""Where AWS keeps its vLLM server for SageMaker: an excerpt of its own map, pinned; a test compares both.

Why this image and not LMI (DJL): it is vLLM's own server with vLLM's own flags, so what `takeover fit` computes and
what the other tiers run holds here too; `SM_VLLM_LORA_MODULES` loads adapters from the start, so that InService means
loaded; and it speaks OpenAI's chat on /invocations. LMI puts a server, names and defaults of its own before vLLM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "AMI_VERSIONS",
    "DEFAULT_AMI",
    "DEFAULT_TAG",
    "REPOSITORY",
    "SOURCE",
    "image_uri",
    "is_floating",
    "is_too_old",
    "partition_of",
    "regions",
    "repository_arn",
]

SOURCE = "sagemaker-core 2.27.0, image_uri_config/vllm-server.json, version 2.6, read 2026-11-25"
REPOSITORY = "vllm"
DEFAULT_TAG = "server-sagemaker-cuda-v2.6"

_MAIN = "763104351884"
_ACCOUNTS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "ap-northeast-1",
                "ap-northeast-2",
                "ap-south-1",
                "ap-southeast-1",
                "ap-southeast-2",
                "ca-central-1",
                "eu-central-1",
                "eu-north-1",
                "eu-west-1",
                "eu-west-2",
                "eu-west-3",
                "sa-east-1",
                "us-east-1",
                "us-east-2",
                "us-west-1",
                "us-west-2",
            ),
            _MAIN,
        ),
        "af-south-1": "626614931356",
        "ap-east-1": "871362719292",
        "ap-east-2": "975050140332",
        "ap-northeast-3": "364406365360",
        "ap-south-2": "772153158452",
        "ap-southeast-3": "907027046896",
        "ap-southeast-4": "457447274322",
        "ap-southeast-5": "550225433462",
        "ap-southeast-6": "633930458069",
        "ap-southeast-7": "590183813437",
        "ca-west-1": "204538143572",
        "eu-central-2": "380420809688",
        "eu-south-1": "692866216735",
        "eu-south-2": "503227376785",
        "il-central-1": "780543022126",
        "me-central-1": "914824155844",
        "me-south-1": "217643126080",
        "me-west-1": "124382933778",
        "mx-central-1": "637423239942",
    }
)

# botocore 1.43.117, ProductionVariantInferenceAmiVersion, those with an NVIDIA driver. Only the last has driver 580,
# which images from v2.0 on need (CUDA 13.0.2: changelog of aws/deep-learning-containers, v2.0.0 of 2026-06-05).
AMI_VERSIONS = (
    "al2-ami-sagemaker-inference-gpu-2",
    "al2-ami-sagemaker-inference-gpu-2-1",
    "al2-ami-sagemaker-inference-gpu-3-1",
    "al2023-ami-sagemaker-inference-gpu-4-1",
)
DEFAULT_AMI = AMI_VERSIONS[-1]
# A minor version gets patches (docs/vllm/versioning.md of aws/deep-learning-containers, 2026-11-25), but within the
# life of an endpoint it is one image: SageMaker resolves it to a digest once (DescribeEndpoint, DeployedImages).
_PINNED = re.compile(r"(server-sagemaker-cuda-v\d+\.\d+(\.\d+)?|\d+\.\d+\.\d+-\S+|sha256:[0-9a-f]{64})")


def regions() -> tuple[str, ...]:
    """The regions that have the image."""
    return tuple(_ACCOUNTS)


def image_uri(region: str, tag: str = DEFAULT_TAG) -> str:
    """The whole name of the image, by tag or by digest: it must lie in the endpoint's own region."""
    mark = "@" if tag.startswith("sha256:") else ":"
    end = ".cn" if region.startswith("cn-") else ""
    return f"{_ACCOUNTS[region]}.dkr.ecr.{region}.amazonaws.com{end}/{REPOSITORY}{mark}{tag}"


def repository_arn(region: str) -> str:
    """What a role is allowed to pull from."""
    return f"arn:{partition_of(region)}:ecr:{region}:{_ACCOUNTS[region]}:repository/{REPOSITORY}"


def partition_of(region: str) -> str:
    """`aws` everywhere but in China and in the government's regions."""
    start = region.split("-", 1)[0]
    return "aws-cn" if start == "cn" else "aws-us-gov" if region.startswith("us-gov-") else "aws"


def is_floating(tag: str) -> bool:
    """Whether AWS moves the tag: `latest`, or a major version alone (`server-sagemaker-cuda-v2`)."""
    return _PINNED.fullmatch(tag) is None


def is_too_old(tag: str) -> bool:
    """Whether its entry point cannot pass lists on: before v2.4.0 (2026-08-25) `SM_VLLM_LORA_MODULES` was one word."""
    found = re.match(r"server-sagemaker-cuda-v(\d+)\.(\d+)", tag)
    return found is not None and (int(found[1]), int(found[2])) < (2, 4)
