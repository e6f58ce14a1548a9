"""What a stack may say (`Pulumi.<stack>.yaml`), read once, strictly, with all mistakes at once."""

from __future__ import annotations

from takeover.settings._adapters import Trained, check_against_tier
from takeover.settings._eks_cluster import cluster_options
from takeover.settings._models import (
    AdapterSource,
    Budget,
    DedicatedVllmOptions,
    Hosting,
    LocalOptions,
    ModalOptions,
    Workload,
)
from takeover.settings._parse import parse_settings, raw_from_stack_file, settings_from_stack_file
from takeover.settings._raw import NAMESPACE, WrongSetting
from takeover.settings._settings import Settings

__all__ = [
    "NAMESPACE",
    "AdapterSource",
    "Budget",
    "DedicatedVllmOptions",
    "Hosting",
    "LocalOptions",
    "ModalOptions",
    "Settings",
    "Trained",
    "Workload",
    "WrongSetting",
    "check_against_tier",
    "cluster_options",
    "parse_settings",
    "raw_from_stack_file",
    "settings_from_stack_file",
]
