"""moto's server, one for each test process: S3 and CloudWatch for the fakes of AWS's tiers."""

from __future__ import annotations

import logging
from functools import cache


@cache
def moto_url() -> str:
    """Its root; started on first use, and ended with the process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"
