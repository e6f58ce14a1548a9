"""AWS's calls, by boto3 in threads, with its failures told as the errors of `takeover.errors`.

boto3 is imported on first use. Addresses can be replaced by AWS's own variables (AWS_ENDPOINT_URL_SAGEMAKER, ...).
"""

from __future__ import annotations

import asyncio
import re
from functools import cache, lru_cache
from typing import Any

from takeover.errors import AuthError, NotReady, QuotaError, RateLimited, Refused, TakeoverError, VendorError
from takeover.providers._http import Unreachable
from takeover.sagemaker.credentials import require_boto

__all__ = ["Api", "Missing", "Unsettled", "translated"]

Answer = dict[str, Any]
_ABSENT = re.compile(r"could not find|does not exist|not found|no scalable target found|no scaling policy found", re.I)
# A role that IAM does not know everywhere yet (terraform-provider-aws waits for the same words).
_UNSETTLED = re.compile(r"could not assume role|unable to assume|could not access model data", re.I)
_BUSY = re.compile(r"cannot (update|delete)|in-progress|being updated|currently being", re.I)


class Missing(Refused):
    """What was asked about is not there."""


class Unsettled(NotReady):
    """What it names was made a moment ago, and is not known everywhere yet."""


class Api:
    """The services of one region. `call("sagemaker", "describe_endpoint", EndpointName=...)`."""

    def __init__(self, region: str) -> None:
        self.region = region

    async def call(self, service: str, operation: str, **request: Any) -> Answer:
        """The answer. Missing, AuthError, QuotaError, RateLimited, NotReady (busy), Refused or VendorError."""
        return await asyncio.to_thread(self._call, service, operation, request)

    async def look(self, service: str, operation: str, **request: Any) -> Answer | None:
        """The answer, None where there is nothing."""
        try:
            return await self.call(service, operation, **request)
        except Missing:
            return None

    async def all_pages(self, service: str, operation: str, key: str, **request: Any) -> list[Any]:
        """The list under `key` of all pages; empty where there is nothing."""
        found: list[Any] = []
        token: str | None = None
        while True:
            more = {"NextToken": token} if token else {}
            page = await self.look(service, operation, **request, **more) or {}
            found += page.get(key) or []
            token = page.get("NextToken")
            if not token:
                return found

    def _call(self, service: str, operation: str, request: Answer) -> Answer:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client = _client(service, self.region)
            answer: Answer = getattr(client, operation)(**request)
        except ClientError as error:
            raise translated(error, service) from None
        except BotoCoreError as error:
            raise _of_botocore(error, service) from None
        return answer


def _client(service: str, region: str) -> Any:
    """Made once for each service, region and set of variables: making one takes 70 ms."""
    import os

    require_boto()
    marks = tuple(sorted((key, value) for key, value in os.environ.items() if key.startswith("AWS_")))
    return _made_client(service, region, marks)


@lru_cache(maxsize=64)
def _made_client(service: str, region: str, _marks: tuple[tuple[str, str], ...]) -> Any:
    from boto3.session import Session
    from botocore.config import Config
    from botocore.session import get_session

    session = get_session()
    session.register_component("data_loader", _loader())
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 4},
        user_agent_extra="takeover",
    )
    return Session(botocore_session=session, region_name=region).client(service, config=config)


@cache
def _loader() -> Any:
    """Read once a process: the descriptions of the services are megabytes of JSON."""
    from botocore.loaders import create_loader

    return create_loader()


def translated(error: Any, service: str) -> TakeoverError:
    """A ClientError of botocore as ours."""
    said, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, message = str(said.get("Code", "")), str(said.get("Message", ""))
    status = int(meta.get("HTTPStatusCode") or 0)
    request_id = f", request id {meta['RequestId']}" if meta.get("RequestId") else ""
    why = f"{service} {error.operation_name}: {code}{request_id}: {message[:400]}"
    if "ExpiredToken" in code or code in _NOT_ACCEPTED:
        return AuthError("AWS does not accept the credentials", why=why, fix="Log in again (`aws sso login`).")
    if "AccessDenied" in code or status == 403:
        fix = "Give it to whoever deploys: docs/sagemaker.md lists the calls."
        return AuthError(f"the account may not call {error.operation_name}", why=why, fix=fix)
    if code in {"ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"}:
        fix = "Ask for more in Service Quotas (an update needs twice the instances), or name another instanceType."
        return QuotaError("the account's quota of instances is used up", why=why, fix=fix)
    if code in {"NoSuchKey", "NoSuchBucket", "ObjectNotFoundException", "404"} or _ABSENT.search(message):
        return Missing(f"{service} has nothing of that name", why=why)
    if _UNSETTLED.search(message):
        fix = "Does SageMaker trust the role, and may it read the files? Else try again in a minute."
        return Unsettled("SageMaker cannot use the role yet", why=why, fix=fix)
    if "Throttl" in code or code == "TooManyRequestsException":
        return RateLimited("AWS is asked too often", why=why, fix="Try again in a minute.")
    if _BUSY.search(message):
        return NotReady("something else is being done to it", why=why, fix="Try again in some minutes.")
    if 400 <= status < 500:
        return Refused(f"AWS refused {error.operation_name}", why=why)
    return VendorError(f"AWS failed at {error.operation_name}", why=why)


_NOT_ACCEPTED = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "MissingAuthenticationToken",
    }
)


def _of_botocore(error: Exception, service: str) -> TakeoverError:
    """What happened before or instead of an answer."""
    name = type(error).__name__
    if name in {"NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "SSOTokenLoadError"}:
        fix = "Log in (`aws sso login`), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        return AuthError("there are no AWS credentials that can be used", why=f"{error}", fix=fix)
    if name == "ParamValidationError":
        return Refused(f"{service} does not take this request", why=f"{error}")
    if name in {"EndpointConnectionError", "ConnectTimeoutError"}:
        return Unreachable(f"{service} does not answer", why=f"{error}")
    return VendorError(f"the connection to {service} broke", why=f"{name}: {error}")
