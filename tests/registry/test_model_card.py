"""The model card: made from the manifest, with metadata that the Hub takes, and harmless whatever a manifest says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from fakes.hub_rules import card_errors

from takeover.adapter import Adapter, Manifest
from takeover.adapter._card import model_card
from takeover.registry.card import card_mistakes, card_to_push

COMMIT = "0a" * 20


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return make_adapter(tmp_path / "tone", evaluation={"margin": 1.23456, "rewardAccuracy": 0.75}).manifest


def on_the_hub(manifest: Manifest, **changes: Any) -> Manifest:
    base = {"base": f"hub:acme/base-7b@{COMMIT}", "base_revision": COMMIT}
    return manifest.model_copy(update={**base, **changes})


def metadata_of(card: str) -> dict[str, Any]:
    """As the Hub's own library reads it."""
    from huggingface_hub import ModelCard

    found: dict[str, Any] = ModelCard(card).data.to_dict()
    return found


@dataclass(frozen=True)
class Case:
    id: str
    changes: dict[str, Any]
    want: dict[str, Any]


TAGS = {"library_name": "peft", "pipeline_tag": "text-generation", "tags": ["lora", "dpo", "takeover"]}
BASE = {"base_model": "acme/base-7b", "base_model_relation": "adapter"}
CASES = [
    Case("a base on the Hub", {}, {**BASE, **TAGS, "license": "apache-2.0"}),
    Case(
        "two methods",
        {"method": "dpo+sft"},
        {**BASE, **TAGS, "license": "apache-2.0", "tags": ["lora", "dpo", "sft", "takeover"]},
    ),
    Case("a licence of the Hub's own", {"licence": "Llama3.1"}, {**BASE, **TAGS, "license": "llama3.1"}),
    Case(
        "another licence",
        {"licence": "Acme Proprietary: v2 (EU)"},
        {**BASE, **TAGS, "license": "other", "license_name": "acme-proprietary-v2-eu"},
    ),
    Case("a licence without a letter", {"licence": "???"}, {**BASE, **TAGS, "license": "other"}),
    Case(
        "a licence that YAML would mistake",
        {"licence": "No"},
        {**BASE, **TAGS, "license": "other", "license_name": "no"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_metadata_is_read_back_by_the_hubs_library_and_breaks_no_rule(manifest: Manifest, case: Case) -> None:
    card = model_card(on_the_hub(manifest, **case.changes))
    assert (metadata_of(card), list(card_mistakes(card)), card_errors(card)) == (case.want, [], [])


def test_a_base_that_is_not_on_the_hub_is_not_named_as_one(manifest: Manifest) -> None:
    assert metadata_of(model_card(manifest)) == {**TAGS, "license": "apache-2.0"}


def test_it_says_what_it_is_what_it_reached_and_how_to_serve_it(manifest: Manifest) -> None:
    card = model_card(
        on_the_hub(manifest), ["report/curves.svg", "report/curves.png", "report/answers.md"], "hf://a/b@v1"
    )
    served = f"{manifest.name}@{manifest.digest.removeprefix('sha256:')[:12]}"
    wanted = [
        f"| digest | `{manifest.digest}` |",
        f"| digest of the data | `{manifest.data_digest}` |",
        f"| base | `hub:acme/base-7b@{COMMIT}` |",
        "| margin | 1.235 |",
        "| rewardAccuracy | 0.75 |",
        "![curves](report/curves.png)",
        "- [answers.md](report/answers.md)",
        "takeover adapter use hf://a/b@v1 --stack staging && takeover up --stack staging",
        "takeover pull hf://a/b@v1 --out DIR",
        f"vllm serve acme/base-7b --revision {COMMIT} --enable-lora --max-lora-rank 4 --lora-modules {served}=DIR",
        "## Limits",
        "- The figures are of held-out pairs of the same data; how it answers other questions was not measured.",
    ]
    assert [line for line in wanted if line not in card.splitlines()] == []
    assert card.count("curves.svg") == 0  # a picture is shown once, in its first format


def test_a_reports_file_with_an_odd_name_is_not_linked(manifest: Manifest) -> None:
    card = model_card(manifest, ["report/a](http://b).md", "report/<c>.png", "report/d.md"])
    assert re.findall(r"report/[^\n]*", card) == ["report/d.md)"]


def test_without_figures_it_says_that_nothing_was_measured(manifest: Manifest) -> None:
    card = model_card(manifest.model_copy(update={"evaluation": {}}))
    assert ("## Figures" in card, "- Nothing was measured; how it answers other questions" in card) == (False, True)


HOSTILE = "MIT\n---\nlicense: mit\n---\n# <script>alert(1)</script> | `x` [a](http://b) ![c](d)"


def test_what_others_wrote_into_a_manifest_stays_words(manifest: Manifest) -> None:
    card = model_card(manifest.model_copy(update={"licence": HOSTILE, "evaluation": {HOSTILE: 1.0}}))
    assert metadata_of(card)["license"] == "other"
    body = card.split("---\n", 2)[2]
    assert (re.findall(r"(?<!\\)<|(?<!\\)\[a\]|(?m:^# <)", body), body.count("\n---")) == ([], 0)


# What a hand wrote.

GOOD = "---\nlicense: mit\ntags: [a]\n---\n# Words\n"


@dataclass(frozen=True)
class Card:
    id: str
    text: str
    want: list[str]


CARDS = [
    Card("good", GOOD, []),
    Card("with Windows' line ends", GOOD.replace("\n", "\r\n"), []),
    Card("a list of bases and languages", GOOD.replace("tags:", "base_model: [a/b, c/d]\nlanguage: [de]\ntags:"), []),
    Card("no metadata", "# Words\n", ["it has no metadata: a block of YAML between two lines of ---"]),
    Card("no YAML", "---\na: [\n---\n", ["its metadata is no readable YAML"]),
    Card("a key twice", "---\nlicense: mit\nlicense: mit\n---\n", ["its metadata is no readable YAML"]),
    Card("a list", "---\n- a\n---\n", ["its metadata is no mapping"]),
    Card(
        "a licence that nobody knows",
        GOOD.replace("mit", "MIT"),
        ["license is 'MIT', but the Hub wants one of the Hub's licences, or other"],
    ),
    Card(
        "a licence's name with spaces",
        GOOD.replace("mit", "other\nlicense_name: My own"),
        ["license_name is 'My own', but the Hub wants like my-licence-1.0"],
    ),
    Card("tags as text", GOOD.replace("[a]", "a"), ["tags is 'a', but the Hub wants a list of words"]),
    Card("a tag that is a number", GOOD.replace("[a]", "[1]"), ["tags is [1], but the Hub wants a list of words"]),
    Card(
        "figures that the Hub's library cannot read",
        GOOD.replace("license: mit", "model-index: [{name: x}]"),
        ["model-index is not laid out as the Hub wants it"],
    ),
    Card(
        "several at once",
        "---\nlicense: 1\nbase_model_relation: friend\nlibrary_name: ''\n---\n",
        [
            "base_model_relation is 'friend', but the Hub wants adapter, merge, quantized or finetune",
            "library_name is '', but the Hub wants a library's name",
            "license is 1, but the Hub wants one of the Hub's licences, or other",
        ],
    ),
]


@pytest.mark.parametrize("case", CARDS, ids=lambda case: case.id)
def test_what_the_hub_would_refuse_in_a_card_is_named_by_its_key(case: Card) -> None:
    assert [mistake.happened for mistake in card_mistakes(case.text)] == case.want


@pytest.mark.parametrize(
    ("written", "signed", "is_ours"),
    [("ours", False, True), ("ours", True, False), ("own words", False, False), (None, True, True)],
)
def test_a_card_is_written_anew_only_where_nobody_touched_it(
    adapter: Adapter, written: str | None, signed: bool, is_ours: bool
) -> None:
    names = ["report/curves.png"]
    before = {"ours": model_card(adapter.manifest, names), "own words": "own words", None: None}[written]
    found = card_to_push(before, adapter.manifest, names, "hf://a/b@v1", signed)
    assert ("hf://a/b@v1" in found, found == before) == (is_ours, not is_ours)


def test_training_writes_the_same_card_into_the_folder(adapter: Adapter) -> None:
    names = ["report/answers.md", "report/curves.png", "report/curves.svg"]
    assert (adapter.path / "README.md").read_text() == model_card(adapter.manifest, names)
