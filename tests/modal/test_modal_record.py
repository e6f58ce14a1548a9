"""What a deployed app says of itself in its tags, and which adapters stay for one more version."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from modal._utils.name_utils import check_tag_dict

from takeover.modal_contract import AdapterRef
from takeover.providers._modal_record import Record, decode, encode, kept_after


def ref(mark: str, name: str = "tone") -> AdapterRef:
    return AdapterRef(name=name, digest="sha256:" + mark * 64)


RECORD = Record(
    adapters=(ref("a"), ref("b", "Other.name_1")),
    kept=(ref("c"),),
    largest_rank=64,
    min_containers=1,
    max_containers=3,
    fingerprint="0123456789abcdef",
    base_mark="0123456789ab",
    labels={"managed-by": "takeover", "project": "acme shop/ä"},
)


def test_a_record_is_tags_by_modal_s_own_rules_and_is_read_back() -> None:
    tags = encode(RECORD)
    check_tag_dict(tags)
    labels = {"managed-by": "takeover", "project": "acme-shop--"}
    assert decode(tags) == replace(RECORD, labels=labels)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"managed-by": "somebody"},
        {"takeover-wanted-0-name": "tone"},
        {"takeover-wanted-0-name": "tone", "takeover-wanted-0-a": "0" * 32, "takeover-wanted-0-b": "x" * 32},
    ],
)
def test_tags_that_are_not_ours_are_no_record(tags: dict[str, str]) -> None:
    assert decode(tags) is None


@dataclass(frozen=True)
class Change:
    id: str
    before: Record | None
    wanted: str
    want: str
    held: str = "abcd"


A_THEN_B = Record(adapters=(ref("b"),), kept=(ref("a"),))
CHANGES = [
    Change("a first deploy keeps nothing", None, "a", ""),
    Change("a new version keeps the one before", Record(adapters=(ref("a"),)), "b", "a"),
    Change("another change lets the oldest go", A_THEN_B, "c", "b"),
    Change("the same again keeps what was kept", A_THEN_B, "b", "a"),
    Change("going back keeps the newer one", A_THEN_B, "a", "b"),
    Change("of several only those that are not wanted any more", Record(adapters=(ref("a"), ref("b"))), "bc", "a"),
    Change("what the volume lost cannot be kept", Record(adapters=(ref("a"),)), "b", "", held="b"),
]


@pytest.mark.parametrize("case", CHANGES, ids=lambda case: case.id)
def test_yesterday_s_adapter_is_kept_for_one_change(case: Change) -> None:
    held = {ref(mark).digest for mark in case.held}
    kept = kept_after(case.before, [ref(mark) for mark in case.wanted], held)
    assert kept == tuple(ref(mark) for mark in case.want)
