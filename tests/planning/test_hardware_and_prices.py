"""GPUs, machines and what an hour of them costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from takeover.errors import Refused
from takeover.planning import prices
from takeover.planning.hardware import GPUS, INSTANCES, gpu_named, instance_named
from takeover.planning.prices import aws_prices, caveats, instance_price, parse_prices


@pytest.mark.parametrize(
    ("text", "name"),
    [("h100", "H100-SXM"), ("NVIDIA L4", "L4"), ("a100 80gb", "A100-80GB"), ("A100", "A100-80GB"), ("L40S", "L40S")],
)
def test_a_gpu_is_found_however_it_is_spelt(text: str, name: str) -> None:
    assert gpu_named(text).name == name


def test_an_unknown_gpu_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refused) as caught:
        gpu_named("L40X", where="takeover:kubernetes.gpu")
    parts = caught.value.parts()
    assert (parts["where"], parts["happened"]) == ("takeover:kubernetes.gpu", "the GPU 'L40X' is not known here")
    assert parts["fix"] == "Did you mean L40S?"


@pytest.mark.parametrize(
    ("name", "happened", "fix"),
    [
        pytest.param(
            "g6e.3xlarge",
            "'g6e.3xlarge' is no size of g6e",
            "Known sizes: g6e.xlarge, g6e.2xlarge, g6e.4xlarge, g6e.8xlarge, g6e.12xlarge, g6e.16xlarge, g6e.24xlarge,"
            " g6e.48xlarge.",
            id="a size that is not made",
        ),
        pytest.param(
            "ml.m5.large",
            "'ml.m5.large' is no instance type with a known GPU",
            "Known families: ml.g4dn, ml.g5, ml.g6, ml.g6e, ml.g7e, ml.p4d, ml.p4de, ml.p5, ml.p5e, ml.p5en,"
            " ml.p6-b200, ml.p6-b300.",
            id="no GPU",
        ),
    ],
)
def test_an_unknown_machine_is_refused(name: str, happened: str, fix: str) -> None:
    with pytest.raises(Refused) as caught:
        instance_named(name)
    assert (caught.value.happened, caught.value.fix) == (happened, fix)


def test_machines_of_sagemaker_are_those_of_ec2() -> None:
    plain, managed = instance_named("g6e.12xlarge"), instance_named("ml.g6e.12xlarge")
    assert (plain.gpu, plain.gpus, plain.vcpus, plain.memory_gib) == (GPUS["L40S"], 4, 48, 384)
    assert (managed.name, managed.gpu, managed.gpus, managed.local_nvme) == ("ml.g6e.12xlarge", plain.gpu, 4, True)
    assert "ml.g4dn.metal" not in INSTANCES


@pytest.mark.parametrize(
    ("name", "region", "usd", "caveat"),
    [
        pytest.param("g6e.2xlarge", "us-east-1", 2.24208, "", id="as recorded"),
        pytest.param("g5.xlarge", "eu-west-1", 1.123, "", id="of another region"),
        pytest.param(
            "g6.xlarge",
            "eu-central-1",
            0.8048,
            "g6.xlarge's price in eu-central-1 is not recorded; that of us-east-1 is taken.",
            id="only recorded elsewhere",
        ),
        pytest.param("ml.g6e.2xlarge", "us-east-1", 2.80, "", id="SageMaker's"),
        pytest.param(
            "ml.g6e.16xlarge",
            "us-east-1",
            7.57719 * 1.25,
            "ml.g6e.16xlarge's price is not recorded; EC2's times 1.25 is taken.",
            id="reckoned from EC2's",
        ),
        pytest.param(
            "g4dn.xlarge",
            "us-east-1",
            0.526,
            "g4dn.xlarge's price, as of 2026-11-25, is not verified.",
            id="not verified",
        ),
        pytest.param(
            "ml.p5.48xlarge",
            "us-east-1",
            63.296,
            "ml.p5.48xlarge's price in us-east-1 is not recorded; that of us-west-2 is taken. ml.p5.48xlarge's price,"
            " as of 2026-09-01, is not verified.",
            id="neither",
        ),
    ],
)
def test_an_hour_has_its_price_and_says_what_is_wrong_with_it(name: str, region: str, usd: float, caveat: str) -> None:
    found = instance_price(aws_prices(), name, region)
    assert found is not None
    assert (found.usd, found.caveat) == (pytest.approx(usd), caveat)


def test_a_machine_in_no_table_has_no_price() -> None:
    assert instance_price(aws_prices(), "p6-b300.48xlarge", "us-east-1") is None


def test_every_price_has_a_machine_a_source_and_a_date() -> None:
    rows = aws_prices().rows
    machines = {name for product, name, _ in rows if product in ("ec2", "sagemaker-hosting")}
    assert machines - set(INSTANCES) == {"m7i.large", "m7i.xlarge"}
    assert all(row.source and len(row.as_of) == len("2026-01-01") and row.usd > 0 for row in rows.values())


def test_what_is_said_twice_is_said_once() -> None:
    price = instance_price(aws_prices(), "g4dn.xlarge", "us-east-1")
    assert caveats([price, price, None]) == ("g4dn.xlarge's price, as of 2026-11-25, is not verified.",)


def test_a_price_that_must_be_there_is_refused_when_it_is_not() -> None:
    with pytest.raises(Refused, match="has no price of alb-hour"):
        parse_prices({"table": []}).usd("network", "alb-hour", "us-east-1")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(None, "FileNotFoundError", id="missing"),
        pytest.param("[[table]\n", "TOMLDecodeError", id="no TOML"),
        pytest.param("rows = 1\n", "KeyError: 'table'", id="another file"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(
    content: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "aws.toml"
    files = [] if content is None else [file]
    for each in files:
        each.write_text(str(content), encoding="utf-8")
    monkeypatch.setattr(prices, "_PLACES", (file,))
    with pytest.raises(Refused) as caught:
        prices.aws_prices.__wrapped__()
    assert (caught.value.happened, caught.value.where) == ("the table of AWS's prices cannot be read", str(file))
    assert caught.value.why.startswith(why)
