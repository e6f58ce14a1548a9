"""AWS's prices by name and region, from the dated table `prices/aws.toml`: the one place that reads it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from takeover.errors import Refused

__all__ = ["HOURS_PER_MONTH", "Price", "Prices", "aws_prices", "caveats", "instance_price", "parse_prices"]

HOURS_PER_MONTH = 730  # AWS's own convention
# Inside the package where it was installed, beside it in a clone.
_PLACES = tuple(Path(__file__).resolve().parents[up] / "prices" / "aws.toml" for up in (1, 2))
_RECORDED_REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
# SageMaker's hosting over the same machine on EC2, from the rows that are in both tables (2026-11-24).
_SMALL_MARKUP, _MARKUP, _LARGE_MARKUP = 1.40, 1.25, 1.15


@dataclass(frozen=True)
class Price:
    """US dollars of one `unit` of `name`. `caveat` is a sentence where it is not the recorded price of that region."""

    name: str
    usd: float
    unit: str
    region: str
    as_of: str
    source: str
    caveat: str = ""


@dataclass(frozen=True)
class Prices:
    """Every row of one vendor's table, by product, name and region."""

    rows: Mapping[tuple[str, str, str], Price]

    def find(self, product: str, name: str, region: str) -> Price | None:
        """The price there; else, saying so, of a region whose price is recorded. None when there is none at all."""
        for place in (region, "all"):
            if (product, name, place) in self.rows:
                return self.rows[product, name, place]
        for place in _RECORDED_REGIONS:
            found = self.rows.get((product, name, place))
            if found is not None:
                elsewhere = f"{name}'s price in {region} is not recorded; that of {place} is taken."
                return replace(found, caveat=f"{elsewhere} {found.caveat}".strip())
        return None

    def usd(self, product: str, name: str, region: str) -> float:
        """The same as a number, for what is always recorded. Refused when it is not: then the table is damaged."""
        found = self.find(product, name, region)
        if found is None:
            raise Refused(f"prices/aws.toml has no price of {name}", fix="Restore the file from the repository.")
        return found.usd


@cache
def aws_prices() -> Prices:
    """The table, read once for each process. Refused when it is missing or damaged."""
    file = next((place for place in _PLACES if place.is_file()), _PLACES[-1])
    try:
        return parse_prices(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise Refused("the table of AWS's prices cannot be read", why=why, where=str(file)) from error


def parse_prices(table: Mapping[str, Any]) -> Prices:
    """The rows of a table as TOML gives it. Later rows of the same name yield to earlier ones, which are the better."""
    rows: dict[tuple[str, str, str], Price] = {}
    for each in table["table"]:
        for name, usd in each["prices"].items():
            caveat = f"{name}'s price, as of {each['as_of']}, is not verified." if each.get("unverified") else ""
            price = Price(name, float(usd), each["unit"], each["region"], each["as_of"], each["source"], caveat)
            rows.setdefault((each["product"], name, each["region"]), price)
    return Prices(MappingProxyType(rows))


def instance_price(prices: Prices, name: str, region: str) -> Price | None:
    """An hour of a machine of EC2, or of SageMaker's (`ml.`), on demand. None where no table has it.

    Where SageMaker's is not recorded, EC2's with SageMaker's usual markup stands in, saying so.
    """
    if not name.startswith("ml."):
        return prices.find("ec2", name, region)
    recorded = prices.find("sagemaker-hosting", name, region)
    plain = prices.find("ec2", name.removeprefix("ml."), region)
    if recorded is not None or plain is None:
        return recorded
    factor = _markup(name)
    caveat = f"{name}'s price is not recorded; EC2's times {factor:g} is taken."
    return replace(plain, name=name, usd=plain.usd * factor, caveat=caveat)


def _markup(name: str) -> float:
    if name.startswith("ml.p"):
        return _LARGE_MARKUP
    return _SMALL_MARKUP if name.endswith(".xlarge") else _MARKUP


def caveats(found: Iterable[Price | None]) -> tuple[str, ...]:
    """What to say of these prices, each once."""
    return tuple(dict.fromkeys(price.caveat for price in found if price is not None and price.caveat))
