"""The role that SageMaker takes on for the endpoint: what it must be allowed, and nothing more. Pure.

The list of calls: docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html, "CreateModel API", read 2026-11-24.
Resources are given as text, or as Pulumi outputs where they are not made yet.
"""

from __future__ import annotations

from typing import Any

from takeover.aws.policies import allow, policy_document, trust
from takeover.sagemaker.images import partition_of, repository_arn
from takeover.sagemaker.names import adapters_prefix, captured_prefix
from takeover.sagemaker.serving import Serving

__all__ = ["DEPLOYER", "NEEDED", "build_deployer_policy", "build_policy", "build_trust"]

# What the role really calls, by what it is for: the test holds the policy against this list, both ways.
NEEDED: dict[str, tuple[str, ...]] = {
    "metrics": ("cloudwatch:PutMetricData",),
    "logs": ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
    "login": ("ecr:GetAuthorizationToken",),
    "image": ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
    "read": ("s3:GetObject",),
    "list": ("s3:ListBucket",),
    "rollback": ("cloudwatch:DescribeAlarms",),
    "capture": ("s3:PutObject",),
    "key": ("kms:Decrypt",),
    "capture-key": ("kms:GenerateDataKey",),
    "network": (
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DeleteNetworkInterface",
        "ec2:DeleteNetworkInterfacePermission",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
    ),
}


_OWN_NAMESPACES = ("/aws/sagemaker/Endpoints", "/aws/sagemaker/InferenceComponents")


def build_trust(account: str | None = None) -> dict[str, Any]:
    """Who takes the role on: SageMaker, for this account alone where the account is known."""
    when = {"StringEquals": {"aws:SourceAccount": account}} if account else None
    return trust("sagemaker.amazonaws.com", when=when)


def build_policy(serving: Serving, bucket: str) -> dict[str, Any]:
    """The role's policy. Calls that take no resource are the only ones on `*`, metrics within one namespace."""
    options = serving.options
    partition = partition_of(options.region)
    ours = f"arn:{partition}:s3:::{bucket}"
    read, listed = _weights(serving, partition)
    within = {"StringEquals": {"cloudwatch:namespace": ["AWS/SageMaker", *_OWN_NAMESPACES]}}
    logs = f"arn:{partition}:logs:{options.region}:*:log-group:/aws/sagemaker/*"
    here = {"StringEquals": {"aws:RequestedRegion": options.region}}
    statements = [
        allow("Metrics", NEEDED["metrics"], "*", when=within),
        allow("Logs", NEEDED["logs"], logs),
        allow("ImageLogin", NEEDED["login"], "*", when=here),
        allow("Image", NEEDED["image"], repository_arn(options.region)),
        allow("Artifacts", NEEDED["read"], [f"{ours}/{adapters_prefix(serving.name)}*", *read]),
        allow("List", NEEDED["list"], [ours, *listed]),
        allow("Rollback", NEEDED["rollback"], "*", when=here),
    ]
    if options.data_capture is not None:
        statements.append(allow("Capture", NEEDED["capture"], f"{ours}/{captured_prefix(serving.name)}*"))
    if options.bucket_kms_key_arn is not None:
        calls = NEEDED["key"] + (NEEDED["capture-key"] if options.data_capture is not None else ())
        statements.append(allow("Key", calls, options.bucket_kms_key_arn))
    if options.subnets:
        statements.append(allow("Network", NEEDED["network"], "*", when=here))
    return policy_document(*statements)


def _weights(serving: Serving, partition: str) -> tuple[list[str], list[str]]:
    """The base's files and their bucket, where it lies in S3."""
    if serving.options.base_weights is None:
        return [], []
    bucket, _, prefix = serving.options.base_weights.removeprefix("s3://").partition("/")
    arn = f"arn:{partition}:s3:::{bucket}"
    return [f"{arn}/{prefix.rstrip('/')}/*"], [arn]


# What whoever deploys, looks, scales and destroys by `SageMakerProvider` calls; a test holds it against the calls that
# are really made. Those of pulumi-aws (iam, the bucket's settings, the dashboard) are Pulumi's own.
DEPLOYER: dict[str, tuple[str, ...]] = {
    "sagemaker": (
        "AddTags",
        "CreateEndpoint",
        "CreateEndpointConfig",
        "CreateInferenceComponent",
        "CreateModel",
        "DeleteEndpoint",
        "DeleteEndpointConfig",
        "DeleteInferenceComponent",
        "DeleteModel",
        "DeleteTags",
        "DescribeEndpoint",
        "DescribeEndpointConfig",
        "DescribeInferenceComponent",
        "DescribeModel",
        "InvokeEndpoint",
        "ListEndpointConfigs",
        "ListInferenceComponents",
        "ListModels",
        "ListTags",
        "UpdateEndpoint",
        "UpdateEndpointWeightsAndCapacities",
        "UpdateInferenceComponent",
        "UpdateInferenceComponentRuntimeConfig",
    ),
    "application-autoscaling": (
        "DeleteScalingPolicy",
        "DeregisterScalableTarget",
        "DescribeScalableTargets",
        "PutScalingPolicy",
        "RegisterScalableTarget",
    ),
    "cloudwatch": ("DeleteAlarms", "DescribeAlarms", "GetMetricData", "PutMetricAlarm"),
    "logs": ("DescribeLogStreams", "GetLogEvents"),
    "s3": ("DeleteObject", "GetObject", "ListBucket", "PutObject"),
}
_LISTS = frozenset({"ListEndpointConfigs", "ListInferenceComponents", "ListModels"})


def build_deployer_policy(region: str, account: str, bucket: str, role: str) -> dict[str, Any]:
    """For whoever deploys: SageMaker in this account and region, one bucket, and the role handed to SageMaker alone."""
    partition = partition_of(region)
    here = {"StringEquals": {"aws:RequestedRegion": region}}
    sagemaker = [f"sagemaker:{each}" for each in DEPLOYER["sagemaker"] if each not in _LISTS]
    kinds = ("endpoint", "endpoint-config", "inference-component", "model")
    named = [f"arn:{partition}:sagemaker:{region}:{account}:{kind}/*" for kind in kinds]
    objects = [f"s3:{each}" for each in DEPLOYER["s3"] if each != "ListBucket"]
    scaling = [f"application-autoscaling:{each}" for each in DEPLOYER["application-autoscaling"]]
    to_sagemaker = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    ours = f"arn:{partition}:s3:::{bucket}"
    alarms = f"arn:{partition}:cloudwatch:{region}:{account}:alarm:*"
    return policy_document(
        allow("SageMaker", sagemaker, named),
        allow("SageMakerLists", [f"sagemaker:{each}" for each in sorted(_LISTS)], "*", when=here),
        allow("Scaling", scaling, "*", when=here),
        allow("Alarms", ["cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"], alarms),
        allow("Figures", ["cloudwatch:GetMetricData"], "*", when=here),
        allow(
            "Logs",
            [f"logs:{each}" for each in DEPLOYER["logs"]],
            f"arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/*",
        ),
        allow("Files", objects, f"{ours}/*"),
        allow("Bucket", ["s3:ListBucket"], ours),
        allow("Role", ["iam:PassRole"], role, when=to_sagemaker),
    )
