"""Every variable that the code reads stands in the registry, and so on the page docs/environment.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from takeover.environment import SET_BY_US, VARIABLES
from takeover.tiers import TIERS

ROOT = Path(__file__).parents[2]
ROOMS = ("takeover", "components", "plugin", "serving", "training")
NAME = re.compile(r"(TAKEOVER|VLLM|MODAL|HF|HUGGINGFACE|LOCAL_ENGINE|PULUMI)_[A-Z0-9_]*[A-Z0-9]")
KNOWN = {variable.name for variable in VARIABLES}


def words(file: Path) -> Iterator[str]:
    """The texts, attributes and keywords of a file: the ways in which a variable is named."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Constant(value=str(word)) | ast.Attribute(attr=word) | ast.keyword(arg=str(word)):
                yield word


def named_in_the_code() -> dict[str, str]:
    """Each variable, and a file that names it; the registry itself does not count."""
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py") if file.name != "environment.py"]
    return {word: file.name for file in files for word in words(file) if NAME.fullmatch(word)}


def test_every_variable_in_the_code_is_in_the_registry() -> None:
    named = named_in_the_code()
    assert {"TAKEOVER_HOME", "VLLM_API_KEY", "MODAL_TOKEN_ID", "HF_TOKEN"} <= set(named)
    assert {word: file for word, file in named.items() if word not in KNOWN | SET_BY_US} == {}


def test_what_we_set_ourselves_is_still_in_the_code_and_not_for_the_user() -> None:
    assert SET_BY_US - set(named_in_the_code()) == set()
    assert not SET_BY_US & KNOWN


def test_no_variable_stands_twice_and_every_tier_s_is_there() -> None:
    assert len(KNOWN) == len(VARIABLES)
    assert {variable for record in TIERS.values() for variable in record.environment_variables} - KNOWN == set()


def test_what_is_called_a_key_a_secret_or_a_token_is_marked_as_a_secret() -> None:
    loud = re.compile(r"(API_KEY|SECRET|SECRET_ACCESS_KEY|(?<!IMPLICIT_)TOKEN|PASSPHRASE)$")
    assert [each.name for each in VARIABLES if loud.search(each.name) and not each.secret] == []
