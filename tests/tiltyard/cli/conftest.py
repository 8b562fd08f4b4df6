from __future__ import annotations

import pytest
from scripted_server import scripted_server


@pytest.fixture
def server():
    with scripted_server() as server:
        yield server
