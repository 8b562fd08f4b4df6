from __future__ import annotations

import pytest
from fakes import service
from production import serving

from app import app


@pytest.fixture
def stage():
    with service(app) as (at_hand, gateway):
        yield serving(at_hand, gateway)
