"""Fixtures for tests with the real engine; what they are made of is in engine_project.py."""

from __future__ import annotations

from engine_project import project

__all__ = ["project"]
