"""The batch computes what transformers and PEFT compute, whoever else is in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from serving.local import decode
from serving.local.cache import require_plain_attention
from serving.local.decode import Batch, Forward, Prefill
from serving.local.lora import AdapterWeights, LoraLayers, read_adapter
from takeover.adapter import Adapter
from takeover.bases import parse_base
from takeover.bases.materialise import materialise
from takeover.errors import Refused

TOKENS = 24


@dataclass(eq=False)
class Row:
    prompt: Sequence[int]
    weights: AdapterWeights | None = None
    written: list[int] = field(default_factory=list)

    @property
    def last_token(self) -> int:
        return self.written[-1]


@dataclass(frozen=True)
class Model:
    forward: Forward
    weights: dict[str, AdapterWeights | None]


@pytest.fixture(scope="module")
def model(polite: Adapter, terse: Adapter) -> Model:
    from transformers import AutoModelForCausalLM

    made = AutoModelForCausalLM.from_pretrained(materialise(parse_base("tiny")).path, dtype=torch.float32).eval()
    lora = LoraLayers(made)
    files = [read_adapter(each.path, each.name) for each in (polite, terse)]
    weights = {file.name: lora.attach(file, torch.float32) for file in files}
    return Model(Forward(made, lora, require_plain_attention(made.config)), {"base": None, **weights})


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def prompt(length: int) -> tuple[int, ...]:
    return tuple(4 + (7 * place + length) % 256 for place in range(length))


def prefill(model: Model, rows: Sequence[Row]) -> Prefill[Row]:
    """Run the prompts to their end and write each row's first token."""
    made = Prefill(rows, model.forward, pad=3)
    while (logits := made.advance()) is None:
        pass
    write(rows, logits)
    return made


def write(rows: Sequence[Row], logits: torch.Tensor) -> None:
    for row, token in zip(rows, logits.argmax(-1).tolist(), strict=True):
        row.written.append(token)


def run(model: Model, rows: Sequence[Row], tokens: int = TOKENS) -> list[list[int]]:
    batch: Batch[Row] = Batch(model.forward)
    batch.join(prefill(model, rows), lambda _row: True)
    for _ in range(tokens - 1):
        write(batch.rows, batch.step())
    return [row.written for row in rows]


def alone(model: Model, length: int, name: str, tokens: int = TOKENS) -> list[int]:
    return run(model, [Row(prompt(length), model.weights[name])], tokens)[0]


def generated(reference: Any, length: int, name: str) -> list[int]:
    """What `model.generate` of transformers, under PEFT, writes."""
    ids = torch.tensor([prompt(length)])
    options = {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS, "do_sample": False, "adapter_names": [f"{name}"]}
    answer = reference.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
    found: list[int] = answer[0, length:].tolist()
    return found


@pytest.mark.parametrize(("length", "name"), [(1, "base"), (20, "base"), (20, "polite"), (33, "terse")])
def test_one_row_is_what_generate_writes(model: Model, reference: Any, length: int, name: str) -> None:
    under_peft = "__base__" if name == "base" else name
    assert alone(model, length, name) == generated(reference, length, under_peft)


MIXED = [(5, "polite"), (40, "base"), (17, "terse"), (1, "polite"), (23, "base")]


def test_mixed_rows_are_what_each_is_alone(model: Model) -> None:
    together = run(model, [Row(prompt(length), model.weights[name]) for length, name in MIXED])
    assert together == [alone(model, length, name) for length, name in MIXED]


def test_mixed_logits_are_those_of_peft(model: Model, reference: Any) -> None:
    rows = [Row(prompt(9), model.weights[name]) for name in ("polite", "base", "terse")]
    ours = Prefill(rows, model.forward, pad=3).advance()
    names = ["polite", "__base__", "terse"]
    theirs = reference(input_ids=torch.tensor([prompt(9)] * 3), adapter_names=names).logits[:, -1]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_rows_that_join_and_leave_change_nothing_for_the_others(model: Model) -> None:
    """One row stays through it all; longer and shorter ones come and go, so that the padding grows and shrinks."""
    batch: Batch[Row] = Batch(model.forward)
    stays = Row(prompt(12), model.weights["polite"])
    comes = {3: Row(prompt(60), model.weights["terse"]), 5: Row(prompt(2)), 9: Row(prompt(80), model.weights["polite"])}
    leaves = {7: comes[3], 12: comes[9], 15: comes[5]}
    batch.join(prefill(model, [stays]), lambda _row: True)
    for step in range(1, TOKENS):
        batch.leave([leaves[step]] if step in leaves else [])
        if step in comes:
            batch.join(prefill(model, [comes[step]]), lambda _row: True)
        write(batch.rows, batch.step())
    names = {id(None): "base"} | {id(weights): name for name, weights in model.weights.items()}
    for row in (stays, *comes.values()):
        assert row.written == alone(model, len(row.prompt), names[id(row.weights)], len(row.written))
    assert [len(row.written) for row in (stays, *comes.values())] == [24, 5, 11, 4]


def test_a_long_prompt_in_pieces_is_the_same(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = alone(model, 50, "polite")
    monkeypatch.setattr(decode, "PREFILL_TOKENS", 7)
    assert alone(model, 50, "polite") == whole


def test_unequal_prompts_in_pieces_are_the_same(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "PREFILL_TOKENS", 30)
    together = run(model, [Row(prompt(length), model.weights[name]) for length, name in MIXED])
    monkeypatch.undo()
    assert together == [alone(model, length, name) for length, name in MIXED]


def test_only_rows_that_stay_join(model: Model) -> None:
    rows = [Row(prompt(3)), Row(prompt(30)), Row(prompt(6))]
    batch: Batch[Row] = Batch(model.forward)
    batch.join(prefill(model, rows), lambda row: len(row.prompt) != 30)
    assert (batch.rows, batch.cached_tokens) == ([rows[0], rows[2]], 9)


def test_the_cache_is_forgotten_with_the_last_row(model: Model) -> None:
    batch: Batch[Row] = Batch(model.forward)
    row = Row(prompt(8))
    batch.join(prefill(model, [row]), lambda _row: True)
    batch.leave([row])
    assert (batch.rows, batch.cached_tokens) == ([], 0)
    after = Row(prompt(4))
    batch.join(prefill(model, [after]), lambda _row: True)
    write(batch.rows, batch.step())
    assert after.written == alone(model, 4, "base", 2)


def test_an_architecture_with_another_kind_of_state_is_refused() -> None:
    from transformers import MambaConfig

    with pytest.raises(Refused, match="mamba"):
        require_plain_attention(MambaConfig(num_hidden_layers=2, hidden_size=32))


def test_a_sliding_window_is_left_to_the_mask() -> None:
    """Mistral's layers forget; here they keep everything, and the mask hides it: the answers are the same."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = MistralConfig(vocab_size=300, num_key_value_heads=2, sliding_window=8, **sizes)
    with torch.inference_mode(mode=False):
        mistral = MistralForCausalLM(config).eval()
    forward = Forward(mistral, LoraLayers(mistral), require_plain_attention(config))
    ours = run(Model(forward, {}), [Row(prompt(21)), Row(prompt(11))])
    options = {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS, "do_sample": False, "pad_token_id": 0}
    theirs = [mistral.generate(torch.tensor([prompt(size)]), **options)[0, size:].tolist() for size in (21, 11)]
    assert ours == theirs
