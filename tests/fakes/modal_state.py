"""What the fake of Modal keeps: apps with their versions, functions, images, mounts, volumes, secrets."""

from __future__ import annotations

import hashlib
import itertools
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modal_proto import api_pb2 as api

ALPHABET = string.ascii_letters + string.digits


@dataclass
class App:
    id: str
    name: str
    tags: dict[str, str]
    state: int = api.APP_STATE_INITIALIZING
    version: int = 0
    functions: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    # What is being made, and becomes `functions` and `classes` with the publishing.
    drafts: dict[str, str] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        return self.state == api.APP_STATE_DEPLOYED


@dataclass
class Function:
    id: str
    app_id: str
    name: str
    definition: api.Function
    # The definition that containers run: another one than `definition` only while a deploy is under way.
    published: api.Function | None = None
    override: api.AutoscalerSettings | None = None

    @property
    def is_class(self) -> bool:
        return self.definition.is_class


@dataclass
class Volume:
    id: str
    name: str
    files: dict[str, str] = field(default_factory=dict)


@dataclass
class Secret:
    """`values` arrive in clear; nothing here ever prints them."""

    id: str
    name: str
    values: Mapping[str, str] = field(repr=False, default_factory=dict)


@dataclass
class State:
    apps: dict[str, App] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    images: dict[str, api.Image] = field(default_factory=dict)
    mounts: dict[str, dict[str, str]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def new_id(self, prefix: str) -> str:
        """`ap-` and 22 letters or digits, as the client expects of an app."""
        digest = hashlib.sha256(f"{prefix}{next(self._numbers)}".encode()).digest()
        return f"{prefix}-{''.join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:22])}"

    def deployed(self, name: str) -> App | None:
        return next((a for a in self.apps.values() if a.name == name and a.state == api.APP_STATE_DEPLOYED), None)

    def stopped(self, name: str) -> App | None:
        """The last one of that name that was stopped."""
        found = [app for app in self.apps.values() if app.name == name and app.state == api.APP_STATE_STOPPED]
        return found[-1] if found else None

    def volume(self, name: str) -> Volume | None:
        return next((volume for volume in self.volumes.values() if volume.name == name), None)

    def secret(self, name: str) -> Secret | None:
        return next((secret for secret in self.secrets.values() if secret.name == name), None)

    def service(self, app: App) -> Function:
        """The function behind the app's class."""
        return next(self.functions[each] for each in app.functions.values() if self.functions[each].is_class)

    def environment_of(self, definition: Any) -> dict[str, str]:
        """What a container of this function finds in its environment."""
        values: dict[str, str] = {}
        for secret_id in definition.secret_ids:
            values |= self.secrets[secret_id].values
        return values

    def image_key(self, image: api.Image) -> str:
        return hashlib.sha256(image.SerializeToString(deterministic=True)).hexdigest()
