"""The control plane that the tests of this folder share, and when they are skipped.

They run where the programs are in the cache. With TAKEOVER_CLUSTER=1 (`make test-cluster` sets it) what is missing is
a failure and no skip; the quick suite says in one line what was left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_binaries import CONTROL_PLANE, KEDA, Missing, module_folder, program
from control_plane import ControlPlane

IS_REQUIRED = os.environ.get("TAKEOVER_CLUSTER") == "1"


def need(*names: str) -> None:
    """Skip (or fail, under TAKEOVER_CLUSTER=1) where one of the programs is not there."""
    try:
        for name in names:
            program(name)
    except Missing as missing:
        if IS_REQUIRED:
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with two nodes of one GPU each, in two zones."""
    need(*CONTROL_PLANE.packages)
    with ControlPlane(tmp_path_factory.mktemp("plane")) as started:
        started.add_node("gpu-a", "zone-a")
        started.add_node("gpu-b", "zone-b")
        started.install_definitions(definitions())
        yield started


def definitions() -> list[Path]:
    """The CRDs: KEDA's from its Go module, the others from the folder shared/crds beside or above the clone."""
    keda = module_folder(KEDA, "github.com/kedacore/keda/v2")
    found = sorted((keda / "config/crd/bases").glob("*.yaml")) if keda else []
    for parent in Path(__file__).resolve().parents:
        others = sorted((parent / "shared/crds").glob("*.yaml"))
        if others:
            return [*found, *(file for file in others if not file.name.startswith("keda."))] if found else others
    return found
