"""Free ports for the servers that a test starts."""

import random
import socket
from itertools import islice

# Below the range from which Linux takes the local ports of outgoing connections (net.ipv4.ip_local_port_range begins
# at 32768): of that range, a port free now may be a client's own a moment later.
FIRST, LAST = 20_000, 32_000


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nothing uses now."""
    candidates = random.sample(range(FIRST, LAST), LAST - FIRST)
    return list(islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
