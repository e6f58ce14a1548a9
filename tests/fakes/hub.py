"""A Hugging Face Hub on the loopback, for huggingface_hub as it is shipped (HF_ENDPOINT, with Xet switched off).

It keeps commits, tags, large files and rights. Every request is held against hub_description.json, and so is every
answer: what is not described goes to `complaints`, which the fixture demands to be empty. `faults` make it misbehave.

    with FakeHub() as hub: hub.url, hub.repos["acme/tone"].head, hub.requests
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from fakes.hub_rules import card_errors, route, wrong_answer, wrong_request
from fakes.hub_store import Commit, File, Repo, Token, new_repo

WRITER, READER, STRANGER, EXPIRED = "hf_writerwriter", "hf_readerreader", "hf_strangerstranger", "hf_expiredexpired"
TOKENS = {
    WRITER: Token(frozenset({"acme"}), frozenset({"acme"})),
    READER: Token(frozenset({"acme"})),
    STRANGER: Token(),
    EXPIRED: Token(expired=True),
}
REQUEST_ID = "Root=1-fake"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, message: str, code: str = "", **headers: str) -> Answer:
    """An error as the Hub gives it: in the body, and again in headers; `code` is its X-Error-Code."""
    about = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return Answer(status, json.dumps({"error": message}).encode(), {**about, **headers})


class Answered(Exception):
    """An answer in place of what the route would give."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass
class Fault:
    """What goes wrong with requests like `POST .*/commit/main`, `times` times.

    `instead` answers in place of the route; `cut_request` reads so many bytes and hangs up; `cut_answer` sends so many
    bytes of the answer and hangs up (0: the answer is lost, though what was asked for is done), after `held` was set.
    `then` is called when the fault strikes.
    """

    pattern: str
    times: int = 1
    instead: Answer | None = None
    cut_request: int | None = None
    cut_answer: int | None = None
    held: threading.Event | None = None
    then: Callable[[], object] | None = None


class FakeHub:
    """`complaints` are what was not as described; `requests` what was asked, as `POST /api/repos/create`.

    `ranges` are the Range headers of downloads, `callers` the tokens that were sent (None: none was).
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.renamed: dict[str, str] = {}
        self.tokens = dict(TOKENS)
        self.faults: list[Fault] = []
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self.callers: set[str | None] = set()
        self.lock = threading.RLock()
        handler = type("Bound", (Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        # Another name for the same server: large files lie on another host, which must see no credentials.
        self.storage = f"http://localhost:{self.port}/lfs-storage"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def count(self, pattern: str) -> int:
        """How many requests were like that."""
        return sum(bool(re.search(pattern, each)) for each in self.requests)

    def take_fault(self, line: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, line):
                    fault.times -= 1
                    return fault
        return None


class Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Say nothing: requests carry tokens."""

    def do_GET(self) -> None:
        self.serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def serve(self) -> None:
        url = urlsplit(self.path)
        line = f"{self.command} {url.path}"
        self.hub.requests.append(line)
        fault = self.hub.take_fault(line)
        length = int(self.headers.get("Content-Length") or 0)
        if fault is not None and fault.then is not None:
            fault.then()
        if fault is not None and fault.cut_request is not None:
            self.rfile.read(min(fault.cut_request, length))
            self.hang_up()
            return
        body = self.rfile.read(length)
        answer = fault.instead if fault is not None and fault.instead else self.answer(url.path, url.query, body)
        self.send(answer, fault or Fault(""))

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def answer(self, path: str, query: str, body: bytes) -> Answer:
        found = route(path)
        if found is None:
            self.hub.complaints.append(f"{self.command} {path}: the path is not described")
            return Answer(501)
        described, parts = found
        self.hub.callers.add((self.headers.get("Authorization") or "").removeprefix("Bearer ") or None)
        asked = dict(parse_qsl(query))
        kind = self.headers.get("Content-Type", "")
        self.hub.complaints += wrong_request(described, self.command, asked, kind, body)
        try:
            with self.hub.lock:
                answer = ROUTES[described](Request(self.hub, self.command, parts, self.headers, body))
        except Answered as error:
            return error.answer
        self.hub.complaints += wrong_answer(described, self.command, answer.status, answer.body)
        return answer

    def send(self, answer: Answer, fault: Fault) -> None:
        cut = fault.cut_answer
        if cut != 0:
            self.send_response(answer.status)
            headers = {"Content-Length": str(len(answer.body)), "X-Request-Id": REQUEST_ID, **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:cut])
            self.wfile.flush()
        if fault.held is not None:
            fault.held.wait(30)
        if cut is not None:
            self.hang_up()


@dataclass
class Request:
    hub: FakeHub
    method: str
    parts: Mapping[str, str]
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return f"{self.parts['namespace']}/{self.parts['repo']}"

    def token(self) -> Token | None:
        given = self.headers.get("Authorization")
        if given is None:
            return None
        found = self.hub.tokens.get(given.removeprefix("Bearer "))
        if found is None:
            raise Answered(refusal(401, "Invalid credentials in Authorization header"))
        if found.expired:
            raise Answered(refusal(401, 'User Access Token "laptop" is expired'))
        return found

    def writer(self, namespace: str) -> None:
        token = self.token()
        if token is None:
            raise Answered(refusal(401, "Invalid username or password."))
        if namespace not in token.writes:
            raise Answered(refusal(403, f'You don\'t have the rights to write to the namespace "{namespace}"'))

    def repo(self) -> Repo:
        token = self.token()
        if self.id in self.hub.renamed:
            old, new = f"/{self.id}", f"/{self.hub.renamed[self.id]}"
            path = f"/api/models{new}" if "rev" not in self.parts else f"/api/models{new}/revision/{self.parts['rev']}"
            raise Answered(refusal(307, f"Redirecting from {old} to {new}", Location=path))
        repo = self.hub.repos.get(self.id)
        hidden = repo is not None and repo.private and (token is None or self.parts["namespace"] not in token.reads)
        if repo is None or hidden:
            raise Answered(refusal(404 if token else 401, "Repository not found", "RepoNotFound"))
        return repo

    def commit(self, repo: Repo) -> Commit:
        found = repo.at(self.parts.get("rev", "main"))
        if found is None:
            raise Answered(refusal(404, f"Invalid rev id: {self.parts['rev']}", "RevisionNotFound"))
        return found


def json_answer(value: Any, **headers: str) -> Answer:
    return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


def create(request: Request) -> Answer:
    asked = request.json
    name = f"{asked['organization']}/{asked['name']}"
    request.writer(asked["organization"])
    if name in request.hub.repos:
        body = json.dumps({"error": "You already created this model repo", "url": f"{request.hub.url}/{name}"})
        return Answer(409, body.encode())
    request.hub.repos[name] = new_repo(asked.get("visibility") == "private")
    return json_answer({"url": f"{request.hub.url}/{name}", "name": name, "id": "0" * 24})


def model(request: Request) -> Answer:
    repo = request.repo()
    commit = request.commit(repo)
    facts = {"_id": "0" * 24, "id": request.id, "modelId": request.id, "sha": commit.oid, "private": repo.private}
    files = [{"rfilename": name} for name in commit.files]
    return json_answer({**facts, "gated": "auto" if repo.gated else False, "tags": [], "siblings": files})


def refs(request: Request) -> Answer:
    repo = request.repo()
    tags = [{"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid} for name, oid in repo.tags.items()]
    branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head.oid}]
    return json_answer({"tags": tags, "branches": branches, "converts": []})


def commits(request: Request) -> Answer:
    repo = request.repo()
    rows = [
        {"id": each.oid, "title": each.title, "message": each.message, "authors": [{"user": "acme"}], "date": each.date}
        for each in reversed(repo.commits)
    ]
    return json_answer(rows)


def tree(request: Request) -> Answer:
    commit = request.commit(request.repo())
    return json_answer([each.entry(name) for name, each in sorted(commit.files.items())])


def tag(request: Request) -> Answer:
    repo = request.repo()
    request.writer(request.parts["namespace"])
    name = request.json["tag"]
    if name in repo.tags:
        raise Answered(refusal(409, "Tag reference exists already"))
    repo.tags[name] = request.commit(repo).oid
    return Answer(200)


def preupload(request: Request) -> Answer:
    repo = request.repo()
    request.writer(request.parts["namespace"])
    rows = []
    for each in request.json["files"]:
        binary = b"\0" in base64.b64decode(each["sample"]) or each["size"] > 10_000_000
        mode = "lfs" if each["path"].endswith(".safetensors") or binary else "regular"
        known = repo.head.files.get(each["path"])
        row = {"path": each["path"], "uploadMode": mode, "shouldIgnore": False}
        rows.append({**row, "oid": known.lfs or known.oid} if known else row)
    return json_answer({"files": rows, "commitOid": repo.head.oid})


def lfs_batch(request: Request) -> Answer:
    repo = request.repo()
    request.writer(request.parts["namespace"])
    made = []
    for each in request.json["objects"]:
        upload = {"href": f"{request.hub.storage}/{each['oid']}"}
        verify = {"href": f"{request.hub.url}/{request.id}.git/info/lfs/verify"}
        made.append(each if each["oid"] in repo.large else {**each, "actions": {"upload": upload, "verify": verify}})
    return json_answer({"transfer": "basic", "objects": made})


def lfs_verify(request: Request) -> Answer:
    repo, asked = request.repo(), request.json
    if len(repo.large.get(asked["oid"], b"")) != asked["size"]:
        raise Answered(refusal(400, "The object did not arrive whole"))
    return json_answer({})


def storage(request: Request) -> Answer:
    """Where large files lie: no credentials are wanted here, the address itself is the right to it."""
    if request.headers.get("Authorization"):
        request.hub.complaints.append(f"{request.method} on the storage's host: credentials were sent along")
    if request.headers.get("Range") and "gzip" in request.headers.get("Accept-Encoding", ""):
        request.hub.complaints.append(f"{request.method} of a part: the rest might come compressed")
    oid = request.parts["oid"]
    if request.method == "PUT":
        if hashlib.sha256(request.body).hexdigest() != oid:
            raise Answered(refusal(400, "BadDigest"))
        for repo in request.hub.repos.values():
            repo.large[oid] = request.body
        return Answer(200, b"{}")
    return _ranged(request, next(repo.large[oid] for repo in request.hub.repos.values() if oid in repo.large), oid)


def _ranged(request: Request, data: bytes, etag: str) -> Answer:
    headers = {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if wanted is None:
        return Answer(200, data, headers)
    start = int(wanted[1])
    request.hub.ranges.append(wanted[0])
    return Answer(206, data[start:], {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})


def resolve(request: Request) -> Answer:
    repo = request.repo()
    if repo.gated and WRITER not in (request.headers.get("Authorization") or ""):
        raise Answered(refusal(403, "Access to this model is restricted", "GatedRepo"))
    commit = request.commit(repo)
    file = commit.files.get(request.parts["path"])
    if file is None:
        raise Answered(refusal(404, "Entry not found", "EntryNotFound"))
    headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{file.oid}"'}
    if file.lfs:
        linked = {"X-Linked-Size": str(file.size), "X-Linked-ETag": f'"{file.lfs}"'}
        where = {"Location": f"{request.hub.storage}/{file.lfs}"}
        return Answer(302, b"{}", {**headers, **linked, **where})
    answer = _ranged(request, file.data, file.oid)
    return Answer(answer.status, answer.body, {**answer.headers, **headers})


def commit(request: Request) -> Answer:
    repo = request.repo()
    request.writer(request.parts["namespace"])
    header, *lines = [json.loads(line) for line in request.body.splitlines()]
    if header["value"].get("parentCommit", repo.head.oid) != repo.head.oid:
        raise Answered(refusal(412, "A commit has happened since. Please refresh and try again."))
    files = dict(repo.head.files)
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            files[value["path"]] = File(base64.b64decode(value["content"]))
        elif line["key"] == "lfsFile":
            if value["oid"] not in repo.large:
                raise Answered(refusal(422, f"LFS pointer pointed to a file that does not exist: {value['path']}"))
            files[value["path"]] = File(lfs=value["oid"], size=value["size"])
        else:
            files = {name: each for name, each in files.items() if name != value["path"]}
    made = repo.commit(header["value"]["summary"], files, header["value"].get("description", ""))
    url = f"{request.hub.url}/{request.id}/commit/{made.oid}"
    return json_answer({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})


def validate_card(request: Request) -> Answer:
    errors = [{"message": each} for each in card_errors(request.json["content"])]
    return Answer(400 if errors else 200, json.dumps({"errors": errors, "warnings": []}).encode())


ROUTES: Mapping[str, Callable[[Request], Answer]] = {
    "/api/models/{namespace}/{repo}": model,
    "/api/models/{namespace}/{repo}/commit/{rev}": commit,
    "/api/models/{namespace}/{repo}/commits/{rev}": commits,
    "/api/models/{namespace}/{repo}/preupload/{rev}": preupload,
    "/api/models/{namespace}/{repo}/refs": refs,
    "/api/models/{namespace}/{repo}/revision/{rev}": model,
    "/api/models/{namespace}/{repo}/tag/{rev}": tag,
    "/api/models/{namespace}/{repo}/tree/{rev}/{path}": tree,
    "/api/repos/create": create,
    "/api/validate-yaml": validate_card,
    "/lfs-storage/{oid}": storage,
    "/{namespace}/{repo}.git/info/lfs/objects/batch": lfs_batch,
    "/{namespace}/{repo}.git/info/lfs/verify": lfs_verify,
    "/{namespace}/{repo}/resolve/{rev}/{path}": resolve,
}
