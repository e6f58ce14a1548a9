"""A kubeconfig with one context, of a cluster that nobody has."""

from __future__ import annotations

__all__ = ["KUBECONFIG", "SERVER"]

SERVER = "https://203.0.113.10:6443"
KUBECONFIG = f"""\
apiVersion: v1
kind: Config
current-context: prod
clusters: [{{name: prod, cluster: {{server: "{SERVER}"}}}}]
contexts: [{{name: prod, context: {{cluster: prod, user: me}}}}]
users: [{{name: me, user: {{token: not-a-real-token}}}}]
"""
