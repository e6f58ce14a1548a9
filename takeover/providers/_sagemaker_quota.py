"""How many instances of a type the account may have for endpoints: read from Service Quotas, for `takeover doctor`.

Quotas are by instance type and often 0 in new accounts; what was never raised is listed among AWS's defaults only.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from takeover.providers._sagemaker_api import Api

__all__ = ["listed_quota", "look_at_quota", "quota_of"]

Level = Literal["good", "note", "problem"]


async def quota_of(api: Api, instance_type: str) -> int | None:
    """The quota, None where Service Quotas has none of that name."""
    name = f"{instance_type} for endpoint usage"
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        found = await listed_quota(api, operation, "sagemaker", name)
        if found is not None:
            return found
    return None


async def listed_quota(api: Api, operation: str, service: str, name: str) -> int | None:
    """One quota of a service by its name, None where the operation lists none."""
    quotas = await api.all_pages("service-quotas", operation, "Quotas", ServiceCode=service, MaxResults=100)
    return next((int(quota["Value"]) for quota in quotas if quota.get("QuotaName") == name), None)


def look_at_quota(region: str, instance_type: str, most: int, *, by_fleets: bool) -> tuple[Level, str, str]:
    """What `takeover doctor` says. `most` instances are wanted; an update `by_fleets` has twice as many for a while."""
    quota = asyncio.run(quota_of(Api(region), instance_type))
    needed = 2 * most if by_fleets else most
    fix = f"Ask for {needed} of `{instance_type} for endpoint usage` in Service Quotas, in {region}."
    if quota is None:
        return "note", f"Service Quotas does not name {instance_type}", f"Look for it there, in {region}."
    said = f"a quota of {quota} x {instance_type} in {region}"
    if quota < most:
        return "problem", f"{said}: {most} are asked for", fix
    if quota < needed:
        return "note", f"{said}: an update needs {needed} for a while", fix
    return "good", said, ""
