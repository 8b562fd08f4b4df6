"""AWS's Lambda Runtime Interface Emulator around an unpacked zip, on an interpreter that sees no more."""

import contextlib
import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tiltyard.local.emulator import free_port

# What AWS's Python runtime brings itself.
RUNTIME_CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")


def bare_environment(task, variables):
    """The environment of a function: nothing of the caller's, no site-packages (with `BARE_PYTHON`)."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LAMBDA_TASK_ROOT": str(task),
        "PYTHONPATH": str(task),
        "PYTHONDONTWRITEBYTECODE": "1",  # a task's folder can't be written to
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_LAMBDA_FUNCTION_NAME": "predictor",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "30",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        **variables,
    }


# `-S` leaves out the interpreter's own site-packages, `_base_executable` those of the virtual environment.
BARE_PYTHON = (getattr(sys, "_base_executable", sys.executable), "-S")


def binary():
    spec = importlib.util.find_spec("samcli")
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    return Path(spec.origin).parent / "local" / "rapid" / f"aws-lambda-rie-{machine}"


def link_runtime_client(folder):
    """Put the runtime client, and nothing else of its environment, on a path of its own."""
    folder.mkdir()
    for name in RUNTIME_CLIENT:
        origin = Path(importlib.util.find_spec(name).origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)
    return folder


class Function:
    """A function that runs under the emulator; `invoke` gives its answer."""

    def __init__(self, port):
        self._url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"

    def invoke(self, event):
        request = urllib.request.Request(self._url, data=json.dumps(event).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running(task, scratch, variables):
    """Run the unpacked zip `task` until the block ends."""
    ports = [free_port(), free_port()]
    runtime = link_runtime_client(scratch / "runtime")
    environment = bare_environment(task, variables)
    environment["PYTHONPATH"] += f"{os.pathsep}{runtime}"
    addresses = [f"127.0.0.1:{port}" for port in ports]
    command = [binary(), "--runtime-interface-emulator-address", addresses[0]]
    command += ["--runtime-api-address", addresses[1], *BARE_PYTHON, "-m", "awslambdaric", "app.app"]
    with (scratch / "emulator.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=task, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(ports[0], process)
        yield Function(ports[0])
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(runtime)


def _wait_for(port, process):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("The runtime interface emulator didn't start.")


def api_event(method, path, *, resource=None, parameters=None, body=None, authorizer=None, query=None):
    """An API Gateway proxy event (REST API, payload version 1.0)."""
    return {
        "resource": resource or path,
        "path": path,
        "httpMethod": method,
        "headers": {"content-type": "application/json", "accept": "application/json"},
        "multiValueHeaders": {"content-type": ["application/json"], "accept": ["application/json"]},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {k: [v] for k, v in query.items()} if query else None,
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource or path,
            "httpMethod": method,
            "path": f"/api{path}",
            "stage": "api",
            "requestId": "00000000-0000-4000-8000-000000000000",
            "identity": {"sourceIp": "127.0.0.1"},
            "authorizer": authorizer,
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
