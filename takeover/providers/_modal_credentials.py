"""Who we are on Modal: two variables, or the file that `modal token new` writes. Nothing here reads a secret's value
but to see that there is one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from takeover.errors import AuthError

__all__ = ["VARIABLES", "require_credentials"]

VARIABLES = ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")
# Any of these in a profile's section; PyPI modal 1.6.4, config.py.
_IN_FILE = ("token_id", "oauth_refresh_token")
_FIX = (
    "Make a token at https://modal.com/settings/tokens and set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET, or run "
    "`modal token new`. Nothing was created."
)


def require_credentials(environ: Mapping[str, str]) -> None:
    """Raise AuthError when there is no token for Modal; whether Modal accepts it shows in the first call."""
    missing = [variable for variable in VARIABLES if not environ.get(variable)]
    if not missing or environ.get("MODAL_OAUTH_REFRESH_TOKEN") or _file_has_token(environ):
        return
    if len(missing) == 1:
        raise AuthError(f"{missing[0]} is not set", why="A token for Modal has two parts.", fix=_FIX)
    why = f"Neither {' and '.join(VARIABLES)} nor a token in {_file(environ)} is there."
    raise AuthError("there is no token for Modal", why=why, fix=_FIX)


def _file(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("MODAL_CONFIG_PATH") or "~/.modal.toml")


def _file_has_token(environ: Mapping[str, str]) -> bool:
    try:
        profiles = tomllib.loads(_file(environ).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    chosen = environ.get("MODAL_PROFILE")
    sections = [section for name, section in profiles.items() if chosen in (None, name) and isinstance(section, dict)]
    return any(section.get(key) for section in sections for key in _IN_FILE)
