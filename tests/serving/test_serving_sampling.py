"""The next token: what each parameter does to the choice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from serving.local.asks import Sampling
from serving.local.sampling import choose, generator_for

# Token 3 is the likeliest; in chances: 0.1, 0.2, 0.3, 0.4.
CHANCES = (0.1, 0.2, 0.3, 0.4)
LOGITS = torch.tensor(CHANCES).log()


@dataclass(frozen=True)
class Case:
    id: str
    sampling: Sampling
    possible: set[int]
    context: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("temperature 0 takes the likeliest", Sampling(temperature=0), {3}),
    Case("a temperature next to nothing counts as 0", Sampling(temperature=1e-6), {3}),
    Case("a low temperature leaves only the likeliest", Sampling(temperature=0.01), {3}),
    Case("by default everything can come", Sampling(), {0, 1, 2, 3}),
    Case("top_k 1 takes the likeliest", Sampling(top_k=1), {3}),
    Case("top_k 2 draws from two", Sampling(top_k=2), {2, 3}),
    Case("top_k -1 is off", Sampling(top_k=-1), {0, 1, 2, 3}),
    Case("top_k above the vocabulary is off", Sampling(top_k=99), {0, 1, 2, 3}),
    Case("top_p 0.4 is the likeliest alone", Sampling(top_p=0.39), {3}),
    Case("top_p takes the token that reaches the sum", Sampling(top_p=0.6), {2, 3}),
    Case("top_p counts among what top_k left", Sampling(top_k=2, top_p=0.5), {3}),
    Case("min_p is relative to the likeliest", Sampling(min_p=0.6), {2, 3}),
    Case("a banned token cannot be drawn", Sampling(), {0, 1, 2}, {"banned": [3]}),
    Case("a banned token is passed over by the greedy choice", Sampling(temperature=0), {2}, {"banned": [3]}),
    Case(
        "repetition_penalty turns from what the prompt had",
        Sampling(temperature=0, repetition_penalty=2.0),
        {2},
        {"prompt": [3]},
    ),
    Case(
        "presence_penalty does not look at the prompt",
        Sampling(temperature=0, presence_penalty=2.0),
        {3},
        {"prompt": [3]},
    ),
    Case(
        "presence_penalty turns from what was written",
        Sampling(temperature=0, presence_penalty=2.0),
        {2},
        {"generated": [3]},
    ),
    Case(
        "frequency_penalty counts how often",
        Sampling(temperature=0, frequency_penalty=0.2),
        {2},
        {"generated": [3, 3]},
    ),
    Case(
        "a small frequency_penalty is not enough once",
        Sampling(temperature=0, frequency_penalty=0.2),
        {3},
        {"generated": [3]},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_which_tokens_can_come(case: Case) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = {choose(LOGITS, case.sampling, generator, **case.context) for _ in range(200)}
    assert drawn == case.possible


def test_tokens_come_as_often_as_their_chances_say() -> None:
    generator = torch.Generator().manual_seed(1)
    drawn = Counter(choose(LOGITS, Sampling(), generator) for _ in range(4000))
    assert {token: round(count / 4000, 1) for token, count in drawn.items()} == dict(enumerate(CHANCES))


def test_the_nucleus_is_found_when_it_is_wider_than_the_first_look() -> None:
    """3000 tokens, hardly less likely from one to the next: nine tenths of the sum are the first 2650."""
    generator = torch.Generator().manual_seed(2)
    drawn = [choose(torch.linspace(0.1, 0, 3000), Sampling(top_p=0.9), generator) for _ in range(60)]
    assert 1024 < max(drawn) < 2700


def test_the_same_seed_draws_the_same() -> None:
    sampling = Sampling(seed=11)
    first, second = generator_for(sampling), generator_for(sampling)
    assert [choose(LOGITS, sampling, first) for _ in range(50)] == [choose(LOGITS, sampling, second) for _ in range(50)]


def test_without_a_seed_two_rows_draw_differently() -> None:
    first, second = generator_for(Sampling()), generator_for(Sampling())
    assert first.initial_seed() != second.initial_seed()


def test_the_logits_are_left_as_they_were() -> None:
    before = LOGITS.clone()
    sampling = Sampling(temperature=0.5, top_p=0.5, repetition_penalty=3.0, frequency_penalty=1.0)
    choose(LOGITS, sampling, torch.Generator(), prompt=[1], generated=[2], banned=[0])
    assert torch.equal(LOGITS, before)
