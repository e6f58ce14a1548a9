"""What a stack on Modal would cost, for settings as a stack file has them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from takeover.planning import Plan, plan
from takeover.settings import ModalOptions, Settings, parse_settings
from takeover.tiers import tier

L40S_MONTH = 0.000542 * 3600 * 24 * 30
BUSY = {"requestsPerDay": 2000, "tokensPerRequest": 500, "pattern": "spiky"}


def settings_of(hosting: dict[str, Any], modal: dict[str, Any], workload: dict[str, Any] | None = None) -> Settings:
    said = {"environment": "staging", "provider": "modal", "maxColdStartMs": 15000, **hosting}
    adapter = {"source": "adapters/tone", "digest": f"sha256:{'0' * 64}"}
    parts: dict[str, Any] = {"hosting": said, "adapter": adapter, "modal": modal, "workload": workload}
    return parse_settings({name: json.dumps(part) for name, part in parts.items() if part}, stack="staging")


def planned(*parts: Any) -> Plan:
    return plan(settings_of(*parts), tier("modal"))


@pytest.mark.parametrize(
    ("hosting", "modal", "workload", "floor", "ceiling", "month"),
    [
        pytest.param({}, {}, None, 0, 1, 0, id="at zero without a word on the workload"),
        pytest.param({"minReplicas": 1, "maxReplicas": 2}, {}, None, 1, 2, 1, id="one kept warm"),
        pytest.param({}, {}, BUSY, 0, 1, 4 / 24, id="awake in all of a spiky day's four hours"),
        pytest.param({}, {}, BUSY | {"requestsPerDay": 12}, 0, 1, 1 / 24, id="awake for the window after each request"),
        pytest.param({"minReplicas": 1}, {}, BUSY, 1, 1, 1, id="a warm one is there whatever is expected"),
        pytest.param({"minReplicas": 1}, {"gpu": "L40S:2"}, None, 2, 2, 2, id="two GPUs"),
        pytest.param({"minReplicas": 1}, {"regions": ["eu"]}, None, 1.5, 1.5, 1.5, id="a broad region"),
        pytest.param({"minReplicas": 1}, {"regions": ["eu-west"]}, None, 1.75, 1.75, 1.75, id="a narrow region"),
    ],
)
def test_a_month_costs_its_gpu_seconds(
    hosting: dict[str, Any],
    modal: dict[str, Any],
    workload: dict[str, Any] | None,
    floor: float,
    ceiling: float,
    month: float,
) -> None:
    made = planned(hosting, modal, workload)
    found = [made.floor_usd, made.ceiling_usd, made.monthly_usd]
    assert found == pytest.approx([share * L40S_MONTH for share in (floor, ceiling, month)], abs=0.01)


def test_a_token_costs_its_share_of_the_month() -> None:
    tokens = 2000 * 500 * 30
    made = planned({}, {}, BUSY)
    assert made.per_million_tokens_usd == pytest.approx(made.monthly_usd / tokens * 1e6, abs=0.001)


def test_every_gpu_that_the_settings_take_has_a_price() -> None:
    pattern = next(part.pattern for part in ModalOptions.model_fields["gpu"].metadata if hasattr(part, "pattern"))
    names = pattern.removeprefix("^(").partition(")")[0].replace("!?", "").replace(r"\+?", "").split("|")
    prices = {name: planned({"minReplicas": 1}, {"gpu": name}).floor_usd for name in names}
    assert min(prices.values()) > 0
    assert prices["B200"] == planned({"minReplicas": 1}, {"gpu": "B200+"}).floor_usd


def test_development_pays_for_no_container_while_nobody_asks() -> None:
    hosting = {"environment": "development", "provider": "modal"}
    adapter = {"source": "adapters/tone"}
    settings = parse_settings({"hosting": json.dumps(hosting), "adapter": json.dumps(adapter)}, stack="dev")
    assert (settings.hosting.min_replicas, plan(settings, tier("modal")).floor_usd) == (0, 0)
