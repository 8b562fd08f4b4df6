"""The service's edge: the only package that knows HTTP and events."""

import logging

# Lambda's root logger lets warnings through and drops the rest.
logging.getLogger("tiltyard").setLevel(logging.INFO)
