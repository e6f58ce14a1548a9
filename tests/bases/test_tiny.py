"""The base `tiny` in the libraries that use it: transformers, PEFT, TRL's chat template; vLLM's condition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter

from takeover.bases import parse_base
from takeover.bases.materialise import materialise

MESSAGES = [{"role": "user", "content": "Grüße, 日本\n!"}, {"role": "assistant", "content": "\x00 ok"}]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAKEOVER_CACHE", str(tmp_path_factory.mktemp("cache")))
        return materialise(parse_base("tiny")).path


@pytest.fixture(scope="module")
def tokenizer(path: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path)


@pytest.fixture
def model(path: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path)


def test_the_tokenizer_keeps_every_byte_and_knows_its_marks(tokenizer: Any) -> None:
    text = "".join(map(chr, range(1, 0x300))) + "日本 🙂\n\t  x"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    marks = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, len(tokenizer))
    assert (tokenizer.decode(ids), len(ids), marks) == (text, len(text.encode()), (1, 2, 3, 260))


def test_the_chat_template_marks_each_turn_and_the_prompt_is_a_prefix(tokenizer: Any) -> None:
    whole = tokenizer.apply_chat_template(MESSAGES, tokenize=False)
    prompt = tokenizer.apply_chat_template(MESSAGES[:1], tokenize=False, add_generation_prompt=True)
    ids = tokenizer(whole, add_special_tokens=False).input_ids
    assert whole == "<|im_start|>user\nGrüße, 日本\n!<|im_end|>\n<|im_start|>assistant\n\x00 ok<|im_end|>\n"
    assert (whole.startswith(prompt), ids.count(1), ids.count(2)) == (True, 2, 2)


def test_the_model_is_a_llama_that_vllm_takes(model: Any) -> None:
    config = model.config
    assert (
        config.model_type,
        config.head_dim,
        config.vocab_size,
        sum(each.numel() for each in model.parameters()),
    ) == (
        "llama",
        32,
        260,
        362_112,
    )


def test_peft_loads_an_artifact_on_it_and_the_answer_changes(tmp_path: Path, model: Any, tokenizer: Any) -> None:
    import torch
    from peft import PeftModel

    adapter = make_adapter(tmp_path / "adapter", rank=8, modules=("q_proj", "k_proj", "v_proj", "o_proj"))
    ids = tokenizer("hello", return_tensors="pt").input_ids
    with torch.no_grad():
        before = model(ids).logits
        tuned = PeftModel.from_pretrained(model, str(adapter.path))
        after = tuned(ids).logits
        with tuned.disable_adapter():
            again = tuned(ids).logits
    assert (torch.equal(before, again), torch.allclose(before, after)) == (True, False)
    assert tuned.peft_config["default"].target_modules == {"q_proj", "k_proj", "v_proj", "o_proj"}
