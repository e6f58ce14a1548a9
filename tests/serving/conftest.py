"""One server of the base `tiny` for all tests of this folder, two adapters, and transformers' own model beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from live import LiveServer, live_server

from takeover.adapter import Adapter

ALL_MODULES = ("k_proj", "o_proj", "q_proj", "v_proj")


@pytest.fixture(scope="session")
def polite(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    return make_adapter(tmp_path_factory.mktemp("adapters") / "polite", name="polite", rank=8, modules=ALL_MODULES)


@pytest.fixture(scope="session")
def terse(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    """Another rank and other modules than `polite`, so that a mixed batch has unequal parts."""
    return make_adapter(tmp_path_factory.mktemp("adapters") / "terse", name="terse", rank=4, seed=3)


@pytest.fixture(scope="session")
def server(polite: Adapter, terse: Adapter) -> Iterator[LiveServer]:
    with live_server() as running:
        running.load(polite)
        running.load(terse)
        yield running


@pytest.fixture(scope="session")
def reference(polite: Adapter, terse: Adapter) -> Any:
    """PEFT's model over transformers', with both adapters: what every answer is compared with."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from takeover.bases import parse_base
    from takeover.bases.materialise import materialise

    model = AutoModelForCausalLM.from_pretrained(materialise(parse_base("tiny")).path, dtype=torch.float32)
    mixed = PeftModel.from_pretrained(model, polite.path, adapter_name="polite")
    mixed.load_adapter(terse.path, adapter_name="terse")
    return mixed.eval()
