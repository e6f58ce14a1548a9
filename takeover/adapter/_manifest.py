"""`manifest.json`: what an adapter says of itself, and the checksum by which it notices its own damage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from takeover.adapter._json import parse_object, render
from takeover.bases import is_revision, parse_base
from takeover.errors import Refusals, Refused
from takeover.folders import digest_text, sha256_of_text

__all__ = ["MANIFEST", "Manifest", "ManifestFacts", "parse_manifest", "render_manifest"]

MANIFEST = "manifest.json"
_CHECKSUM = "manifestDigest"

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1)]


class ManifestFacts(BaseModel):
    """What the trainer knows of an adapter. JSON keys are camelCase; see `Manifest` for what is added on writing.

    `base` is canonical (`str(parse_base(...))`), `base_revision` a full commit or `sha256:<64 hex>`; `evaluation` maps
    a figure's name to its value; `versions` a library to its version; `created` is UTC, as 2026-11-24T12:00:00Z;
    `training` is whatever the trainer wants to compare on the next run.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
    )

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    base: Text
    base_revision: str
    method: Literal["dpo", "sft", "dpo+sft"]
    data_digest: Digest
    evaluation: Mapping[str, float] = Field(default_factory=dict)
    versions: Mapping[str, str] = Field(default_factory=dict)
    seed: Annotated[int, Field(ge=0)]
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
    licence: Text
    training: Mapping[str, JsonValue] = Field(default_factory=dict)

    @field_validator("base")
    @classmethod
    def _base_is_canonical(cls, text: str) -> str:
        try:
            canonical = str(parse_base(text))
        except Refused as error:
            raise ValueError(f"{error.happened}. {error.fix}") from None
        if canonical != text:
            raise ValueError(f"must be written as {canonical!r}")
        return text

    @field_validator("base_revision")
    @classmethod
    def _revision_is_pinned(cls, text: str) -> str:
        if not is_revision(text):
            raise ValueError("must be a full commit (40 hex) or sha256:<64 hex>, never a branch or a tag")
        return text

    @model_validator(mode="after")
    def _hub_commit_is_the_revision(self) -> Self:
        ref = parse_base(self.base)
        if ref.kind == "hub" and ref.revision != self.base_revision:
            raise ValueError(f"baseRevision {self.base_revision!r} is not the commit of base {self.base!r}")
        return self


class Manifest(ManifestFacts):
    """The whole manifest: the facts, and what was read from the files on writing.

    `files` maps each file of the payload to its SHA-256 in hex, so that a change can be blamed on a file; `digest` is
    what `digest_of` gives for them. The file carries one key more, `manifestDigest`, a checksum of the file itself;
    `grep -v '^  "manifestDigest": ' manifest.json | sha256sum` prints the same.
    """

    digest: Digest
    files: Annotated[Mapping[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]], Field(min_length=1)]
    rank: Annotated[int, Field(gt=0)]
    alpha: Annotated[int | float, Field(gt=0)]
    target_modules: Annotated[tuple[Text, ...], Field(min_length=1)]

    @field_validator("target_modules")
    @classmethod
    def _modules_are_sorted(cls, modules: tuple[str, ...]) -> tuple[str, ...]:
        if list(modules) != sorted(set(modules)):
            raise ValueError("must be sorted, each module once")
        return modules

    @model_validator(mode="after")
    def _digest_is_that_of_the_files(self) -> Self:
        if sha256_of_text(digest_text(self.files)) != self.digest:
            raise ValueError("digest is not the digest of the files listed under it")
        return self

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain data with its camelCase keys."""
        return self.model_dump(mode="json", by_alias=True)


def render_manifest(manifest: Manifest) -> str:
    """The file's text, with the checksum of itself."""
    facts = manifest.to_json()
    return render({**facts, _CHECKSUM: sha256_of_text(_without_checksum(render({**facts, _CHECKSUM: ""})))})


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Read the file's bytes. Refusals, each named `where: key`; any changed byte is noticed by the checksum."""
    raw = parse_object(data, where)
    checksum = raw.pop(_CHECKSUM, None)
    text = data.decode("utf-8")
    if checksum != sha256_of_text(_without_checksum(text)) or text != render({**raw, _CHECKSUM: checksum}):
        raise Refused(
            "its bytes are not those that were written",
            why="The checksum in it (manifestDigest) is of other bytes: the file was edited or damaged.",
            fix="Restore the file; an adapter is changed by training again, never by hand.",
            where=where,
        )
    try:
        return Manifest.model_validate_json(render(raw))
    except ValidationError as error:
        raise Refusals(where, _mistakes(error, where)) from None


def _without_checksum(text: str) -> str:
    return re.sub(rf'(?m)^  "{_CHECKSUM}": .*\n', "", text)


def _mistakes(error: ValidationError, where: str) -> Iterator[Refused]:
    for found in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in found["loc"])
        value = "" if found["type"] == "missing" or not key else f", found {str(found['input'])[:80]!r}"
        message = found["msg"].removeprefix("Value error, ")
        yield Refused(f"{key}: {message}{value}" if key else message, fix="Train again.", where=where)
