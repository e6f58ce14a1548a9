"""`takeover:dedicated-vllm` and the variables beside it, as the provider takes them. Pure.

SGLang's routes and the form of its model names were read in sglang 0.5.23 (srt/entrypoints/http_server.py,
srt/entrypoints/openai/serving_base.py, srt/utils/auth.py, 2026-11-24): adapters are loaded without `/v1`, need the
admin key where there is one, and are asked for as `base:adapter`; of a name without a colon only the base is taken,
without a word. Whatever stands before the colon is not looked at, so it is `lora` here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from takeover.errors import Refusals, Refused
from takeover.providers._base import TrainedModel
from takeover.providers._local_engines import vllm_rank
from takeover.providers._openai import Server
from takeover.settings import DedicatedVllmOptions
from takeover.settings._dedicated_vllm import dedicated_vllm_mistakes

__all__ = [
    "ADMIN_KEY",
    "KEY",
    "URL",
    "Cluster",
    "Engine",
    "cluster_of",
    "engine_of",
    "key_of",
    "parse_options",
    "pull_path",
]

URL, KEY, ADMIN_KEY = "VLLM_CLUSTER_URL", "VLLM_API_KEY", "VLLM_ADMIN_API_KEY"
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")


@dataclass(frozen=True)
class Engine:
    """How one engine differs from another. `asked_prefix` stands before an adapter's name in a request."""

    name: str
    adapter_routes: str
    asked_prefix: str
    flags: str

    def asked(self, name: str) -> str:
        """The name that callers ask for."""
        return self.asked_prefix + name

    def loaded(self, name: str) -> str:
        """The name that the adapter is loaded under, from the one that callers ask for."""
        return name.removeprefix(self.asked_prefix)

    def start_words(self, rank: int) -> str:
        """What the server must be started with to take adapters of this rank at run time."""
        return self.flags.format(rank=vllm_rank(rank))


_ENGINES: Mapping[str, Engine] = {
    "vllm": Engine(
        "vllm",
        "/v1",
        "",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment, --enable-lora and --max-lora-rank {rank}",
    ),
    "sglang": Engine("sglang", "", "lora:", "--enable-lora, --max-lora-rank {rank} and --lora-target-modules"),
}


def engine_of(options: DedicatedVllmOptions) -> Engine:
    return _ENGINES[options.engine]


@dataclass(frozen=True)
class Cluster:
    """The address that applications ask, without `/v1`, and the keys. `admin` is None where one key does both."""

    root: str
    key: SecretStr | None
    admin: SecretStr | None

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine, as far as its address says so."""
        return _LOOPBACK.fullmatch(urlsplit(self.root).hostname or "") is not None

    def server(self, engine: Engine, root: str = "") -> Server:
        where = root or self.root
        return Server(where, self.key, f"the server at {where}", self.admin, engine.adapter_routes)


def cluster_of(environment: Mapping[str, str]) -> Cluster:
    """The cluster that the variables name; Refused when they name none."""
    said = environment.get(URL, "").strip()
    if not said:
        raise Refused(
            f"{URL} is not set",
            why="It is the address of your vLLM server, or of the balancer before several. Nothing was created.",
            fix=f"export {URL}=https://HOST[:PORT], and {KEY}=... if the server was started with --api-key.",
            where=URL,
        )
    return Cluster(_root(said), key_of(environment), _secret(environment, ADMIN_KEY))


def key_of(environment: Mapping[str, str]) -> SecretStr | None:
    """The key that applications get; None where the server asks for none."""
    return _secret(environment, KEY)


def _root(said: str) -> str:
    try:
        parts = urlsplit(said)
        _ = parts.port
    except ValueError:
        raise Refused(f"{URL} is no address", fix="Write http://HOST:PORT or https://HOST.", where=URL) from None
    if "@" in parts.netloc:
        # Not quoted: it would end in the outputs, and on the screen.
        raise Refused(
            f"{URL} holds a name or a password", fix=f"Leave it out, and set {KEY} to the server's key.", where=URL
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise Refused(f"{URL} is {said}, no address", fix="Write http://HOST:PORT or https://HOST.", where=URL)
    return said.rstrip("/").removesuffix("/v1").rstrip("/")


def _secret(environment: Mapping[str, str], name: str) -> SecretStr | None:
    text = environment.get(name, "").strip()
    return SecretStr(text) if text else None


def parse_options(options: Mapping[str, Any]) -> DedicatedVllmOptions:
    """The options with their defaults; Refusals with every wrong one."""
    try:
        parsed = DedicatedVllmOptions.model_validate(dict(options))
    except ValidationError as error:
        raise Refusals("the options of dedicated-vllm", [_mistake(dict(found)) for found in error.errors()]) from None
    Refusals.raise_if_any("the options of dedicated-vllm", dedicated_vllm_mistakes(parsed))
    return parsed


def _mistake(found: Mapping[str, Any]) -> Refused:
    path = ".".join(str(part) for part in ("takeover:dedicated-vllm", *found["loc"]))
    return Refused(f"{found['msg']}", fix="docs/settings.md lists what takeover:dedicated-vllm takes.", where=path)


def pull_path(template: str, model: TrainedModel) -> str:
    """`pullFrom` for one adapter: the places are {name}, {digest} (64 hex) and {digest12}."""
    digest = model.digest.removeprefix("sha256:")
    return template.replace("{name}", model.name).replace("{digest}", digest).replace("{digest12}", digest[:12])
