"""Fixtures of the conformance suite; what they are made of is in ground.py and worlds.py."""

from __future__ import annotations

from ground import ground

__all__ = ["ground"]
