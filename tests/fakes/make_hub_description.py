"""Make tests/fakes/hub_description.json: what the Hub publishes of the paths that an adapter registry uses.

    python tests/fakes/make_hub_description.py ../shared/openapi/huggingface-hub.openapi.json

Only paths, fields and types are taken, no prose. What huggingface_hub sends but the Hub does not describe is added from
SUPPLEMENT below, each with the place where it was read; it is the weaker half of the excerpt.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_name("hub_description.json")
SOURCE = {
    "what": "the Hugging Face Hub's own API description, https://huggingface.co/.well-known/openapi.json",
    "from": "github.com/tryAGI/HuggingFace, src/libs/HuggingFace/openapi.json",
    "commit": "7db28f2e",
    "date": "2026-08-18",
    "cut to": "the paths below, without prose",
}
PATHS = {
    "/api/models/{namespace}/{repo}/commit/{rev}": ["post"],
    "/api/models/{namespace}/{repo}/commits/{rev}": ["get"],
    "/api/models/{namespace}/{repo}/preupload/{rev}": ["post"],
    "/api/models/{namespace}/{repo}/refs": ["get"],
    "/api/models/{namespace}/{repo}/tag/{rev}": ["post"],
    "/api/models/{namespace}/{repo}/tree/{rev}/{path}": ["get"],
    "/api/repos/create": ["post"],
    "/{namespace}/{repo}/resolve/{rev}/{path}": ["get"],
}
TEXT = {"type": "string"}
HEX = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
SIZE = {"type": "integer", "minimum": 0}


def record(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": sorted(required),
        "additionalProperties": False,
    }


def line(key: str, value: dict[str, Any]) -> dict[str, Any]:
    return record({"key": {"const": key}, "value": value})


# One line of the commit's body. The description has header, file, lfsFile and deletedEntry, in its prose only.
COMMIT_LINE = {
    "anyOf": [
        line("header", record({"summary": TEXT}, description=TEXT, parentCommit={"pattern": "^[0-9a-f]{40}$"})),
        line("file", record({"path": TEXT, "content": TEXT}, encoding={"enum": ["utf-8", "base64"]})),
        line("lfsFile", record({"path": {**TEXT, "maxLength": 1000}, "oid": HEX}, algo={"const": "sha256"}, size=SIZE)),
        line("deletedEntry", record({"path": TEXT})),
        line("deletedFile", record({"path": TEXT})),
        line("deletedFolder", record({"path": TEXT})),
    ]
}
MODEL = {"type": "object", "required": ["id", "private", "sha"], "properties": {"id": TEXT, "sha": TEXT}}
MODEL_QUERY = {"securityStatus": {}, "blobs": {}, "expand": {}}
LFS_OBJECT = {"oid": HEX, "size": SIZE}
SUPPLEMENT: dict[str, dict[str, Any]] = {
    "/api/models/{namespace}/{repo}": {
        "get": {"query": MODEL_QUERY, "answers": {"200": MODEL}, "source": "huggingface_hub 2.4.0 hf_api.py model_info"}
    },
    "/api/models/{namespace}/{repo}/revision/{rev}": {
        "get": {"query": MODEL_QUERY, "answers": {"200": MODEL}, "source": "huggingface_hub 2.4.0 hf_api.py model_info"}
    },
    "/api/models/{namespace}/{repo}/commit/{rev}": {
        "post": {
            "lines": COMMIT_LINE,
            "source": "the description's prose; deletedFile, deletedFolder: huggingface_hub 2.4.0 _commit_api.py",
        }
    },
    "/api/validate-yaml": {
        "post": {
            "body": record({"content": TEXT, "repoType": {"enum": ["model", "dataset", "space"]}}),
            "answers": {"200": {"type": "object"}},
            "source": "huggingface_hub 2.4.0 hf_api.py _validate_yaml",
        }
    },
    "/{namespace}/{repo}.git/info/lfs/objects/batch": {
        "post": {
            "body": record(
                {"operation": {"const": "upload"}, "objects": {"type": "array", "items": record(LFS_OBJECT)}},
                transfers={"type": "array", "items": {"enum": ["basic", "multipart", "xet"]}},
                hash_algo={"const": "sha256"},
                ref=record({"name": TEXT}),
            ),
            "answers": {"200": {"type": "object", "required": ["objects"]}},
            "source": "git-lfs docs/api/batch.md; huggingface_hub 2.4.0 lfs.py post_lfs_batch_info",
        }
    },
    "/{namespace}/{repo}.git/info/lfs/verify": {
        "post": {
            "body": record(LFS_OBJECT),
            "answers": {"200": {}},
            "source": "git-lfs docs/api/basic-transfers.md; huggingface_hub 2.4.0 lfs.py lfs_upload",
        }
    },
    "/lfs-storage/{oid}": {
        "put": {"answers": {"200": {}}, "source": "git-lfs docs/api/basic-transfers.md: the address is the server's"},
        "get": {"answers": {"200": {}, "206": {}}, "source": "where resolve's 302 leads: the address is the server's"},
        "head": {"answers": {"200": {}}, "source": "where resolve's 302 leads: the address is the server's"},
    },
    "/{namespace}/{repo}/resolve/{rev}/{path}": {
        "head": {"answers": {"200": {}, "302": {}}, "source": "huggingface_hub 2.4.0 file_download.py"},
        "get": {"answers": {"200": {}, "206": {}}, "source": "file_download.py: a small file comes without a redirect"},
    },
}


def bare(schema: Any) -> Any:
    """The schema without prose."""
    if isinstance(schema, dict):
        return {
            key: {name: bare(each) for name, each in value.items()} if key == "properties" else bare(value)
            for key, value in schema.items()
            if key not in ("$schema", "description", "title", "examples", "default")
        }
    return [bare(each) for each in schema] if isinstance(schema, list) else schema


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A request's schema that refuses what is not described; the Hub itself lets unknown fields pass."""
    result = dict(schema)
    if "properties" in result:
        result["properties"] = {name: closed(each) for name, each in result["properties"].items()}
    if isinstance(result.get("items"), dict):
        result["items"] = closed(result["items"])
    if "properties" in result or "allOf" in result:
        result["unevaluatedProperties"] = False
    return result


def operation(published: dict[str, Any], shared: list[dict[str, Any]]) -> dict[str, Any]:
    parameters = [*shared, *published.get("parameters", [])]
    query = {each["name"]: bare(each.get("schema", {})) for each in parameters if each["in"] == "query"}
    body = published.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers = {
        status: bare(answer.get("content", {}).get("application/json", {}).get("schema", {}))
        for status, answer in published.get("responses", {"200": {}}).items()
    }
    made = {"query": query, "answers": answers, "source": "described"}
    return made if body is None else {**made, "body": closed(bare(body))}


def describe(published: dict[str, Any]) -> dict[str, Any]:
    """The excerpt of the whole description."""
    paths: dict[str, dict[str, Any]] = {}
    for path, methods in PATHS.items():
        shared = published["paths"][path].get("parameters", [])
        paths[path] = {method: operation(published["paths"][path][method], shared) for method in methods}
    # The published answer lacks the file's name, without which huggingface_hub (RepoFile) could not read it.
    listed = paths["/api/models/{namespace}/{repo}/tree/{rev}/{path}"]["get"]["answers"]["200"]["items"]
    listed["properties"]["path"] = TEXT
    for path, added in SUPPLEMENT.items():
        for method, facts in added.items():
            known = paths.setdefault(path, {}).get(method, {"query": {}})
            answers = {**known.get("answers", {}), **facts.get("answers", {})}
            sources = [each["source"] for each in (known, facts) if "source" in each]
            paths[path][method] = {**known, **facts, "answers": answers, "source": "; ".join(sources)}
    licences = published["paths"]["/api/repos/create"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return {
        "source": SOURCE,
        "licences": licences["allOf"][0]["properties"]["license"]["enum"],
        "paths": dict(sorted(paths.items())),
    }


def main() -> None:
    published = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    OUT.write_text(json.dumps(describe(published), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
