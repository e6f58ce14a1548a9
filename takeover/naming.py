"""Names of what is created, from what the stack says: one function, so that every tier and both doors agree."""

from __future__ import annotations

import hashlib
import re

__all__ = ["LONGEST_NAME", "endpoint_name"]

# The narrowest limits of the vendors to come are DNS labels (63) and Modal's names; 40 leaves room for their suffixes.
LONGEST_NAME = 40
_HASH_LENGTH = 8


def endpoint_name(project: str, stack: str, base: str) -> str:
    """`<project>-<stack>-<8 hex>`: lower-case letters, digits and dashes, at most 40 characters.

    The hash covers project, stack and base: another base is another name, so that Pulumi makes the new endpoint before
    it removes the old one, and names that were cut or rewritten do not meet. `stack` may be `org/project/stack`.
    """
    short = stack.rsplit("/", 1)[-1]
    mark = hashlib.sha256("\0".join((project, short, base)).encode()).hexdigest()[:_HASH_LENGTH]
    words = re.sub(r"[^a-z0-9]+", "-", f"{project}-{short}".lower()).strip("-")
    room = LONGEST_NAME - len(mark) - 1
    head = words[:room].strip("-") or "endpoint"
    return f"{head}-{mark}"
