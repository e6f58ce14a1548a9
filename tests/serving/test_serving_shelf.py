"""Names of adapters: wanted, retiring, gone. Seconds are given, none passes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from serving.local.shelf import Entry, Shelf


def entry(name: str) -> Any:
    return Entry(adapter=None, weights=SimpleNamespace(name=name), created=0)  # type: ignore[arg-type]


def names(shelf: Shelf) -> list[str]:
    return [each.weights.name for each in shelf.entries()]


def test_an_adapter_that_retires_at_once_has_no_name_any_more() -> None:
    shelf, held = Shelf(), entry("a")
    shelf.put(held)
    shelf.retire(held, 0, now=100.0)
    assert (names(shelf), shelf.find("a")) == ([], None)


def test_a_retiring_adapter_goes_when_its_time_is_over() -> None:
    shelf, held = Shelf(), entry("a")
    shelf.put(held)
    shelf.retire(held, 30, now=100.0)
    seen = []
    for now in (100.0, 129.9, 130.0):
        shelf.sweep(now)
        seen.append([each.state for each in shelf.entries()])
    assert seen == [["retiring"], ["retiring"], []]


def test_one_that_is_wanted_again_stays() -> None:
    shelf, held = Shelf(), entry("a")
    shelf.put(held)
    shelf.retire(held, 30, now=100.0)
    shelf.revive(held)
    shelf.sweep(1000.0)
    assert [(each.weights.name, each.state) for each in shelf.entries()] == [("a", "ready")]


def test_others_stay_when_one_goes() -> None:
    shelf, goes, stays = Shelf(), entry("a"), entry("b")
    shelf.put(goes)
    shelf.put(stays)
    shelf.retire(goes, 1, now=0.0)
    shelf.sweep(2.0)
    assert names(shelf) == ["b"]
