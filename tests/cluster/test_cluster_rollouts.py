"""scratch"""

import pytest
from control_plane import ControlPlane

pytestmark = pytest.mark.cluster


def test_up(plane: ControlPlane) -> None:
    print(plane.kube.call("GET", "/version"))
    print([n["metadata"]["name"] for n in plane.kube.items("/api/v1/nodes")])
