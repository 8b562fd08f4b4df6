"""Waiting for what comes a moment later."""

import time


def waited_for(find, timeout_s=60):
    """What `find` gives as soon as it is true."""
    end = time.monotonic() + timeout_s
    while not (found := find()):
        assert time.monotonic() < end, f"nothing came within {timeout_s} s"
        time.sleep(0.2)
    return found
