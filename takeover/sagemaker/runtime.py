"""OpenAI's chat over InvokeEndpoint: what is sent, and what SageMaker's own errors mean in OpenAI's terms. Pure.

Shapes: botocore 1.43.117, sagemaker-runtime. The server behind it takes OpenAI's bodies on /invocations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from takeover.sagemaker.names import BASE_MODEL, Address, component_name

__all__ = ["Answer", "Invocation", "Verdict", "build_invocation", "listed_models", "turned_failure", "verdict_on"]

_COMPONENT_HEADER = "X-Amzn-SageMaker-Inference-Component"
_NOT_ACCEPTED = re.compile(
    r"Expired\w*Token|ExpiredToken\w*|UnrecognizedClient\w*|InvalidClientTokenId|InvalidSignature\w*|"
    r"SignatureDoesNotMatch|IncompleteSignature\w*|MissingAuthenticationToken\w*"
)


@dataclass(frozen=True)
class Invocation:
    """A request without its signature."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def build_invocation(address: Address, question: Mapping[str, Any]) -> Invocation:
    """InvokeEndpoint, or InvokeEndpointWithResponseStream where the question asks for a stream.

    An endpoint without inference components finds the adapter by `model`; with them each adapter is a component.
    """
    path = "invocations-response-stream" if question.get("stream") else "invocations"
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if address.has_components:
        headers[_COMPONENT_HEADER] = component_name(address.endpoint, str(question.get("model", BASE_MODEL)))
    url = f"{address.root}/endpoints/{address.endpoint}/{path}"
    return Invocation(url, headers, json.dumps(dict(question)).encode())


def listed_models(served: Sequence[str]) -> dict[str, Any]:
    """What an OpenAI-style server would list: SageMaker has no such call. The base is the one without a parent."""
    adapters: list[dict[str, Any]] = [{"id": name, "object": "model", "parent": BASE_MODEL} for name in served]
    base: dict[str, Any] = {"id": BASE_MODEL, "object": "model", "parent": None}
    rest = {"created": 0, "owned_by": "sagemaker"}
    return {"object": "list", "data": [{**each, **rest} for each in (base, *adapters)]}


@dataclass(frozen=True)
class Verdict:
    """A failure in OpenAI's terms: a status that says what to do, SageMaker's code, a sentence."""

    status: int
    code: str
    said: str

    def to_json(self) -> dict[str, Any]:
        return {"error": {"message": self.said, "code": self.code, "type": "sagemaker"}}


def verdict_on(status: int, headers: Mapping[str, str], text: str) -> Verdict | None:
    """What a failure means; None where its status says so itself (and for 2xx).

    A failure of the container (424) is told with the container's own status, so that a bad request stays one.
    """
    if status < 300:
        return None
    body = _object(text)
    code = _header(headers, "x-amzn-errortype").partition(":")[0] or str(body.get("__type") or body.get("code") or "")
    code = code.rpartition("#")[2]
    said = str(body.get("message") or body.get("Message") or text)
    if status == 424 or code == "ModelError":
        return _of_container(body, said)
    if code == "ModelNotReadyException":
        return Verdict(503, code, said)
    if code in {"ThrottlingException", "Throttling", "TooManyRequestsException"}:
        return Verdict(429, code, said)
    if _NOT_ACCEPTED.fullmatch(code):
        return Verdict(401, code, said)
    if status == 400 and re.search(r"no capacity", said, re.IGNORECASE):
        return Verdict(503, "cold_start", said)
    if status == 400 and re.search(r"not found|could not find", said, re.IGNORECASE):
        return Verdict(404, code or "ValidationError", said)
    return Verdict(status, code, said) if code else None


@dataclass(frozen=True)
class Answer:
    """An answer's parts, for whatever HTTP library carries it on."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# Of a failure's headers; its request id goes under the name that our readers look for.
_KEPT = frozenset({"retry-after", "date", "x-request-id", "location"})


def turned_failure(status: int, headers: Mapping[str, str], text: str) -> Answer:
    """A failure as an OpenAI-style server would tell it."""
    kept = {name.lower(): value for name, value in headers.items() if name.lower() in _KEPT}
    if request_id := _header(headers, "x-amzn-requestid"):
        kept.setdefault("x-request-id", request_id)
    verdict = verdict_on(status, headers, text)
    if verdict is None:
        return Answer(status, kept, text.encode())
    kept["content-type"] = "application/json"
    return Answer(verdict.status, kept, json.dumps(verdict.to_json()).encode())


def _of_container(body: Mapping[str, Any], said: str) -> Verdict:
    original = body.get("OriginalStatusCode")
    inner = _object(str(body.get("OriginalMessage") or ""))
    error = inner.get("error", inner)
    words = error.get("message") if isinstance(error, dict) else error
    status = original if isinstance(original, int) and 400 <= original < 600 else 500
    return Verdict(status, "ModelError", str(words or body.get("OriginalMessage") or said))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _header(headers: Mapping[str, str], name: str) -> str:
    return {key.lower(): value for key, value in headers.items()}.get(name, "")
