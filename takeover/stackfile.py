"""Edit a stack's settings file in place: only the adapter's lines change, byte for byte.

ruamel.yaml finds where each value stands; the text between is left alone, so comments, quotes and blank lines stay. Its
own round trip would move the comment that follows the last key of a mapping when a key is added there.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from takeover.errors import Refused

__all__ = ["edit_adapter", "use_adapter"]

_ADAPTER, _PREVIOUS = "takeover:adapter", "takeover:previous"
# What a stack file has before anybody used an adapter there (Pulumi.prod.yaml, examples/stacks).
_PLACEHOLDER = "sha256:" + "0" * 64
_LINE_END = re.compile(r"\r?\n|\Z")
_PLAIN = re.compile(r"^[A-Za-z0-9_./@:+-]+$")


def use_adapter(path: Path, *, source: str, digest: str, keep: bool = False) -> bool:
    """Write an adapter into the stack's file; whether that changed it. Refused where the file cannot be edited.

    With `keep` the one that was there is noted as `takeover:previous`, so that new servers answer for it too.
    """
    try:
        before = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise Refused(
            f"there is no {path.name}", fix="Copy Pulumi.dev.yaml to begin a stack.", where=str(path)
        ) from None
    after = edit_adapter(before, source=source, digest=digest, where=path.name, keep=keep)
    if after == before:
        return False
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        new = Path(file.name)
        file.write(after.encode("utf-8"))
    new.chmod(path.stat().st_mode)
    new.replace(path)
    return True


def edit_adapter(text: str, *, source: str, digest: str, where: str, keep: bool = False) -> str:
    """The text with `source` and `digest` under `takeover:adapter`. Pure; Refused when it could not be done surely."""
    wanted = {"source": source, "digest": digest}
    present = _present(text, wanted, where)
    if keep and set(present) == set(wanted) and present["digest"] not in (digest, _PLACEHOLDER):
        text = _edit_key(text, _PREVIOUS, present, where)
    return _edit_key(text, _ADAPTER, wanted, where)


def _present(text: str, wanted: dict[str, str], where: str) -> dict[str, str]:
    """The adapter that the text names, as far as it does."""
    _, before = _read(text, where)
    config = before.get("config") if isinstance(before, dict) else None
    adapter = config.get(_ADAPTER) if isinstance(config, dict) else None
    return {key: str(adapter[key]) for key in wanted if key in adapter} if isinstance(adapter, dict) else {}


def _read(text: str, where: str) -> tuple[Node | None, Any]:
    """Where everything stands, and what it says; Refused for no YAML."""
    try:
        return YAML(typ="rt").compose(text), YAML(typ="safe").load(text) or {}
    except YAMLError as error:
        raise Refused("this is no readable YAML", why=str(error), where=where) from None


def _edit_key(text: str, key: str, wanted: dict[str, str], where: str) -> str:
    """The text with `source` and `digest` under `key`, whatever else stands there."""
    newline = "\r\n" if "\r\n" in text else "\n"
    root, before = _read(text, where)
    config = _value(root, "config")
    if not isinstance(before, dict) or not isinstance(before.get("config") or {}, dict):
        raise _by_hand(where, wanted, "It holds no mapping `config`.")
    if _value(config, f"{_ADAPTER}s") is not None:
        raise _by_hand(where, wanted, "It names several adapters, and which one to replace is yours to say.")
    edited = _edited(text, config, key, wanted, newline)
    expected = {**before, "config": {**(before.get("config") or {}), key: _merged(before, key, wanted)}}
    if edited is None or not _reads_as(edited, expected):
        raise _by_hand(where, wanted, "It is written in a way that this command does not edit.")
    return edited


def _edited(text: str, config: Node | None, key: str, wanted: dict[str, str], newline: str) -> str | None:
    if config is None:
        tail = "" if not text or text.endswith("\n") else newline
        return text + tail + f"config:{newline}" + _block("  ", key, wanted, newline)
    if not isinstance(config, MappingNode) or not config.value:
        return None
    adapter = _value(config, key)
    if adapter is None:
        indent = " " * config.value[0][0].start_mark.column
        at = _line_end(text, _last(config).end_mark.index)
        return _inserted(text, at, _block(indent, key, wanted, newline), newline)
    if not isinstance(adapter, MappingNode) or not adapter.value:
        return None
    return _with_keys(text, adapter, wanted, newline)


def _with_keys(text: str, adapter: MappingNode, wanted: dict[str, str], newline: str) -> str:
    """From the last position to the first, so that the ones before stay true."""
    present = {key: _value(adapter, key) for key in wanted}
    missing = [key for key, node in present.items() if node is None]
    last = present["source"] or adapter.value[-1][1]
    addition = {key: wanted[key] for key in missing}
    edits: list[tuple[int, int, str]] = [
        (node.start_mark.index, node.end_mark.index, _scalar(wanted[key]))
        for key, node in present.items()
        if node is not None
    ]
    if addition and adapter.flow_style:
        more = "".join(f", {key}: {_scalar(value)}" for key, value in addition.items())
        edits.append((last.end_mark.index, last.end_mark.index, more))
    elif addition:
        at = _line_end(text, last.end_mark.index)
        indent = " " * adapter.value[0][0].start_mark.column
        lines = "".join(f"{newline}{indent}{key}: {_scalar(value)}" for key, value in addition.items())
        edits.append((at, at, lines))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _value(node: Node | None, key: str) -> Node | None:
    pairs = node.value if isinstance(node, MappingNode) else []
    return next((value for name, value in pairs if isinstance(name, ScalarNode) and name.value == key), None)


def _last(node: Node) -> Node:
    """The last thing written in a node: a block's own end lies behind the comments that follow it."""
    if isinstance(node, MappingNode) and node.value and not node.flow_style:
        return _last(node.value[-1][1])
    if isinstance(node, SequenceNode) and node.value and not node.flow_style:
        return _last(node.value[-1])
    return node


def _line_end(text: str, index: int) -> int:
    """The end of the line of what stands before `index`; a literal block's own end is the start of the next line."""
    match = _LINE_END.search(text, len(text[:index].rstrip()))
    return match.start() if match else len(text)


def _inserted(text: str, at: int, block: str, newline: str) -> str:
    return text[:at] + newline + block.removesuffix(newline) + text[at:]


def _block(indent: str, name: str, wanted: dict[str, str], newline: str) -> str:
    lines = [f"{name}:", *(f"  {key}: {_scalar(value)}" for key, value in wanted.items())]
    return "".join(f"{indent}{line}{newline}" for line in lines)


def _scalar(value: str) -> str:
    """Bare where YAML reads it back as this very text, else in double quotes."""
    bare = _PLAIN.match(value) and not value.endswith(":") and YAML(typ="safe").load(value) == value
    return value if bare else json.dumps(value, ensure_ascii=False)


def _merged(before: dict[str, Any], key: str, wanted: dict[str, str]) -> dict[str, Any]:
    old = (before.get("config") or {}).get(key)
    return {**(old if isinstance(old, dict) else {}), **wanted}


def _reads_as(text: str, expected: dict[str, Any]) -> bool:
    try:
        return bool(YAML(typ="safe").load(text) == expected)
    except YAMLError:
        return False


def _by_hand(where: str, wanted: dict[str, str], why: str) -> Refused:
    lines = ", ".join(f"{key}: {_scalar(value)}" for key, value in wanted.items())
    return Refused("the file was not changed", why=why, fix=f"Write it yourself: {lines}", where=where)
