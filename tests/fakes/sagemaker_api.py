"""A small SageMaker at the HTTP edge: control plane, runtime, Application Auto Scaling and CloudWatch Logs.

Every request is held against botocore's model of the service, more strictly than botocore does itself, and every
question's signature against the secret key. S3 and CloudWatch are moto's.
"""

from __future__ import annotations

import json
import struct
import threading
from binascii import crc32
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from fakes.aws_shapes import operation, wrong_in
from fakes.sagemaker_state import Fails, State

ACCESS_KEY, SECRET_KEY = "AKIAFAKE", "a-key-that-must-not-be-seen"
_TARGETS = {"SageMaker": "sagemaker", "AnyScaleFrontendService": "application-autoscaling", "Logs_20140328": "logs"}


class FakeSageMaker:
    """A server on the loopback while the block lasts; `environment` makes boto3 ask it."""

    def __init__(self) -> None:
        self.state = State()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.violations: list[str] = self.state.violations
        self.answers: list[tuple[int, Mapping[str, str], str]] = []
        self.lock = threading.RLock()

    def __enter__(self) -> FakeSageMaker:
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        ours = ("SAGEMAKER", "SAGEMAKER_RUNTIME", "APPLICATION_AUTO_SCALING", "CLOUDWATCH_LOGS")
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": self.state.region,
            "AWS_DEFAULT_REGION": self.state.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            **{f"AWS_ENDPOINT_URL_{name}": self.url for name in ours},
        }

    def control(self, target: str, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """One call of a JSON service."""
        prefix, _, name = target.partition(".")
        model = operation(_TARGETS[prefix], name)
        wrong = list(wrong_in(model.input_shape, given)) if model.input_shape else []
        with self.lock:
            self.calls.append((name, given))
            if wrong:
                self.violations += [f"{name}: {each}" for each in wrong]
                return 400, {"__type": "ValidationException", "message": "; ".join(wrong)}
            try:
                return 200, self.state.call(name, given)
            except Fails as error:
                return error.status, {"__type": error.code, "message": str(error)}


class _Handler(BaseHTTPRequestHandler):
    fake: FakeSageMaker
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: else each call waits 40 ms for the client's acknowledgement.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        return

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target")
        if target:
            self._answer(*self.fake.control(target, json.loads(body or b"{}")))
        else:
            self._invoke(body)

    def _invoke(self, body: bytes) -> None:
        _, _, endpoint, kind = self.path.split("/")
        streamed = kind == "invocations-response-stream"
        name = "InvokeEndpointWithResponseStream" if streamed else "InvokeEndpoint"
        with self.fake.lock:
            self.fake.calls.append((name, json.loads(body)))
            if self.fake.answers:
                status, headers, text = self.fake.answers.pop(0)
                self._send(status, text.encode(), {"Content-Type": "application/json", **headers})
                return
            if not _is_signed(self, body):
                self._answer(403, {"message": "The request signature does not match."}, "InvalidSignatureException")
                return
            component = self.headers.get("X-Amzn-SageMaker-Inference-Component")
            try:
                model = self.fake.state.model_for(endpoint, component, json.loads(body))
            except Fails as error:
                self._fail(error)
                return
        self._stream(model, json.loads(body)) if streamed else self._whole(model, json.loads(body))

    def _fail(self, error: Fails) -> None:
        if error.code != "ModelError":
            self._answer(error.status, {"message": str(error)}, error.code)
            return
        inner = {"error": {"message": str(error), "type": "NotFoundError", "code": error.status}}
        said = {
            "ErrorCode": "CLIENT_ERROR_FROM_MODEL",
            "LogStreamArn": "arn:aws:logs:x",
            "Message": f"Received client error ({error.status}) from primary",
            "OriginalMessage": json.dumps(inner),
            "OriginalStatusCode": error.status,
        }
        self._answer(424, said, "ModelError")

    def _whole(self, model: str, question: dict[str, Any]) -> None:
        text = answer_to(model, question)
        choice = {"message": {"role": "assistant", "content": text}} if "messages" in question else {"text": text}
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        told = {"id": "cmpl-1", "object": "chat.completion", "created": 1, "model": model, "usage": usage}
        self._answer(200, {**told, "choices": [{"index": 0, "finish_reason": "stop", **choice}]})

    def _stream(self, model: str, question: dict[str, Any]) -> None:
        """Pieces that are cut anywhere, as the real service cuts them."""
        text = b"".join(_chunks(model, answer_to(model, question)))
        parts = [text[:10], text[10:37], text[37:]]
        data = b"".join(event({":message-type": "event", ":event-type": "PayloadPart"}, part) for part in parts)
        self._send(200, data, {"Content-Type": "application/vnd.amazon.eventstream"})

    def _answer(self, status: int, value: dict[str, Any], error: str = "") -> None:
        headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "req-1"}
        self._send(status, json.dumps(value).encode(), {**headers, **({"x-amzn-ErrorType": error} if error else {})})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def answer_to(model: str, question: dict[str, Any]) -> str:
    said = question["messages"][-1]["content"] if "messages" in question else question.get("prompt", "")
    return f"{model} hears: {said}"


def _chunks(model: str, text: str) -> list[bytes]:
    chunks: list[dict[str, Any]] = [{"delta": {"content": text[at : at + 5]}} for at in range(0, len(text), 5)]
    chunks.append({"delta": {}, "finish_reason": "stop"})
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}
    lines = [json.dumps({**head, "choices": [{"index": 0, "finish_reason": None, **each}]}) for each in chunks]
    return [f"data: {line}\n\n".encode() for line in (*lines, "[DONE]")]


def event(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message of `application/vnd.amazon.eventstream`."""
    packed = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack("!I", crc32(prelude)) + packed + payload
    return message + struct.pack("!I", crc32(message))


def _is_signed(handler: BaseHTTPRequestHandler, body: bytes) -> bool:
    """Whether the signature is the one that the secret key gives for just this request."""
    said = dict(part.strip().split("=", 1) for part in handler.headers["Authorization"].split(" ", 1)[1].split(","))
    _, _, region, service, _ = said["Credential"].split("/")
    names = said["SignedHeaders"].split(";")
    url = f"http://{handler.headers['Host']}{handler.path}"
    headers = {name: handler.headers[name] for name in names if name != "host"}
    request = AWSRequest(method="POST", url=url, data=body, headers=headers)
    request.context["timestamp"] = handler.headers["X-Amz-Date"]
    auth = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), service, region)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return service == "sagemaker" and auth.signature(text, request) == said["Signature"]
