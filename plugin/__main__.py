"""The plugin's process: tell the port, serve, and go as soon as the engine does not need it any more."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from plugin.bare_sdk import load_messages

# A manifest or a list of options is small; the engine's own limit is 400 MB.
_LARGEST_MESSAGE = 64 * 1024 * 1024
_LOOK_FOR_ENGINE_S = 1.0
_TIDY_UP_S = 3.0


def main() -> None:
    """Serve until SIGINT (how the engine says good-bye), SIGTERM, or the engine's own end."""
    engine = os.getppid()
    load_messages()
    import grpc

    from plugin.service import Service, serve

    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    service = Service(_engine_address(sys.argv[1:]))
    options = [("grpc.max_receive_message_length", _LARGEST_MESSAGE)]
    server = grpc.server(ThreadPoolExecutor(max_workers=16), options=options)
    serve(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    threading.Thread(target=service.preload, daemon=True).start()
    threading.Thread(target=_wait_for_orphanage, args=(engine, done), daemon=True).start()
    done.wait()
    service.works.cancel()
    service.works.wait(_TIDY_UP_S)
    os._exit(0)  # the interpreter's own farewell would cost the engine's user a tenth of a second


def _engine_address(arguments: list[str]) -> str:
    """The first argument that is no flag; empty when somebody starts the plugin by hand."""
    return next((argument for argument in arguments if not argument.startswith("-")), "")


def _wait_for_orphanage(engine: int, done: threading.Event) -> None:
    """A killed engine says no good-bye; whoever adopts us is another parent."""
    while os.getppid() == engine and not done.wait(_LOOK_FOR_ENGINE_S):
        pass
    done.set()


if __name__ == "__main__":
    main()
