"""Where the endpoint's API key comes from. It is a secret wherever Pulumi sees it, and no manifest holds it.

1. `apiKeySecret`: a Secret that somebody else made. It is read, so that the stack's outputs have the key.
2. `externalSecret`: External Secrets makes it. The outputs have no key: who may have it asks the store.
3. TAKEOVER_API_KEY in the environment of whoever runs Pulumi: the stack makes the Secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from takeover.errors import Refused
from takeover.providers._kube_place import KEY_VARIABLE, key_mark
from takeover.settings._kubernetes import KubernetesOptions

__all__ = ["ApiKey", "api_key_for"]

_SHORTEST = 24


@dataclass(frozen=True)
class ApiKey:
    """`mark` changes with a key that the stack itself brings, so that pods with another one are started."""

    origin: Literal["secret", "store", "environment"]
    value: str = field(default="", repr=False)

    @property
    def mark(self) -> str:
        return key_mark(self.value)


def api_key_for(options: KubernetesOptions, environment: Mapping[str, str]) -> ApiKey:
    """Refused where there is none, or one that can be guessed."""
    if options.api_key_secret is not None:
        return ApiKey("secret")
    if options.external_secret is not None:
        return ApiKey("store")
    value = environment.get(KEY_VARIABLE, "")
    if len(value) >= _SHORTEST and value.isprintable() and " " not in value:
        return ApiKey("environment", value)
    raise Refused(
        f"{KEY_VARIABLE} is {'not set' if not value else f'no key of {_SHORTEST} characters or more'}",
        why="Everybody who reaches the endpoint could ask it.",
        fix=f"export {KEY_VARIABLE}=$(openssl rand -hex 32), or name a Secret in takeover:kubernetes.apiKeySecret.",
        where=KEY_VARIABLE,
    )
