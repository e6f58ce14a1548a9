"""Google Cloud Storage on the loopback, as far as gcsfs needs it for plain objects (STORAGE_EMULATOR_HOST).

The paths are those of the JSON API (cloud.google.com/storage/docs/json_api, read through gcsfs 2026.9); what is asked
beyond them goes to `complaints`. Objects are kept by bucket and name.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


class FakeGcs:
    def __init__(self, *buckets: str) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {name: {} for name in buckets}
        self.uploads: dict[str, tuple[str, str, bytes]] = {}
        self.complaints: list[str] = []
        handler = type("Bound", (Handler,), {"gcs": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def resource(self, bucket: str, name: str) -> dict[str, Any]:
        data = self.buckets[bucket][name]
        md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
        facts = {"kind": "storage#object", "bucket": bucket, "name": name, "size": str(len(data)), "md5Hash": md5}
        dates = dict.fromkeys(("timeCreated", "updated"), "2026-11-25T00:00:00.000Z")
        return {**facts, **dates, "id": f"{bucket}/{name}/1", "generation": "1", "storageClass": "STANDARD"}


class Handler(BaseHTTPRequestHandler):
    gcs: FakeGcs
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if match := re.fullmatch(r"(?:/download)?/storage/v1/b/([^/]+)/o/(.+)", url.path):
            self.read(match[1], unquote(match[2]), "media" in parse_qs(url.query).get("alt", []))
        elif match := re.fullmatch(r"/storage/v1/b/([^/]+)/o/?", url.path):
            self.list(match[1], {name: values[0] for name, values in parse_qs(url.query).items()})
        elif match := re.fullmatch(r"/storage/v1/b/([^/]+)", url.path):
            self.json({"kind": "storage#bucket", "name": match[1]}, 200 if match[1] in self.gcs.buckets else 404)
        else:
            self.undescribed()

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match = re.fullmatch(r"/upload/storage/v1/b/([^/]+)/o", url.path)
        if self.path in self.gcs.uploads:
            self.piece(body)
        elif match is None:
            self.undescribed()
        elif match[1] not in self.gcs.buckets:
            self.missing()
        elif parse_qs(url.query)["uploadType"] == ["multipart"]:
            boundary = re.search(r"boundary=[\"']?([^\"';]+)", self.headers["Content-Type"])
            assert boundary is not None
            about, content = body.split(f"--{boundary[1]}".encode())[1:3]
            name = json.loads(about.split(b"\n\n", 1)[1])["name"]
            self.gcs.buckets[match[1]][name] = content.split(b"\n\n", 1)[1].removesuffix(b"\n")
            self.json(self.gcs.resource(match[1], name))
        elif parse_qs(url.query)["uploadType"] == ["resumable"]:
            upload = f"/upload/storage/v1/b/{match[1]}/o?uploadType=resumable&upload_id={len(self.gcs.uploads)}"
            self.gcs.uploads[upload] = (match[1], json.loads(body)["name"], b"")
            self.answer(200, b"", {"Location": self.gcs.url + upload})
        else:
            self.undescribed()

    def piece(self, body: bytes) -> None:
        """Of an upload in pieces."""
        bucket, name, had = self.gcs.uploads[self.path]
        self.gcs.uploads[self.path] = (bucket, name, had + body)
        if self.headers["Content-Range"].endswith(f"/{len(had + body)}"):
            self.gcs.buckets[bucket][name] = had + body
            self.json(self.gcs.resource(bucket, name))
        else:
            self.answer(308, b"", {"Range": f"bytes=0-{len(had + body) - 1}"})

    def read(self, bucket: str, name: str, media: bool) -> None:
        data = self.gcs.buckets.get(bucket, {}).get(name)
        if data is None:
            self.missing()
        elif not media:
            self.json(self.gcs.resource(bucket, name))
        elif wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
            self.answer(206, data[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})
        else:
            self.answer(200, data, {})

    def list(self, bucket: str, query: dict[str, str]) -> None:
        if bucket not in self.gcs.buckets:
            self.missing()
            return
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        names = [name for name in sorted(self.gcs.buckets[bucket]) if name.startswith(prefix)]
        below = {name: name.removeprefix(prefix).split(delimiter, 1) for name in names} if delimiter else {}
        folders = sorted({f"{prefix}{parts[0]}{delimiter}" for parts in below.values() if len(parts) > 1})
        items = [self.gcs.resource(bucket, name) for name in names if len(below.get(name, [""])) == 1]
        self.json({"kind": "storage#objects", "items": items, **({"prefixes": folders} if folders else {})})

    def missing(self) -> None:
        self.json({"error": {"code": 404, "message": "No such object or bucket"}}, 404)

    def undescribed(self) -> None:
        self.gcs.complaints.append(f"{self.command} {self.path}")
        self.json({"error": {"code": 400, "message": "not described"}}, 400)

    def json(self, value: Any, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
