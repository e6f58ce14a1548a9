"""A stack's file is edited byte for byte: only the adapter's lines change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from takeover.errors import Refused
from takeover.settings import settings_from_stack_file
from takeover.stackfile import edit_adapter, use_adapter

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


@dataclass(frozen=True)
class Case:
    id: str
    before: str
    after: str
    source: str = "adapters/x"


CASES = [
    Case(
        "the digest is added under the source, before the comment that follows",
        "config:\n  takeover:adapter:\n    source: old # the demo's\n\n  # What comes next\n  b: 1\n",
        "config:\n  takeover:adapter:\n    source: adapters/x # the demo's\n"
        f"    digest: {DIGEST}\n\n  # What comes next\n  b: 1\n",
    ),
    Case(
        "both are replaced where they stand, in their order and with their comments",
        f"config:\n  takeover:adapter:\n    # pinned\n    digest: '{OTHER}' # was\n    source: \"old one\"\n# end\n",
        f"config:\n  takeover:adapter:\n    # pinned\n    digest: {DIGEST} # was\n    source: adapters/x\n# end\n",
    ),
    Case(
        "a mapping on one line stays on one line",
        "config:\n  takeover:adapter: {source: old} # short\n",
        f"config:\n  takeover:adapter: {{source: adapters/x, digest: {DIGEST}}} # short\n",
    ),
    Case(
        "wide indents are kept",
        "config:\n    takeover:adapter:\n        source: old\n    b: [1,\n 2]\nencryptionsalt: v1\n",
        f"config:\n    takeover:adapter:\n        source: adapters/x\n        digest: {DIGEST}\n"
        "    b: [1,\n 2]\nencryptionsalt: v1\n",
    ),
    Case(
        "without an adapter it goes behind the last setting",
        "config:\n  a: 1 # one\n  b: |\n    text\n    more\n\nother: 3",
        "config:\n  a: 1 # one\n  b: |\n    text\n    more\n"
        f"  takeover:adapter:\n    source: adapters/x\n    digest: {DIGEST}\n\nother: 3",
    ),
    Case(
        "without settings they are begun",
        "# a new stack\n",
        f"# a new stack\nconfig:\n  takeover:adapter:\n    source: adapters/x\n    digest: {DIGEST}\n",
    ),
    Case(
        "line ends of Windows are kept",
        "config:\r\n  takeover:adapter:\r\n    source: old\r\n  b: 1\r\n",
        f"config:\r\n  takeover:adapter:\r\n    source: adapters/x\r\n    digest: {DIGEST}\r\n  b: 1\r\n",
    ),
    Case(
        "letters beyond ASCII stand before it",
        "# grüße, 你好\nconfig:\n  takeover:adapter:\n    source: old\n",
        f"# grüße, 你好\nconfig:\n  takeover:adapter:\n    source: adapters/x\n    digest: {DIGEST}\n",
    ),
    Case(
        "a source that YAML would read as a number is quoted",
        "config:\n  takeover:adapter:\n    source: old\n",
        f'config:\n  takeover:adapter:\n    source: "123"\n    digest: {DIGEST}\n',
        source="123",
    ),
    Case(
        "a source with a space and a sharp is quoted",
        "config:\n  takeover:adapter:\n    source: old\n",
        f'config:\n  takeover:adapter:\n    source: "my #1: best"\n    digest: {DIGEST}\n',
        source="my #1: best",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_only_the_adapters_lines_change(case: Case) -> None:
    assert edit_adapter(case.before, source=case.source, digest=DIGEST, where="Pulumi.s.yaml") == case.after
    assert edit_adapter(case.after, source=case.source, digest=DIGEST, where="Pulumi.s.yaml") == case.after


BY_HAND = f"Pulumi.s.yaml: the file was not changed\n  {{}}\n  Write it yourself: source: x, digest: {DIGEST}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(
            "config:\n  takeover:adapters: [{source: a}]\n",
            "It names several adapters, and which one to replace is yours to say.",
            id="several adapters",
        ),
        pytest.param("config: {}\n", "It is written in a way that this command does not edit.", id="an empty config"),
        pytest.param(
            "config:\n  takeover:adapter: old\n",
            "It is written in a way that this command does not edit.",
            id="bare text",
        ),
        pytest.param("config: [1]\n", "It holds no mapping `config`.", id="a list as config"),
        pytest.param("[1]\n", "It holds no mapping `config`.", id="a list as the file"),
    ],
)
def test_what_cannot_be_edited_surely_is_left_with_the_lines_to_write(text: str, why: str) -> None:
    with pytest.raises(Refused) as caught:
        edit_adapter(text, source="x", digest=DIGEST, where="Pulumi.s.yaml")
    assert str(caught.value) == BY_HAND.format(why)


def test_broken_yaml_is_refused() -> None:
    with pytest.raises(Refused, match="this is no readable YAML"):
        edit_adapter("config: [\n", source="x", digest=DIGEST, where="Pulumi.s.yaml")


def test_the_committed_dev_stack_can_be_edited_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    before = (ROOT / "Pulumi.dev.yaml").read_text()
    path.write_text(before)
    path.chmod(0o640)
    assert use_adapter(path, source="adapters/support-tone", digest=DIGEST) is True
    assert use_adapter(path, source="adapters/support-tone", digest=DIGEST) is False
    after = path.read_text()
    assert [line for line in after.splitlines() if line not in before.splitlines()] == [f"    digest: {DIGEST}"]
    assert after.replace(f"    digest: {DIGEST}\n", "") == before
    assert [source.digest for source in settings_from_stack_file(path).adapter_sources] == [DIGEST]
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["Pulumi.dev.yaml"]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.s.yaml"
    with pytest.raises(Refused) as caught:
        use_adapter(path, source="x", digest=DIGEST)
    assert str(caught.value) == f"{path}: there is no Pulumi.s.yaml\n  Copy Pulumi.dev.yaml to begin a stack."


OLD, NEW = f"hf://acme/tone@{'1' * 40}", f"hf://acme/tone@{'2' * 40}"
GONE = "sha256:" + "c" * 64


def test_the_version_before_is_noted_where_servers_must_be_told_of_it() -> None:
    before = f"config:\n  takeover:adapter:\n    source: {OLD}\n    digest: {GONE}\n  takeover:x: 1  # kept\n"
    once = edit_adapter(before, source=NEW, digest=DIGEST, where="Pulumi.s.yaml", keep=True)
    assert YAML(typ="safe").load(once)["config"] == {
        "takeover:adapter": {"source": NEW, "digest": DIGEST},
        "takeover:previous": {"source": OLD, "digest": GONE},
        "takeover:x": 1,
    }
    assert "# kept" in once
    assert edit_adapter(once, source=NEW, digest=DIGEST, where="Pulumi.s.yaml", keep=True) == once
    back = edit_adapter(once, source=OLD, digest=GONE, where="Pulumi.s.yaml", keep=True)
    assert YAML(typ="safe").load(back)["config"]["takeover:previous"] == {"source": NEW, "digest": DIGEST}


@pytest.mark.parametrize("digest", [None, "sha256:" + "0" * 64], ids=["no digest", "a placeholder"])
def test_what_was_never_deployed_is_no_version_before(digest: str | None) -> None:
    lines = f"    source: {OLD}\n" + (f"    digest: {digest}\n" if digest else "")
    after = edit_adapter(f"config:\n  takeover:adapter:\n{lines}", source=NEW, digest=DIGEST, where="s", keep=True)
    assert YAML(typ="safe").load(after)["config"] == {"takeover:adapter": {"source": NEW, "digest": DIGEST}}
