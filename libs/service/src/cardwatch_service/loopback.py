"""Which addresses are of this machine only: what is sent to them is on no network."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host name or address is the loopback interface. Names other than ``localhost`` are not resolved."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def are_loopback(servers: str) -> bool:
    """Whether all of ``host:port,host:port`` are the loopback interface."""
    hosts = (server.strip().rpartition("://")[2].rpartition(":")[0] for server in servers.split(",") if server.strip())
    return all(is_loopback(host) for host in hosts)
