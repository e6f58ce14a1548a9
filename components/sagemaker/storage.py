"""The bucket for adapters: private, encrypted, versioned, by TLS only; and the adapters' files below their digests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from takeover.aws.policies import as_json, deny, policy_document
from takeover.providers._base import TrainedModel
from takeover.sagemaker.names import adapter_key, captured_prefix
from takeover.sagemaker.packing import payload_paths
from takeover.sagemaker.serving import Serving

__all__ = ["Storage", "make_storage", "upload"]


@dataclass(frozen=True)
class Storage:
    """The bucket's name, and what must stand before anything is put into it."""

    bucket: pulumi.Input[str]
    guards: tuple[pulumi.Resource, ...] = ()

    def uri(self, key: str) -> pulumi.Output[str]:
        return pulumi.Output.concat("s3://", self.bucket, "/", key)


def make_storage(serving: Serving, here: pulumi.ResourceOptions) -> Storage:
    """A bucket of the stack's own, or the one that the settings name, which is left as it is."""
    if serving.options.bucket is not None:
        return Storage(serving.options.bucket)
    name = f"{serving.name}-files"
    # Adapters can be brought again; captured prompts cannot, so a bucket with those is not emptied by a destroy.
    bucket = aws.s3.Bucket(name, force_destroy=serving.options.data_capture is None, opts=here)
    key = serving.options.bucket_kms_key_arn
    block = aws.s3.BucketPublicAccessBlock(
        f"{name}-private",
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=here,
    )
    guards = (
        block,
        aws.s3.BucketOwnershipControls(
            f"{name}-owner", bucket=bucket.bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=here
        ),
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encrypted",
            bucket=bucket.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms" if key else "AES256",
                        "kms_master_key_id": key,
                    },
                    "bucket_key_enabled": key is not None,
                }
            ],
            opts=here,
        ),
        aws.s3.BucketVersioning(
            f"{name}-versioned",
            bucket=bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=here,
        ),
        aws.s3.BucketPolicy(
            f"{name}-tls",
            bucket=bucket.bucket,
            policy=bucket.arn.apply(lambda arn: as_json(_tls_only(arn))),
            opts=pulumi.ResourceOptions.merge(here, pulumi.ResourceOptions(depends_on=[block])),
        ),
        _lifecycle(serving, name, bucket, here),
    )
    return Storage(bucket.bucket, guards)


def _tls_only(arn: str) -> dict[str, object]:
    statement = deny("TlsOnly", ["s3:*"], [arn, f"{arn}/*"], when={"Bool": {"aws:SecureTransport": "false"}})
    return policy_document({**statement, "Principal": "*"})


def _lifecycle(
    serving: Serving, name: str, bucket: aws.s3.Bucket, here: pulumi.ResourceOptions
) -> aws.s3.BucketLifecycleConfiguration:
    rules: list[aws.s3.BucketLifecycleConfigurationRuleArgsDict] = [
        {
            "id": "left-over",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
            "noncurrent_version_expiration": {"noncurrent_days": 30},
        }
    ]
    if serving.options.data_capture is not None:
        days = serving.options.data_capture.days
        rules.append(
            {
                "id": "captured",
                "status": "Enabled",
                "filter": {"prefix": captured_prefix(serving.name)},
                "expiration": {"days": days},
            }
        )
    return aws.s3.BucketLifecycleConfiguration(f"{name}-lifecycle", bucket=bucket.bucket, rules=rules, opts=here)


def upload(
    serving: Serving, storage: Storage, model: TrainedModel, here: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """An adapter's payload, as the program has verified it on opening; S3 holds what arrives against its SHA-256."""
    after = pulumi.ResourceOptions.merge(here, pulumi.ResourceOptions(depends_on=list(storage.guards)))
    prefix = adapter_key(serving.name, model.digest)
    key = serving.options.bucket_kms_key_arn
    return [
        aws.s3.BucketObjectv2(
            f"{serving.name}-{model.served_name}-{name}",
            bucket=storage.bucket,
            key=f"{prefix}{name}",
            source=pulumi.FileAsset(str(path)),
            checksum_algorithm="SHA256",
            kms_key_id=key,
            server_side_encryption="aws:kms" if key else None,
            opts=after,
        )
        for name, path in payload_paths(Path(model.path)).items()
    ]
