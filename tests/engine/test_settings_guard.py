"""What the engine notes about its secrets provider leaves no trace in a tracked settings file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from takeover.engine.settings_guard import guarded_settings, without_salt

SALT = "encryptionsalt: v1:cST4Hr5WKcg=:v1:ziBu1/n6m6Jo:zO3VIsWs==\n"
BEFORE = "# ours\nconfig:\n  takeover:hosting:   # why\n      environment: development\n"
REWRITTEN = "# ours\nconfig:\n  takeover:hosting: # why\n    environment: development\n"


@dataclass(frozen=True)
class Case:
    id: str
    before: str | None
    after: str
    wanted: str | None


CASES = (
    Case("nothing was noted", BEFORE, BEFORE, BEFORE),
    Case("the salt alone: every byte is as it was", BEFORE, REWRITTEN + SALT, BEFORE),
    Case("the salt at the top", BEFORE, SALT + REWRITTEN, BEFORE),
    Case(
        "the user set a value: that stays, the salt goes",
        BEFORE,
        REWRITTEN + "  takeover:local: {}\n" + SALT,
        REWRITTEN + "  takeover:local: {}\n",
    ),
    Case(
        "the user set a secret: its salt stays",
        BEFORE,
        REWRITTEN + "  takeover:token:\n    secure: v1:abc\n" + SALT,
        REWRITTEN + "  takeover:token:\n    secure: v1:abc\n" + SALT,
    ),
    Case("the user has a salt of his own", SALT + BEFORE, SALT + REWRITTEN, SALT + REWRITTEN),
    Case("the user has another provider", f"secretsprovider: awskms://k\n{BEFORE}", BEFORE + SALT, BEFORE + SALT),
    Case("the engine made the file for its salt", None, SALT, None),
    Case("the engine made the file for a value", None, "config:\n  a:b: c\n" + SALT, "config:\n  a:b: c\n"),
    Case("an empty file", "", SALT, ""),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_salt_goes_and_what_the_user_wrote_stays(case: Case) -> None:
    assert without_salt(case.before, case.after) == case.wanted


def test_every_settings_file_of_the_project_is_guarded(tmp_path: Path) -> None:
    dev, new, other = (tmp_path / name for name in ("Pulumi.dev.yaml", "Pulumi.new.yaml", "other.yaml"))
    dev.write_text(BEFORE)
    dev.chmod(0o640)
    with guarded_settings(tmp_path):
        dev.write_text(REWRITTEN + SALT)
        new.write_text(SALT)
        other.write_text(SALT)
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == {"Pulumi.dev.yaml": BEFORE, "other.yaml": SALT}
    assert dev.stat().st_mode & 0o777 == 0o640
