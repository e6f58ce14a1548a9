"""Names of what is made, and addresses: pure, so that deploying, looking and asking agree without a record."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from takeover.errors import Refused

__all__ = [
    "BASE_MODEL",
    "VARIANT",
    "Address",
    "adapter_key",
    "adapters_prefix",
    "archive_key",
    "base_component",
    "captured_prefix",
    "channel_name",
    "component_name",
    "digest_in",
    "invocation_url",
    "parse_address",
]

# One variant, whose name must never change: an update to another one is refused.
VARIANT = "main"
# The plain base, beside its adapters, for callers.
BASE_MODEL = "base"

_COMPONENTS = "inference-components"
_DIGEST = re.compile(r"/adapters/([0-9a-f]{64})(?:/|\.tar\.gz)")
# CreateInferenceComponent: letters, digits and dashes, at most 63 (botocore 1.43.117).
_LONGEST = 63


def _mark(endpoint: str) -> str:
    """Components are named in the whole account and region, not within an endpoint."""
    return hashlib.sha256(endpoint.encode()).hexdigest()[:8]


def _dashed(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def component_name(endpoint: str, served: str) -> str:
    """The inference component of an adapter's version: `tone-3fa9c1d20b77-<8 hex of the endpoint>`."""
    if served == BASE_MODEL:
        return base_component(endpoint)
    name, _, digest = served.rpartition("@")
    tail = f"-{digest}-{_mark(endpoint)}"
    return f"{_dashed(name)[: _LONGEST - len(tail)].strip('-') or 'adapter'}{tail}"


def base_component(endpoint: str) -> str:
    """The inference component that holds the base, below which the adapters' stand."""
    return f"base-{_mark(endpoint)}"


def channel_name(served: str) -> str:
    """Where SageMaker puts an adapter's files: /opt/ml/additional-model-data-sources/<this>/."""
    return served.replace("@", ".")


def adapters_prefix(endpoint: str) -> str:
    """Where an endpoint's adapters lie in the bucket, which several endpoints may share."""
    return f"{endpoint}/adapters/"


def captured_prefix(endpoint: str) -> str:
    """Where prompts and answers go, if they are asked for."""
    return f"{endpoint}/captured/"


def adapter_key(endpoint: str, digest: str) -> str:
    """The folder of an adapter's files in the bucket: its content is its name."""
    return f"{adapters_prefix(endpoint)}{digest.removeprefix('sha256:')}/"


def archive_key(endpoint: str, digest: str) -> str:
    """The adapter as one archive, which is what an inference component takes."""
    return f"{adapters_prefix(endpoint)}{digest.removeprefix('sha256:')}.tar.gz"


def digest_in(uri: str) -> str | None:
    """The digest that an address in the bucket stands for; None for one that we did not make."""
    found = _DIGEST.search(uri)
    return f"sha256:{found[1]}" if found else None


@dataclass(frozen=True)
class Address:
    """An endpoint as outputs have it: `root` is the runtime's address, without a path."""

    root: str
    endpoint: str
    has_components: bool

    @property
    def region(self) -> str | None:
        """As the host name tells it; None where it is another one (a private link's own name, a test)."""
        found = re.fullmatch(r"runtime\.sagemaker\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?", urlsplit(self.root).netloc)
        return found[1] if found else None


def invocation_url(region: str, endpoint: str, *, has_components: bool, root: str | None = None) -> str:
    """What outputs hold as `url`. The fragment is for our client alone: it is never sent."""
    end = ".cn" if region.startswith("cn-") else ""
    root = root or f"https://runtime.sagemaker.{region}.amazonaws.com{end}"
    return f"{root}/endpoints/{endpoint}/invocations" + (f"#{_COMPONENTS}" if has_components else "")


def parse_address(url: str) -> Address:
    """What `invocation_url` wrote. Refused when it is another address."""
    parts = urlsplit(url)
    found = re.fullmatch(r"/endpoints/([A-Za-z0-9](?:-*[A-Za-z0-9])*)/invocations", parts.path)
    if found is None:
        raise Refused(
            f"{url} is no address of a SageMaker endpoint",
            fix="It ends in /endpoints/NAME/invocations; `takeover outputs` shows it.",
            where="url",
        )
    return Address(f"{parts.scheme}://{parts.netloc}", found[1], parts.fragment == _COMPONENTS)
