"""One stack for the whole session: the packaged service on an embedded AWS of its own."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import boto3
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from tiltyard import Client
from tiltyard.local.checkout import package_folder
from tiltyard.local.stack import Stack

TEAM = "demo"


@dataclass(frozen=True)
class Live:
    """A running stack as tests use it."""

    stack: Stack
    url: str
    endpoint: str
    outputs: dict[str, str]

    def token(
        self, *roles: str, subject: str = "tester", teams: tuple[str, ...] = (TEAM,), ttl_s: int = 3600
    ):
        return self.stack.token(subject=subject, roles=list(roles), teams=list(teams), ttl_s=ttl_s)

    def client(self, *roles: str, subject: str = "tester", teams: tuple[str, ...] = (TEAM,)) -> Client:
        return Client(self.url, self.token(*roles, subject=subject, teams=teams))

    def aws(self, service: str):
        """A boto3 client of the embedded AWS, as its root."""
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client(service, endpoint_url=self.endpoint, **keys)

    def variables(self, function: str) -> dict[str, str]:
        """Environment of a deployed function."""
        found = self.aws("lambda").get_function_configuration(FunctionName=function)
        return found["Environment"]["Variables"]


@pytest.fixture(scope="session")
def package() -> Path:
    """The output of `make package`, built when it isn't up to date."""
    return package_folder(None)


@pytest.fixture(scope="session")
def unpacked(package, tmp_path_factory) -> Path:
    """The functions' zip as Lambda unpacks it."""
    task = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(package / "deployment.zip") as archive:
        archive.extractall(task)
    return task


@pytest.fixture(scope="session")
def live(package, tmp_path_factory):
    """A stack with the shipped settings, deleted at the end."""
    stack = Stack(tmp_path_factory.mktemp("stacks"), "e2e")
    try:
        started = stack.up(package, variables={})
        status = stack.status()
        yield Live(stack, started.url, status.endpoint, dict(status.outputs))
    finally:
        stack.reset()


@pytest.fixture(scope="session")
def champion(live) -> str:
    """The name of a model with a champion: two numbers in, a probability out."""
    name = "spine"
    generator = np.random.default_rng(20)
    rows = pd.DataFrame({"height": generator.normal(size=600), "width": generator.normal(size=600)})
    target = (rows["height"] + rows["width"] > 0).astype(int)
    model = LogisticRegression().fit(rows[:300], target[:300])
    with live.client("scientist", "engineer") as client:
        version = client.register(name, model, data=rows[300:], target=target[300:], team=TEAM, progress=None)
        client.promote(name, version.version, reason="the first one")
    return name
