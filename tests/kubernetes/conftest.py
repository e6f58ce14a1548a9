"""nginx, where it can be had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

_UNPACKED = Path("~/.cache/takeover/nginx/usr/sbin/nginx").expanduser()


@pytest.fixture(scope="session")
def nginx() -> str:
    """The program; on Debian `apt-get download nginx && dpkg -x nginx_*.deb ~/.cache/takeover/nginx` is enough."""
    found = shutil.which("nginx") or (str(_UNPACKED) if _UNPACKED.is_file() else None)
    if found is None:
        pytest.skip("no nginx: neither on PATH nor in ~/.cache/takeover/nginx (tests/kubernetes/conftest.py says how)")
    return found
