"""The control plane: its role, key, logs, who may ask it, and what is in every cluster."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_aws import cloudwatch, eks, kms

from components.eks.network import Network
from components.eks.roles import service_role
from takeover.aws.eks_policies import ACCESS_POLICIES, CLUSTER_POLICIES
from takeover.settings._eks import AccessEntry, EksOptions

__all__ = ["access_entries", "control_plane"]


def control_plane(
    name: str, options: EksOptions, network: Network, opts: pulumi.ResourceOptions, *, protect: bool
) -> eks.Cluster:
    """EKS's own part. With `protect` neither Pulumi nor AWS deletes it before somebody says otherwise to both."""
    role = service_role(f"{name}-cluster", "eks.amazonaws.com", CLUSTER_POLICIES, opts)
    # Made first: EKS would make it itself, to be kept for ever.
    logs = cloudwatch.LogGroup(
        f"{name}-cluster",
        name=f"/aws/eks/{name}/cluster",
        retention_in_days=options.logs.retention_days,
        opts=opts,
    )
    public = list(options.api_public_cidrs)
    more = pulumi.ResourceOptions(
        protect=protect,
        depends_on=[logs, *network.routes],
        custom_timeouts=pulumi.CustomTimeouts(create="60m", update="90m", delete="60m"),
    )
    return eks.Cluster(
        name,
        name=name,
        version=options.kubernetes_version,
        role_arn=role.arn,
        vpc_config=eks.ClusterVpcConfigArgs(
            subnet_ids=network.all_private,
            endpoint_private_access=True,
            endpoint_public_access=bool(public),
            public_access_cidrs=public or None,
        ),
        access_config=eks.ClusterAccessConfigArgs(
            authentication_mode="API",
            # Whoever makes it installs the charts. Never changed after: AWS would want a new cluster.
            bootstrap_cluster_creator_admin_permissions=True,
        ),
        # Every add-on is one of the stack's own, so that its version and settings are known.
        bootstrap_self_managed_addons=False,
        encryption_config=eks.ClusterEncryptionConfigArgs(
            provider=eks.ClusterEncryptionConfigProviderArgs(key_arn=_key_arn(name, options, opts, protect=protect)),
            resources=["secrets"],
        ),
        enabled_cluster_log_types=list(options.logs.types),
        upgrade_policy=eks.ClusterUpgradePolicyArgs(support_type=options.support.upper()),
        deletion_protection=protect,
        opts=pulumi.ResourceOptions.merge(opts, more),
    )


def _key_arn(
    name: str, options: EksOptions, opts: pulumi.ResourceOptions, *, protect: bool
) -> pulumi.Output[str] | str:
    """A given key, or one for this cluster alone; without it nothing that the cluster knows can be read again."""
    if options.kms_key_arn is not None:
        return options.kms_key_arn
    key = kms.Key(
        f"{name}-secrets",
        description=f"What the EKS cluster {name} keeps",
        enable_key_rotation=True,
        deletion_window_in_days=30,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=protect)),
    )
    kms.Alias(f"{name}-secrets", name=f"alias/{name}-secrets", target_key_id=key.key_id, opts=opts)
    return key.arn


def access_entries(
    name: str, cluster: eks.Cluster, entries: Sequence[AccessEntry], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Who else may do what, by EKS's access entries; the old ConfigMap `aws-auth` is not read (mode API)."""
    given: list[pulumi.Resource] = []
    for entry in entries:
        each = f"{name}-{entry.principal.rpartition('/')[2]}"
        made = eks.AccessEntry(each, cluster_name=cluster.name, principal_arn=entry.principal, opts=opts)
        scope = eks.AccessPolicyAssociationAccessScopeArgs(
            type="namespace" if entry.namespaces else "cluster", namespaces=list(entry.namespaces) or None
        )
        right = eks.AccessPolicyAssociation(
            each,
            cluster_name=cluster.name,
            principal_arn=made.principal_arn,
            policy_arn=ACCESS_POLICIES[entry.policy],
            access_scope=scope,
            opts=opts,
        )
        given.append(right)
    return given
