"""Time as part of a peer's behaviour: a client or server that is slow on purpose. Not for waiting until something has
happened; that is `proxy.wait_for`."""

import threading


def be_idle(seconds):
    """The peer does nothing for that long."""
    threading.Event().wait(seconds)
