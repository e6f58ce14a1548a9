"""The containers of the fake: the app's own guard, over an engine that is a stand-in for vLLM.

One HTTP server plays all of it: `/acme--<app>-endpoint-web/...` is an app's address, `/_engine/<container>/...` what
listens on a container's loopback, `/_blocks/<sha256>` where Modal hands out the content of a volume's file.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.modal_state import App, State
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.container.app import create_app
from serving.container.cold_start import ColdStart
from takeover.modal_contract import KEY_FILE, ContainerSettings, adapter_folder, parse_container_settings

METRICS = """\
# TYPE vllm:request_success_total counter
vllm:request_success_total{{finished_reason="stop"}} {answered}
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total {tokens}
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total {tokens}
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting 0
"""


@dataclass
class Container:
    """One running container of an app's version."""

    number: int
    version: int
    settings: ContainerSettings
    key: str = field(repr=False)
    app: ASGIApp | None = None
    answered: int = 0


class Web:
    """Starts a container when an app is asked and has none of its present version; a test may stop it again."""

    def __init__(self, state: State, violation: Callable[[str], None]) -> None:
        self.state = state
        self.violation = violation
        self.root = ""
        self.containers: dict[str, Container] = {}
        self.counts: dict[str, list[int]] = {}
        self.dies: list[str] = []
        self.starts_ms = 0
        self._numbers = itertools.count(1)

    def runners(self, app_id: str) -> int:
        return int(app_id in self.containers)

    def answered(self, app_id: str) -> tuple[int, int]:
        done, failed = self.counts.get(app_id, [0, 0])
        return done, failed

    def stop(self, app_id: str) -> None:
        """As after the scaledown window: the next request is a cold start."""
        self.containers.pop(app_id, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        _, first, *rest = scope["path"].split("/")
        below = "/" + "/".join(rest)
        if first == "_blocks":
            await Response(self.state.blobs[rest[0]])(scope, receive, send)
        elif first == "_engine":
            await self._engine(int(rest[0]), "/" + "/".join(rest[1:]), Request(scope, receive))(scope, receive, send)
        else:
            await self._address(first, {**scope, "path": below, "raw_path": below.encode()}, receive, send)

    async def _address(self, host: str, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._by_host(host)
        if app is None:
            await PlainTextResponse("modal-http: invalid function call", 404)(scope, receive, send)
            return
        container = self._container(app)
        if container is None:
            self.counts.setdefault(app.id, [0, 0])[1] += 1
            await PlainTextResponse("modal-http: internal error: function crashed", 500)(scope, receive, send)
            return
        self.counts.setdefault(app.id, [0, 0])[0] += 1
        assert container.app is not None
        await container.app(scope, receive, send)

    def _by_host(self, host: str) -> App | None:
        name = host.removeprefix("acme--").removesuffix("-endpoint-web")
        return self.state.deployed(name)

    def _container(self, app: App) -> Container | None:
        running = self.containers.get(app.id)
        if running is not None and running.version == app.version:
            return running
        if self.dies:
            app.logs += [*self.dies, "Runner failed with exit code: 1"]
            return None
        began = time.time()
        settings = parse_container_settings(self.state.environment_of(self.state.service(app).definition))
        container = Container(next(self._numbers), app.version, settings, self._key(settings))
        self._require_files(settings)
        cold = ColdStart()
        cold.started(began - self.starts_ms / 1000)
        container.app = create_app(
            f"{self.root}/_engine/{container.number}", settings, key=SecretStr(container.key), cold=cold
        )
        self.containers[app.id] = container
        app.logs.append(f"serving {', '.join(adapter.served_name for adapter in settings.served)}")
        return container

    def _key(self, settings: ContainerSettings) -> str:
        volume = self.state.volume(settings.name)
        assert volume is not None
        return self.state.blobs[volume.files[KEY_FILE]].decode()

    def _require_files(self, settings: ContainerSettings) -> None:
        volume = self.state.volume(settings.name)
        assert volume is not None
        for adapter in settings.served:
            if f"{adapter_folder(adapter.digest)}/manifest.json" not in volume.files:
                self.violation(f"{adapter.served_name} is to be served and is not in the volume")

    def store_as_folder(self, name: str) -> Path:
        """The volume as a folder, for what runs in a container."""
        volume = self.state.volume(name)
        assert volume is not None
        folder = Path(tempfile.mkdtemp())
        for path, digest in volume.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(self.state.blobs[digest])
        return folder

    def _engine(self, number: int, path: str, request: Request) -> ASGIApp:
        """What vLLM would answer; undescribed is a violation, for only the guard can ask here."""
        container = next((each for each in self.containers.values() if each.number == number), None)
        if container is None:
            return Response(status_code=502)
        answers: dict[str, Callable[[Container], ASGIApp]] = {
            "GET /health": lambda _container: Response(),
            "GET /metrics": lambda c: PlainTextResponse(METRICS.format(answered=c.answered, tokens=7 * c.answered)),
            "GET /v1/models": lambda c: JSONResponse({"object": "list", "data": cards(c.settings)}),
            "POST /v1/completions": lambda c: Answering(c, "text_completion", request),
            "POST /v1/chat/completions": lambda c: Answering(c, "chat.completion", request),
        }
        key = f"{request.method} {path}"
        if key not in answers:
            self.violation(f"the guard let {key} pass")
            return Response(status_code=404)
        return answers[key](container)


@dataclass
class Answering:
    """A completion: the model's name and the prompt, or 404 for a model that is not served."""

    container: Container
    kind: str
    request: Request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self.request.json()
        names = {self.container.settings.base, *(each.served_name for each in self.container.settings.served)}
        if body["model"] not in names:
            error = {"message": f"The model `{body['model']}` does not exist.", "code": 404}
            await JSONResponse({"error": error}, 404)(scope, receive, send)
            return
        self.container.answered += 1
        text = f"{body['model']} says: {body.get('prompt') or body['messages'][-1]['content']}"
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        choice |= {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 7, "completion_tokens": 7, "total_tokens": 14}
        answer = {"id": "cmpl-1", "object": self.kind, "created": 0, "model": body["model"], "choices": [choice]}
        if body.get("stream"):
            delta = {"index": 0, "finish_reason": "stop", "delta": {"role": "assistant", "content": text}}
            chunk = {**answer, "object": f"{self.kind}.chunk", "choices": [delta]}
            told = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
            await Response(told, media_type="text/event-stream")(scope, receive, send)
            return
        await JSONResponse({**answer, "usage": usage})(scope, receive, send)


def cards(settings: ContainerSettings) -> list[dict[str, Any]]:
    base = {
        "id": settings.base,
        "object": "model",
        "created": 0,
        "owned_by": "vllm",
        "root": "/bases/x",
        "parent": None,
    }
    adapters = [{**base, "id": adapter.served_name, "parent": settings.base} for adapter in settings.served]
    return [base, *adapters]
