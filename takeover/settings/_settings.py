"""Everything that one stack says, checked; and which key holds the chosen tier's own options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from takeover.errors import Refused
from takeover.settings._dedicated_vllm import dedicated_vllm_mistakes
from takeover.settings._eks import EksOptions
from takeover.settings._eks_mistakes import eks_mistakes
from takeover.settings._kubernetes import KubernetesOptions, kubernetes_mistakes
from takeover.settings._models import (
    AdapterSource,
    Budget,
    DedicatedVllmOptions,
    Hosting,
    LocalOptions,
    ModalOptions,
    Workload,
)
from takeover.settings._sagemaker import SageMakerOptions, sagemaker_mistakes

__all__ = ["OPTIONS", "OptionsKey", "Settings"]


def _nothing(*_: Any) -> Iterator[Refused]:
    """Where each key stands for itself."""
    return iter(())


@dataclass(frozen=True)
class OptionsKey:
    """`takeover:<key>`: its type, the (provider, clusters) that it is for, what its keys say wrong together.

    `mistakes` takes the options, the hosting (None where that is wrong itself, or another tier is chosen), the number
    of adapters, and the options of the keys before this one.
    """

    model: type[BaseModel]
    provider: str
    clusters: tuple[str | None, ...] = (None,)
    mistakes: Callable[..., Iterator[Refused]] = _nothing

    def is_for(self, hosting: Hosting) -> bool:
        return hosting.provider == self.provider and hosting.cluster in self.clusters


OPTIONS: Mapping[str, OptionsKey] = MappingProxyType(
    {
        "local": OptionsKey(LocalOptions, "local"),
        "modal": OptionsKey(ModalOptions, "modal"),
        "dedicated-vllm": OptionsKey(
            DedicatedVllmOptions,
            "dedicated-vllm",
            (None, "existing", "runpod", "lambda", "vast"),
            lambda options, *_: dedicated_vllm_mistakes(options),
        ),
        "kubernetes": OptionsKey(
            KubernetesOptions,
            "dedicated-vllm",
            ("kubernetes", "eks"),
            lambda options, hosting, *_: kubernetes_mistakes(options, hosting),
        ),
        "eks": OptionsKey(
            EksOptions,
            "dedicated-vllm",
            ("eks",),
            lambda options, hosting, _, others: eks_mistakes(options, hosting, others["kubernetes"]),
        ),
        "sagemaker": OptionsKey(
            SageMakerOptions,
            "sagemaker",
            mistakes=lambda options, hosting, adapters, _: sagemaker_mistakes(options, hosting, adapters),
        ),
    }
)


class Settings(BaseModel):
    """Everything that one stack says, checked. A tier's own options are None where another one is chosen.

    `previous_sources` are served too while callers may still ask for them, and are no part of the outputs. `unused` are
    the keys of other tiers that the file holds all the same.
    """

    # Built by us from checked parts, under Python's names.
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    stack: str
    hosting: Hosting
    adapter_sources: tuple[AdapterSource, ...]
    previous_sources: tuple[AdapterSource, ...] = ()
    workload: Workload | None = None
    budget: Budget | None = None
    local: LocalOptions | None = None
    modal: ModalOptions | None = None
    dedicated_vllm: DedicatedVllmOptions | None = None
    kubernetes: KubernetesOptions | None = None
    eks: EksOptions | None = None
    sagemaker: SageMakerOptions | None = None
    unused: tuple[str, ...] = ()

    def options(self) -> dict[str, Any]:
        """What the endpoint's provider is told, in camelCase with the defaults: `EndpointSpec.options`.

        On EKS these are the ones of Kubernetes: `eks` says what lies below.
        """
        chosen = self.local or self.modal or self.dedicated_vllm or self.kubernetes or self.sagemaker
        return chosen.model_dump(mode="json", exclude_none=True) if chosen is not None else {}
