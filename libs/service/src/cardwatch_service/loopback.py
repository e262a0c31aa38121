"""Which servers are on this machine: what is sent to them is on no network."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address or ``localhost``; any other name counts as another machine."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def servers_beyond_loopback(bootstrap_servers: str) -> list[str]:
    """The servers that are not loopback addresses; an empty list if all are.

    Args:
        bootstrap_servers: as librdkafka takes them: ``host:port`` or ``protocol://host:port``, comma separated.
    """
    servers = [server.strip() for server in bootstrap_servers.split(",")]
    return [server for server in servers if server and not is_loopback(_host(server))]


def _host(server: str) -> str:
    address = server.rpartition("://")[2]
    if address.startswith("["):
        return address[1:].partition("]")[0]
    # An IPv6 address without brackets has more than one colon, and no port.
    return address.rpartition(":")[0] if address.count(":") == 1 else address
