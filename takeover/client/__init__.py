"""What an application uses: `Client.from_stack("prod").chat("...")`, whatever tier serves it."""

from __future__ import annotations

from takeover.client._client import Client
from takeover.client._reply import Messages, Reply, Usage

__all__ = ["Client", "Messages", "Reply", "Usage"]
