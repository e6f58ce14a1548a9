"""An adapter's files in the bucket: verified here, verified there (S3 holds what arrives against its SHA-256)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from takeover.adapter import open_adapter
from takeover.providers._base import TrainedModel
from takeover.providers._sagemaker_api import Api
from takeover.providers._sagemaker_place import Place
from takeover.sagemaker.names import adapter_key, adapters_prefix, archive_key
from takeover.sagemaker.packing import archive_bytes, payload_paths

__all__ = ["forget_files", "put_files"]


async def put_files(api: Api, place: Place, model: TrainedModel) -> None:
    """Bring an adapter's content where the endpoint reads it; what lies there already is left."""
    opened = await asyncio.to_thread(open_adapter, model.path, digest=model.digest)
    for key, data in _objects(place, model, opened.path):
        content = await asyncio.to_thread(data.read_bytes) if isinstance(data, Path) else data
        await _put(api, place, key, content)


def _objects(place: Place, model: TrainedModel, folder: Path) -> Iterator[tuple[str, Path | bytes]]:
    if place.serving.options.has_components:
        yield archive_key(place.serving.name, model.digest), archive_bytes(folder)
        return
    for name, path in payload_paths(folder).items():
        yield adapter_key(place.serving.name, model.digest) + name, path


async def _put(api: Api, place: Place, key: str, content: bytes) -> None:
    checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
    where: dict[str, Any] = {"Bucket": place.bucket, "Key": key}
    there = await api.look("s3", "head_object", **where, ChecksumMode="ENABLED")
    if there is not None and there.get("ChecksumSHA256") == checksum:
        return
    key_arn = place.serving.options.bucket_kms_key_arn
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_arn} if key_arn else {}
    held = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": checksum}
    await api.call("s3", "put_object", **where, Body=content, **held, **encryption)


async def forget_files(api: Api, bucket: str, endpoint: str) -> None:
    """Remove an endpoint's adapters; captured prompts stay, for their own lifecycle."""
    while True:
        page = await api.look("s3", "list_objects_v2", Bucket=bucket, Prefix=adapters_prefix(endpoint)) or {}
        keys = [{"Key": each["Key"]} for each in page.get("Contents") or ()]
        if not keys:
            return
        await api.call("s3", "delete_objects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
