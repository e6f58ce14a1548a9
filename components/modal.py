"""Modal in a stack: the real `modal deploy` and `modal app stop` through pulumi-command, and one resource that looks.

Four resources, in this order, so that nothing is ever forgotten, whenever a run is killed:
- `place` makes nothing and owns the end: its deletion stops the app and removes the endpoint's volume. It is in the
  state before anything exists, so that `destroy` also finds what a killed `deploy` had begun.
- `deploy` runs `modal deploy`. The adapters' digests and the hash of the app's source trigger it anew; the settings are
  its environment. Credentials are inherited from whoever runs Pulumi and are no input.
- `endpoint`, of the native provider, finds deployed what it asks for, puts a question to each adapter, and only then
  gives its outputs. A refresh looks through it, and mends through the same ModalProvider what somebody changed by hand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import pulumi
from pulumi_command import local

from components.endpoint import Endpoint
from components.hosting import Hosting, HostingArgs
from takeover.home import project_root
from takeover.modal_contract import ContainerSettings, container_environment
from takeover.providers._modal_credentials import require_credentials
from takeover.providers._modal_options import build_settings
from takeover.providers._modal_source import source_hash

__all__ = ["ModalHosting", "deploy_command", "sentence"]

# The project's Python, wherever the engine was started from; commands run in the project's folder.
_STEP = '"${TAKEOVER_PYTHON:-.venv/bin/python}" -m takeover.providers._modal_steps'


class ModalHosting(Hosting):
    """`takeover:hosting:Modal`. Refused or AuthError in the preview already, before anything is made."""

    def __init__(self, name: str, args: HostingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = build_settings(args.models, args.spec, root=project_root())
        require_credentials(os.environ)
        super().__init__("takeover:hosting:Modal", name, {}, opts)
        pulumi.log.info(sentence(settings))
        place = self._command(
            "place", [settings.name], create="true", delete=f"{_STEP} down {settings.name}", protect=args.protect
        )
        deploy = self._command(
            "deploy",
            [*(adapter.digest for adapter in settings.adapters), source_hash()],
            create=deploy_command(settings),
            environment=container_environment(settings),
            after=[place],
        )
        endpoint = Endpoint(
            "endpoint",
            provider=args.tier.name,
            models=args.models,
            spec=args.spec,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[deploy], protect=args.protect),
        )
        self._answered_by(endpoint)

    def _command(
        self,
        name: str,
        triggers: Sequence[str],
        *,
        create: str,
        delete: str | None = None,
        environment: Mapping[str, str] | None = None,
        after: Sequence[pulumi.Resource] = (),
        protect: bool = False,
    ) -> local.Command:
        return local.Command(
            name,
            create=create,
            delete=delete,
            environment=dict(environment or {}),
            triggers=list(triggers),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after), protect=protect),
        )


def deploy_command(settings: ContainerSettings) -> str:
    """What the shell runs: `modal deploy` with its errors in our words."""
    return f"{_STEP} deploy {settings.name}"


def sentence(settings: ContainerSettings) -> str:
    """What a change means here, in words."""
    count = len(settings.adapters)
    adapters = "adapter" if count == 1 else f"{count} adapters"
    return (
        f"modal: a change of adapter redeploys the app {settings.name} ({settings.gpu}, {adapters}). The version "
        "before answers until the new one does, and its adapter stays served under its name until the next change; "
        "the first start after a redeploy is a slow one."
    )
