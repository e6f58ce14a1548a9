"""The model card of a version on the Hub: which text is pushed, and what in its metadata the Hub would refuse. Pure.

The rules are the published ones (sources in `takeover.adapter._card`); the Hub has others that it keeps to itself, so
it is asked too, by its own client and before anything is uploaded (`/api/validate-yaml`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from takeover.adapter._card import LICENCE_NAME, LICENCES, model_card
from takeover.adapter._manifest import Manifest
from takeover.errors import Refused

__all__ = ["card_mistakes", "card_to_push"]

README = "README.md"
_BLOCK = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def card_to_push(written: str | None, manifest: Manifest, report: Iterable[str], address: str, signed: bool) -> str:
    """The folder's README.md, or the same card with the address in it where nobody has changed a word of it.

    A signature covers the README, so a signed one goes as it is.
    """
    names = tuple(report)
    if written is None or (written == model_card(manifest, names) and not signed):
        return model_card(manifest, names, address)
    return written


def card_mistakes(text: str, where: str = README) -> Iterator[Refused]:
    """What the Hub would refuse in the block of YAML at the card's top, each named by its key."""
    block = _BLOCK.match(text)
    if block is None:
        said = "it has no metadata: a block of YAML between two lines of ---"
        yield Refused(said, fix="Let `takeover push` write the card: remove this README.md.", where=where)
        return
    try:
        data = _load(block[1])
    except ValueError as error:
        yield Refused("its metadata is no readable YAML", why=str(error), fix="Mend the block at its top.", where=where)
        return
    if not isinstance(data, Mapping):
        yield Refused("its metadata is no mapping", fix="Write key: value, one a line.", where=where)
        return
    yield from _key_mistakes(data, where)
    yield from _library_mistakes(data, where)


def _load(block: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(block) or {}
    except YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _key_mistakes(data: Mapping[str, Any], where: str) -> Iterator[Refused]:
    """One sentence a key that is not what modelcard.md says."""
    kinds = {
        "base_model": (_is_repositories, "a model's id on the Hub, or a list of them"),
        "base_model_relation": (
            lambda value: value in ("adapter", "merge", "quantized", "finetune"),
            "adapter, merge, quantized or finetune",
        ),
        "datasets": (_is_repositories, "a list of ids on the Hub"),
        "language": (_is_texts, "a language's code, or a list of them"),
        "library_name": (_is_text, "a library's name"),
        "license": (_is_licences, "one of the Hub's licences, or other"),
        "license_link": (_is_text, "LICENSE, LICENSE.md or a URL"),
        "license_name": (lambda value: _is_text(value) and bool(LICENCE_NAME.fullmatch(value)), "like my-licence-1.0"),
        "metrics": (_is_texts, "a list of names"),
        "pipeline_tag": (_is_text, "a task's name"),
        "tags": (_is_list_of_texts, "a list of words"),
    }
    for key, (is_right, wanted) in kinds.items():
        if key in data and not is_right(data[key]):
            yield _wrong(key, data[key], wanted, where)


def _library_mistakes(data: Mapping[str, Any], where: str) -> Iterator[Refused]:
    """What huggingface_hub's own reader refuses: figures in `model-index` that are not laid out as it wants them."""
    from huggingface_hub import ModelCardData

    try:
        ModelCardData(**{str(key): value for key, value in data.items() if key == "model-index"})
    except (ValueError, TypeError, AttributeError) as error:
        yield Refused("model-index is not laid out as the Hub wants it", why=str(error), where=where)


def _wrong(key: str, value: Any, wanted: str, where: str) -> Refused:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    fix = f"Mend it, or remove {README}: `takeover push` writes one from the manifest."
    return Refused(f"{key} is {shown}, but the Hub wants {wanted}", fix=fix, where=where)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(each) for each in value)


def _is_texts(value: Any) -> bool:
    return _is_text(value) or _is_list_of_texts(value)


def _is_repositories(value: Any) -> bool:
    several = value if isinstance(value, list) else [value]
    return all(_is_text(each) and bool(_REPOSITORY.fullmatch(each)) for each in several)


def _is_licences(value: Any) -> bool:
    several = value if isinstance(value, list) else [value]
    return bool(several) and all(isinstance(each, str) and each in LICENCES for each in several)
