"""What is left out of the package is what no function uses."""

from __future__ import annotations

from chalicelib import aws
from infra.dependencies import BOTOCORE_MODELS


def test_the_package_holds_the_model_of_every_service_that_is_called():
    assert set(aws._CONFIG) <= BOTOCORE_MODELS
