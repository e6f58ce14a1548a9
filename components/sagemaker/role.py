"""The role that SageMaker takes on for the endpoint, with the rights of takeover/sagemaker/iam.py."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.sagemaker.storage import Storage
from takeover.aws.policies import as_json
from takeover.sagemaker.iam import build_policy, build_trust
from takeover.sagemaker.serving import Serving

__all__ = ["make_role"]


def make_role(
    serving: Serving, storage: Storage, here: pulumi.ResourceOptions
) -> tuple[pulumi.Input[str], list[pulumi.Resource]]:
    """Its ARN, and what must stand before it is used; the one that the settings name is left as it is."""
    if serving.options.role_arn is not None:
        return serving.options.role_arn, []
    invoke = pulumi.InvokeOutputOptions(parent=here.parent, provider=here.provider)
    account = aws.get_caller_identity_output(opts=invoke).account_id
    role = aws.iam.Role(
        f"{serving.name}-role",
        assume_role_policy=account.apply(lambda found: as_json(build_trust(found))),
        description=f"What SageMaker does for {serving.name}",
        max_session_duration=3600,
        opts=here,
    )
    policy = aws.iam.RolePolicy(
        f"{serving.name}-rights",
        role=role.name,
        policy=pulumi.Output.from_input(storage.bucket).apply(lambda bucket: as_json(build_policy(serving, bucket))),
        opts=here,
    )
    return role.arn, [policy]
