"""The control plane that the tests of this folder share, and when they are skipped.

They run with TAKEOVER_CLUSTER=1, as `make test-cluster` sets it, and then a program that is missing is a failure and no
skip. Without it they are skipped with one line: they take two minutes, and the quick suite has none to spare.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_binaries import CONTROL_PLANE, KEDA, module_folder, program
from control_plane import ControlPlane

IS_REQUIRED = os.environ.get("TAKEOVER_CLUSTER") == "1"


def need(*names: str) -> None:
    """Skip without TAKEOVER_CLUSTER=1; with it, fail where one of the programs is not built."""
    if not IS_REQUIRED:
        pytest.skip("the tests on a control plane run by `make test-cluster`")
    for name in names:
        program(name)


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
