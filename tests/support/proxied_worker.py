"""A worker whose connections to one port of this host go to another: a proxy that the broker knows nothing of."""

import os
import socket
import sys
from typing import Any

from pipeline.entry import main

PROXIED, PROXY = int(os.environ["PROXIED_PORT"]), int(os.environ["PROXY_PORT"])


def _through(connect: Any) -> Any:
    def connecting(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and address[1] == PROXIED:
            address = (address[0], PROXY, *address[2:])
        return connect(self, address)

    return connecting


if __name__ == "__main__":
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _through(getattr(socket.socket, name)))
    sys.argv = ["watchword", "run"]
    main()
