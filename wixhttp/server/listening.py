"""Listening sockets, and the reasons for which there can be none, with the way out."""

from __future__ import annotations

import errno
import socket


def listen_on(host: str, port: int, *, backlog: int) -> socket.socket:
    """A socket that listens on an address, for at most ``backlog`` connections that nobody has accepted yet.

    Raises:
        OSError: it cannot be bound; its text is for the user.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} on {host} is in use; stop what uses it, or choose another with --port"
        else:
            reason = f"{host}:{port} cannot be bound: {error.strerror}"
        raise OSError(error.errno, reason) from None
    except UnicodeError:
        listener.close()
        raise OSError(errno.EINVAL, f"{host!r} cannot be bound: it is no name of a host") from None
    return listener
