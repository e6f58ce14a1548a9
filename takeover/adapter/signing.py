"""Signatures in the OpenSSF model-signing format, by its own package (extra `signing`); no format of ours.

The signature is `report/model.sig`, inside the folder, so that it travels with it and the payload's definition stays
as it is. It covers every other file: manifest, README.md and the report too. Anybody checks it without this project:

    model_signing verify key DIR --signature DIR/report/model.sig --public_key KEY
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from takeover.adapter._open import Adapter
from takeover.adapter._payload import REPORT
from takeover.errors import Refused
from takeover.folders import full_disk_refused

__all__ = ["SIGNATURE", "is_signed", "sign", "verify_signature"]

SIGNATURE = f"{REPORT}/model.sig"


def is_signed(adapter: Adapter) -> bool:
    """Whether there is a signature, good or not."""
    return (adapter.path / SIGNATURE).is_file()


def sign(adapter: Adapter, private_key: Path) -> Path:
    """Sign an opened adapter with an EC key (PEM, P-256, P-384 or P-521, without a password); returns the file.

    An earlier signature is replaced. Refused when the package or a usable key is missing.
    """
    signing, hashing = _package("signing"), _package("hashing")
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
    except Exception as error:
        raise _unusable("private", private_key, error) from error
    signature = adapter.path / SIGNATURE
    with full_disk_refused(signature), tempfile.TemporaryDirectory(dir=adapter.path.parent, prefix=".sign-") as scratch:
        made = Path(scratch) / "model.sig"
        signer.set_hashing_config(_hashing(hashing)).sign(adapter.path, made)
        signature.parent.mkdir(exist_ok=True)
        made.replace(signature)
    return signature


def verify_signature(adapter: Adapter, public_key: Path) -> None:
    """Refused unless the adapter's signature is of that key's owner and fits every file as it is now."""
    verifying, hashing = _package("verifying"), _package("hashing")
    signature = adapter.path / SIGNATURE
    if not signature.is_file():
        raise Refused(
            "there is no signature",
            why="Nobody signed this adapter, or the signature was not copied with it.",
            fix=f"Sign it: takeover adapter sign {adapter.path} --key PRIVATE_KEY",
            where=str(signature),
        )
    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except Exception as error:
        raise _unusable("public", public_key, error) from error
    try:
        verifier.set_hashing_config(_hashing(hashing)).verify(adapter.path, signature)
    except Exception as error:
        raise Refused(
            f"the signature does not hold: {_readable(str(error)) or 'it was made with another key, or was changed'}",
            why="A file was changed after signing, or somebody else signed.",
            fix="Do not use this adapter before you know why.",
            where=str(signature),
        ) from error


def _package(module: str) -> Any:
    try:
        from importlib import import_module

        return import_module(f"model_signing.{module}")
    except ImportError as error:
        raise Refused(
            "the package for signatures is not installed",
            why=f"Python could not import {error.name}.",
            fix="Install it: `uv sync --inexact --extra signing`, or `pip install model-signing pyopenssl`.",
        ) from error


def _hashing(hashing: Any) -> Any:
    return hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _readable(said: str) -> str:
    """The files that the package names, without the hashes that it adds as Python writes bytes; else its words."""
    changed = re.findall(r"Hash mismatch for [^:]+", said)
    others = [found.rstrip("'") for found in re.findall(r"(?:Extra|Missing) files [^:]+: [^\"\]]+", said)]
    return "; ".join(changed + others).replace("\\", "") or said.strip()


def _unusable(kind: str, key: Path, error: Exception) -> Refused:
    return Refused(
        f"this is no usable {kind} key",
        why=f"Wanted: a PEM file with an EC key, without a password ({type(error).__name__}).",
        fix="Make a pair: `openssl ecparam -name prime256v1 -genkey -noout -out key.pem`, "
        "`openssl ec -in key.pem -pubout -out key.pub`.",
        where=str(key),
    )
