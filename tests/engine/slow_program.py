"""The Pulumi program of the tests: one slow thing, one output with a secret in it."""

from __future__ import annotations

import pulumi

SECRET = "hush-4711-only-as-ciphertext"


class Thing(pulumi.CustomResource):
    def __init__(self, name: str, size: int) -> None:
        super().__init__("slow:index:Thing", name, {"size": size})


def program(size: int = 1) -> None:
    Thing("thing", size)
    pulumi.log.info("will serve one thing")
    pulumi.export("endpoint", {"url": "http://127.0.0.1:9/v1", "apiKey": pulumi.Output.secret(SECRET)})
