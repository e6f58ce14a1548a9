"""Who joins the batch, who leaves it, and when; over a model that counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from counting import Bench, Letters

from serving.local.asks import Finish, Piece
from serving.local.decode import PREFILL_TOKENS
from serving.local.scheduler import Draining, QueueFull

MakeBench = Callable[..., Bench]


@pytest.fixture
def bench() -> Iterator[MakeBench]:
    """Makes benches; what they compute when the test ends is let go."""
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for each in made:
        each.forward._allowed = None
        each.scheduler.stop()


@dataclass(frozen=True)
class EndCase:
    id: str
    want: Piece
    ask: dict[str, Any] = field(default_factory=dict)


ENDS = [
    EndCase("at the most tokens", Piece("11 12 13 ", 3, Finish("length"))),
    EndCase(
        "at the end-of-text token, which counts and is not shown",
        Piece("11 ", 2, Finish("stop")),
        {"eos_ids": frozenset({12})},
    ),
    EndCase(
        "at a stop token, which is named",
        Piece("11 ", 2, Finish("stop", 12)),
        {"stop_ids": frozenset({12}), "eos_ids": frozenset({12})},
    ),
    EndCase(
        "at a stop token that is to be shown",
        Piece("11 12 ", 2, Finish("stop", 12)),
        {"stop_ids": frozenset({12}), "include_stop": True},
    ),
    EndCase(
        "not at a stop token before the least tokens: the next likeliest comes",
        Piece("0 1 ", 3, Finish("stop")),
        {"eos_ids": frozenset({11, 2}), "min_tokens": 1, "tokens": 9},
    ),
]


@pytest.mark.parametrize("case", ENDS, ids=lambda case: case.id)
def test_an_answer_ends(bench: MakeBench, case: EndCase) -> None:
    made = bench()
    row = made.row(10, **case.ask)
    made.scheduler.submit([row])
    assert made.ends(1)[row] == case.want


def test_a_stream_gets_every_token_as_it_comes(bench: MakeBench) -> None:
    made = bench()
    row = made.row(10, stream=True)
    made.scheduler.submit([row])
    pieces = [made.next()[1] for _ in range(3)]
    assert pieces == [Piece("11 ", 1), Piece("12 ", 2), Piece("13 ", 3, Finish("length"))]


def test_a_row_joins_while_another_is_running(bench: MakeBench) -> None:
    made = bench(limited=True)
    first, second = made.row(10, tokens=5, stream=True), made.row(100, tokens=2, stream=True)
    made.scheduler.submit([first])
    made.forward.allow(2)
    made.next()
    made.next()
    made.scheduler.submit([second])
    made.forward.allow(20)
    ended = made.ends(2)
    assert [(row.prompt[-1], piece.tokens) for row, piece in ended.items()] == [(100, 2), (10, 5)]
    assert made.forward.calls.count((2, 1)) == 1


def test_no_more_rows_run_at_once_than_the_batch_holds(bench: MakeBench) -> None:
    made = bench(max_batch=2)
    rows = [made.row(10 * place, tokens=4) for place in range(1, 7)]
    made.scheduler.submit(rows)
    assert made.ends(6).keys() == set(rows)
    assert max(count for count, _ in made.forward.calls) == 2


def test_a_place_that_becomes_free_is_taken_at_the_next_token(bench: MakeBench) -> None:
    made = bench(max_batch=2)
    short, long, waits = made.row(10, tokens=2), made.row(100, tokens=6), made.row(200, tokens=2)
    made.scheduler.submit([short, long, waits])
    assert list(made.ends(3)) == [short, waits, long]


def test_a_full_queue_refuses_and_takes_again_when_somebody_leaves(bench: MakeBench) -> None:
    made = bench(limited=True, max_batch=1, max_queue=1)
    running, waiting, third = made.row(10, tokens=50), made.row(20), made.row(30)
    made.scheduler.submit([running])
    made.scheduler.submit([waiting])
    with pytest.raises(QueueFull) as full:
        made.scheduler.submit([third])
    assert 1 <= full.value.retry_after_s <= 60
    made.scheduler.cancel([waiting])
    made.forward.allow(2)
    made.ends(1)
    made.scheduler.submit([third])
    made.forward.allow(100)
    assert made.ends(2) == {
        running: Piece("".join(f"{n} " for n in range(11, 61)), 50, Finish("length")),
        third: Piece("31 32 33 ", 3, Finish("length")),
    }


def test_of_one_request_all_rows_are_taken_or_none(bench: MakeBench) -> None:
    made = bench(limited=True, max_batch=1, max_queue=1)
    with pytest.raises(QueueFull):
        made.scheduler.submit([made.row(10), made.row(20), made.row(30)])
    assert (made.scheduler.waiting, made.scheduler.running) == (0, 0)


def test_a_cancelled_row_gets_no_further_token_and_frees_its_place(bench: MakeBench) -> None:
    made = bench(limited=True, max_batch=1)
    leaves, follows = made.row(10, tokens=100, stream=True), made.row(500)
    made.scheduler.submit([leaves])
    made.scheduler.submit([follows])
    made.forward.allow(2)
    made.next()
    made.next()
    made.scheduler.cancel([leaves])
    made.forward.allow(100)
    ended = made.ends(2)
    assert (ended[leaves].finish, ended[follows]) == (Finish("abort"), Piece("501 502 503 ", 3, Finish("length")))
    assert ended[leaves].tokens <= 3


def test_a_cancelled_row_leaves_while_its_prompt_is_read(bench: MakeBench) -> None:
    made = bench(limited=True)
    row = made.row(10, length=20 * PREFILL_TOKENS)
    made.scheduler.submit([row])
    made.forward.allow(2)
    made.scheduler.cancel([row])
    made.forward.allow(100)
    assert made.ends(1)[row] == Piece("", 0, Finish("abort"))
    assert len(made.forward.calls) < 20


def test_short_prompts_are_read_together_and_a_long_one_apart(bench: MakeBench) -> None:
    made = bench()
    short, also_short, long = made.row(10, length=3), made.row(20, length=5), made.row(30, length=PREFILL_TOKENS)
    made.scheduler.submit([short, also_short, long])
    made.ends(3)
    assert [shape for shape in made.forward.calls if shape[1] > 1] == [(2, 5), (1, PREFILL_TOKENS)]


def test_a_long_prompt_does_not_stop_those_who_are_writing(bench: MakeBench) -> None:
    made = bench()
    writes, reads = made.row(10, tokens=12), made.row(500, length=10 * PREFILL_TOKENS)
    made.scheduler.submit([writes])
    made.scheduler.submit([reads])
    assert list(made.ends(2)) == [writes, reads]
    first, last = made.forward.calls.index((1, PREFILL_TOKENS)), len(made.forward.calls)
    assert made.forward.calls[first : first + 6 : 2] == [(1, PREFILL_TOKENS)] * 3
    assert made.forward.calls[first + 1 : first + 6 : 2] == [(1, 1)] * 3
    assert last > first + 10


def test_when_the_model_breaks_only_those_in_it_end_with_an_error(bench: MakeBench) -> None:
    made = bench(max_batch=1)
    breaks, follows = made.row(900, tokens=20), made.row(10)
    made.forward.fails_on = lambda ids: int(ids[0, -1]) == 905
    made.scheduler.submit([breaks])
    made.scheduler.submit([follows])
    ended = made.ends(2)
    assert ended == {
        breaks: Piece("901 902 903 904 905 ", 5, Finish("error")),
        follows: Piece("11 12 13 ", 3, Finish("length")),
    }


def test_when_one_row_fails_its_neighbour_goes_on(bench: MakeBench) -> None:
    made = bench()
    fails, goes_on = made.row(10, text=Letters(fails_at=12)), made.row(500)
    made.scheduler.submit([fails, goes_on])
    ended = made.ends(2)
    assert (ended[fails].finish, ended[goes_on]) == (Finish("error"), Piece("501 502 503 ", 3, Finish("length")))


def test_a_drain_waits_for_running_and_waiting_rows_and_takes_no_new_ones(bench: MakeBench) -> None:
    made = bench(limited=True, max_batch=1)
    running, waiting = made.row(10), made.row(20)
    made.scheduler.submit([running])
    made.scheduler.submit([waiting])
    outcome: list[bool] = []
    draining = threading.Thread(target=lambda: outcome.append(made.scheduler.drain(30)))
    draining.start()
    while not made.scheduler.is_draining:
        pass
    with pytest.raises(Draining):
        made.scheduler.submit([made.row(30)])
    made.forward.allow(100)
    draining.join(30)
    reasons = {piece.finish for row, piece in made.ends(2).items() if row in (running, waiting)}
    assert (outcome, reasons) == ([True], {Finish("length")})


def test_a_drain_cuts_off_what_takes_too_long(bench: MakeBench) -> None:
    made = bench(limited=True)
    row = made.row(10, tokens=900)
    made.scheduler.submit([row])
    was_idle = made.scheduler.drain(0.01)
    made.forward.allow(10)
    assert (was_idle, made.ends(1)[row].finish) == (False, Finish("abort"))


def test_a_job_runs_between_two_tokens_and_also_when_nothing_runs(bench: MakeBench) -> None:
    made = bench()
    ran_in: list[str] = []
    made.scheduler.between_steps(lambda: ran_in.append(threading.current_thread().name))
    row = made.row(10, tokens=200)
    made.scheduler.submit([row])
    made.scheduler.between_steps(lambda: ran_in.append(threading.current_thread().name))
    assert ran_in == ["scheduler", "scheduler"]
    assert made.ends(1)[row].tokens == 200


def test_what_a_job_returns_or_raises_comes_back(bench: MakeBench) -> None:
    made = bench()
    assert made.scheduler.between_steps(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        made.scheduler.between_steps(lambda: 1 // 0)
    row = made.row(10)
    made.scheduler.submit([row])
    assert made.ends(1)[row].tokens == 3


def test_the_observer_hears_of_prompts_tokens_and_ends(bench: MakeBench) -> None:
    made = bench()
    made.scheduler.submit([made.row(10, length=4), made.row(20, length=2, eos_ids=frozenset({21}))])
    made.ends(2)
    assert (made.ears.prompts, made.ears.tokens, made.ears.reasons) == ([4, 2], 4, ["stop", "length"])
