"""Which cluster, and by which right: a kubeconfig's context, or the service account of the pod that this runs in.

The official `kubernetes` package reads the file (merging what KUBECONFIG lists, relative paths, certificates inline)
and runs the command of an `exec` credential (EKS: `aws eks get-token`); it is imported here only. The requests go by
httpx as all others do: its own client blocks, keeps what kinds there are in a shared temporary folder, and goes on
without a credential when the command fails (client-python 37, config/kube_config.py, read 2026-11-25).
"""

from __future__ import annotations

import os
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from takeover.errors import AuthError, Refused

__all__ = ["Access", "kubeconfig_paths", "open_access"]

_ENV = "KUBECONFIG"
_MISSING_FIX = "Set KUBECONFIG or takeover:kubernetes.kubeconfig; for EKS `aws eks update-kubeconfig --name CLUSTER`."


@dataclass(frozen=True)
class Access:
    """An API server, and how it is asked. `context` is "" inside of a cluster; a renewable token is short-lived."""

    server: str
    context: str
    namespace: str
    token: SecretStr | None = field(repr=False, default=None)
    tls: ssl.SSLContext | None = field(repr=False, default=None)
    proxy: str | None = field(repr=False, default=None)
    is_renewable: bool = False

    @property
    def called(self) -> str:
        """How messages name it."""
        where = f"the cluster of the context {self.context}" if self.context else "the cluster around this pod"
        return f"{where} ({urlsplit(self.server).netloc})"


def kubeconfig_paths(given: str | None, environment: Mapping[str, str]) -> list[Path]:
    """Those files that are there: what is given, else KUBECONFIG's, else ~/.kube/config. Refused where none is."""
    text = given or environment.get(_ENV) or "~/.kube/config"
    named = [Path(part).expanduser() for part in text.split(os.pathsep) if part]
    found = [path for path in named if path.is_file()]
    if found:
        return found
    raise Refused(
        f"there is no kubeconfig at {', '.join(map(str, named))}",
        why="It says which Kubernetes cluster is meant, and holds the right to change it.",
        fix=_MISSING_FIX,
        where=_ENV if not given and environment.get(_ENV) else "takeover:kubernetes.kubeconfig",
    )


def open_access(kubeconfig: str | None = None, context: str | None = None) -> Access:
    """Read the kubeconfig (running its credential command) or, without one, the pod's service account. Blocks.

    Raises Refused (no file, no such context, a broken file) and AuthError (the credential command fails).
    """
    from kubernetes.config.config_exception import ConfigException

    is_inside = "KUBERNETES_SERVICE_HOST" in os.environ and not (kubeconfig or os.environ.get(_ENV))
    try:
        if is_inside and not Path("~/.kube/config").expanduser().is_file():
            return _inside()
        return _by_file(kubeconfig_paths(kubeconfig, os.environ), context)
    except ConfigException as error:
        raise Refused(f"the kubeconfig cannot be used: {_first_line(error)}", fix=_MISSING_FIX) from None


def _inside() -> Access:
    from kubernetes.client import Configuration
    from kubernetes.config import load_incluster_config

    configuration = Configuration()
    load_incluster_config(client_configuration=configuration)
    namespace = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    return _access(configuration, "", namespace.read_text().strip() or "default", is_renewable=True)


def _by_file(paths: list[Path], context: str | None) -> Access:
    from kubernetes.client import Configuration
    from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger
    from yaml import YAMLError

    try:
        merged = KubeConfigMerger(os.pathsep.join(map(str, paths))).config
    except (YAMLError, UnicodeDecodeError, AttributeError, TypeError):
        raise Refused(f"{', '.join(map(str, paths))} is no kubeconfig", fix=_MISSING_FIX) from None
    chosen = _context(merged, context)
    is_renewable = _run_command(merged, chosen)
    configuration = Configuration()
    loader = KubeConfigLoader(config_dict=merged, active_context=str(chosen["name"]))
    loader.load_and_set(configuration)
    namespace = chosen["context"].safe_get("namespace") or "default"
    return _access(configuration, str(chosen["name"]), str(namespace), is_renewable=is_renewable)


def _context(merged: Any, wanted: str | None) -> Any:
    """The context that is asked for, else the current one; Refused, with the names there are."""
    name = wanted or (merged.safe_get("current-context") if merged else None)
    contexts = merged.safe_get("contexts") or []
    names = [str(each["name"]) for each in contexts if "name" in each]
    if name in names:
        return merged["contexts"].get_with_name(name)
    raise Refused(
        f"the kubeconfig has no context {name}" if name else "the kubeconfig has no current context",
        why=f"Its contexts: {', '.join(names)}." if names else "It has none at all.",
        fix="Name one of them in takeover:kubernetes.context, or add it there.",
        where="takeover:kubernetes.context",
    )


def _run_command(merged: Any, chosen: Any) -> bool:
    """Put in place of an `exec` credential what its command answers; whether there was one."""
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.exec_provider import ExecProvider

    context = str(chosen["name"])
    entry = merged["users"].get_with_name(chosen["context"].safe_get("user"), safe=True)
    user = entry["user"] if entry is not None and entry.safe_get("user") else None
    if user is None or "exec" not in user:
        return False
    command = user["exec"].safe_get("command") or "its command"
    try:
        cluster = merged["clusters"].get_with_name(chosen["context"]["cluster"])["cluster"]
        status = ExecProvider(user["exec"], str(Path(user.path).parent), cluster).run()
    except (ConfigException, OSError) as error:
        raise AuthError(
            f"{command} gave no credential for the context {context}",
            why=_first_line(error),
            fix="Log in again where that command looks (for AWS: aws sso login, or the profile in the kubeconfig).",
        ) from None
    del user.value["exec"]
    if "token" in status:
        user.value["token"] = status["token"]
    elif "clientCertificateData" in status and "clientKeyData" in status:
        user.value["client-certificate-data"] = _base64(status["clientCertificateData"])
        user.value["client-key-data"] = _base64(status["clientKeyData"])
    else:
        raise AuthError(f"{command} answered without a credential for the context {context}", fix="Log in again.")
    return True


def _base64(text: str) -> str:
    from base64 import b64encode

    return b64encode(text.encode()).decode()


def _access(configuration: Any, context: str, namespace: str, *, is_renewable: bool) -> Access:
    bearer = str(configuration.api_key.get("BearerToken") or "")
    server = str(configuration.host)
    return Access(
        server=server,
        context=context,
        namespace=namespace,
        token=SecretStr(bearer.removeprefix("Bearer ")) if bearer else None,
        tls=_tls(configuration) if server.startswith("https:") else None,
        proxy=str(configuration.proxy) if configuration.proxy else _proxy(server),
        is_renewable=is_renewable,
    )


def _tls(configuration: Any) -> ssl.SSLContext:
    """What the server is known by, and the certificate that we show."""
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
        if not configuration.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"the kubeconfig's certificates cannot be read: {_first_line(error)}", fix=_MISSING_FIX) from None
    return context


def _proxy(server: str) -> str | None:
    """The environment's, as kubectl takes it."""
    host = urlsplit(server).hostname or ""
    if host in {"localhost", "127.0.0.1", "::1"} or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(urlsplit(server).scheme)


def _first_line(error: Exception) -> str:
    """One line of what a library or a command said; a command's own words, cut short."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
