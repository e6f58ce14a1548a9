"""vLLM on a Kubernetes cluster in a stack. pulumi_kubernetes is imported here, and by EKS."""

from __future__ import annotations

from components.kubernetes.component import KubernetesVllm
from components.kubernetes.key import ApiKey, api_key_for
from components.kubernetes.objects import Declared, declare

__all__ = ["ApiKey", "Declared", "KubernetesVllm", "api_key_for", "declare"]
