"""Fixtures for tests of the tier on Modal; what they are made of is in modal_life.py and modal_stack.py."""

from __future__ import annotations

from modal_life import life
from modal_stack import command_plugin, modal, stack

__all__ = ["command_plugin", "life", "modal", "stack"]
