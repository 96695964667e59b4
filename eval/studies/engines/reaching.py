"""Whether somebody listens where a cluster should be, since Ray itself waits for minutes."""

import socket

PATIENCE = 10.0
"""Seconds in which a machine should take a connection."""


def check_reachable(address: str) -> None:
    """Look for whoever listens at an address; those without a port, such as "auto", are Ray's to find.

    Args:
        address: such as host:6379 or ray://host:10001.

    Raises:
        OSError: if nobody does.
        ValueError: if the port is none.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{port!r} is no port.")
    socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
