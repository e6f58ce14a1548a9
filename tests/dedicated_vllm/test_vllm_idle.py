"""How long an adapter has been idle, out of the real server's page of metrics."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from takeover.providers._vllm_idle import NEVER, idle_seconds, server_time

NOW = 1795562500.0
# As vLLM 0.32 writes it (recorded on 2026-11-24, names changed).
PAGE = """\
# HELP vllm:lora_requests_info Running stats on lora requests.
# TYPE vllm:lora_requests_info gauge
vllm:lora_requests_info{max_lora="2",running_lora_adapters="",waiting_lora_adapters=""} 1.795562423828895e+09
vllm:lora_requests_info{max_lora="2",running_lora_adapters="a@1",waiting_lora_adapters="a@1"} 1.795562400e+09
vllm:lora_requests_info{max_lora="2",running_lora_adapters="b@2,a@1",waiting_lora_adapters=""} 1.795562450e+09
vllm:lora_requests_info{max_lora="2",running_lora_adapters="b@2",waiting_lora_adapters="c@3"} 1.795562490e+09
"""


@dataclass(frozen=True)
class Case:
    id: str
    name: str
    page: str
    want: float | None


CASES = [
    Case("the newest of the sets that it was in", "a@1", PAGE, 50.0),
    Case("one that ran alone last", "b@2", PAGE, 10.0),
    Case("one that waits", "c@3", PAGE, 10.0),
    Case("one that was never asked for", "d@4", PAGE, NEVER),
    Case("a name is no part of another name", "a@", PAGE, NEVER),
    Case("a page without this metric tells nothing", "a@1", "vllm:num_requests_waiting 0\n", None),
    Case("an empty page tells nothing", "a@1", "", None),
    Case("no page of metrics tells nothing", "a@1", "<html>not found</html>", None),
    Case("times that engine processes added up tell nothing", "a@1", PAGE.replace("1.79", "3.59"), None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_idle_seconds(case: Case) -> None:
    assert idle_seconds(case.page, case.name, NOW) == case.want


@pytest.mark.parametrize(("date", "want"), [("Tue, 24 Nov 2026 23:20:23 GMT", 1795562423.0), ("soon", 7.0), ("", 7.0)])
def test_the_clock_is_the_server_s_where_it_tells_the_time(date: str, want: float) -> None:
    assert server_time(date, 7.0) == want
