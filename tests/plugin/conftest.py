"""Fixtures for tests with the real engine; what they are made of is in stack_project.py."""

from __future__ import annotations

from stack_project import project

__all__ = ["project"]
