"""Put the output of ``make package`` up on the embedded AWS by CloudFormation, as one would on AWS.

The same template and zip; only what the emulator drops from a template is set
by API afterwards: the tables' TTL, the audit bucket's Object Lock, the
gateway responses.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiltyard.errors import InvalidInput, Unavailable
from tiltyard.local.emulator import ACCESS_KEY, REGION, endpoint

if TYPE_CHECKING:
    import boto3

TEMPLATE = "template.json"
ARCHIVE = "deployment.zip"
PACKAGES_BUCKET = "tiltyard-packages"
DEPLOY_TIMEOUT_S = 120.0
GATEWAY_RESPONSES = "x-amazon-apigateway-gateway-responses"

Template = dict[str, Any]


def check_package(package: Path) -> None:
    """Raises `InvalidInput` when `package` is no output of ``make package``."""
    missing = [name for name in (TEMPLATE, ARCHIVE) if not (package / name).is_file()]
    if missing:
        raise InvalidInput(
            f"{package} has no {' and no '.join(missing)}: "
            "`--package` wants the output folder of `make package`."
        )


def deployment_digest(package: Path, *, parameters: Mapping[str, str], variables: Mapping[str, str]) -> str:
    """SHA-256 of all that a deployment is made of."""
    digest = hashlib.sha256(json.dumps([dict(parameters), dict(variables)], sort_keys=True).encode())
    for name in (TEMPLATE, ARCHIVE):
        with (package / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def deploy(
    package: Path, *, port: int, stack: str, parameters: Mapping[str, str], variables: Mapping[str, str]
) -> dict[str, str]:
    """Create or update the stack, and return its outputs.

    `variables` are set on every function over the template's own. Raises
    `Unavailable` with CloudFormation's reasons when the stack fails.
    """
    session = _session()
    template = json.loads((package / TEMPLATE).read_text(encoding="utf-8"))
    key = _upload(session, port, package / ARCHIVE)
    for function in _resources(template, "AWS::Serverless::Function").values():
        function["Properties"]["CodeUri"] = {"Bucket": PACKAGES_BUCKET, "Key": key}
        function["Properties"]["Environment"]["Variables"].update(variables)
    outputs = _apply(session, port, stack, template, parameters)
    _set_what_is_dropped(session, port, template, outputs, parameters)
    # The functions have the code by now; 60 MB less to save at every stop.
    s3 = _client(session, port, "s3")
    for name in (key, TEMPLATE):
        s3.delete_object(Bucket=PACKAGES_BUCKET, Key=name)
    return outputs


def api_url(port: int, outputs: Mapping[str, str]) -> str:
    """Base URL of the API, in the emulator's path form; the stage's name is the end of the real endpoint."""
    stage = outputs["EndpointURL"].rstrip("/").rpartition("/")[2]
    return f"{endpoint(port)}/_aws/execute-api/{outputs['RestAPIId']}/{stage}"


def _session() -> boto3.Session:
    import boto3

    return boto3.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=ACCESS_KEY, region_name=REGION)


def _client(session: boto3.Session, port: int, service: str) -> Any:
    from botocore.config import Config

    style = Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}, proxies={})
    return session.client(service, endpoint_url=endpoint(port), config=style)  # type: ignore[call-overload]


def _resources(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    return {name: r for name, r in template["Resources"].items() if r["Type"] == kind}


def _upload(session: boto3.Session, port: int, archive: Path) -> str:
    with archive.open("rb") as file:
        key = f"{hashlib.file_digest(file, 'sha256').hexdigest()}.zip"
    s3 = _client(session, port, "s3")
    s3.create_bucket(Bucket=PACKAGES_BUCKET)
    s3.upload_file(str(archive), PACKAGES_BUCKET, key)
    return key


def _apply(
    session: boto3.Session, port: int, stack: str, template: Template, parameters: Mapping[str, str]
) -> dict[str, str]:
    from botocore.exceptions import ClientError

    formation = _client(session, port, "cloudformation")
    # A template in the request may have 51,200 bytes; out of a bucket 1 MB.
    text = json.dumps(template, separators=(",", ":"))
    _client(session, port, "s3").put_object(Bucket=PACKAGES_BUCKET, Key=TEMPLATE, Body=text.encode())
    request = {
        "StackName": stack,
        "TemplateURL": f"{endpoint(port)}/{PACKAGES_BUCKET}/{TEMPLATE}",
        "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    }
    if (_status(formation, stack) or "").startswith("ROLLBACK_"):
        formation.delete_stack(StackName=stack)  # its first creation failed: it can't be updated
        _settled(formation, stack)
    try:
        if _status(formation, stack) is None:
            formation.create_stack(**request)
        else:
            formation.update_stack(**request)
    except ClientError as exc:
        if "No updates are to be performed" not in str(exc):
            raise Unavailable(f"The embedded AWS refused the template: {exc}") from exc
    status = _settled(formation, stack)
    if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        raise Unavailable(f"The stack {stack} ended as {status}: {_reasons(formation, stack)}")
    described = formation.describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def _settled(formation: Any, stack: str) -> str | None:
    """The stack's status once CloudFormation is done with it."""
    deadline = time.monotonic() + DEPLOY_TIMEOUT_S
    while (status := _status(formation, stack)) is not None and status.endswith("IN_PROGRESS"):
        if time.monotonic() > deadline:
            raise Unavailable(f"The stack {stack} is still {status} after {DEPLOY_TIMEOUT_S:.0f} s.")
        time.sleep(0.2)
    return status


def _status(formation: Any, stack: str) -> str | None:
    """The stack's status, None when there is no such stack (or it was deleted)."""
    from botocore.exceptions import ClientError

    try:
        status = str(formation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
    except ClientError as exc:
        if "does not exist" not in str(exc):
            raise
        return None
    return None if status == "DELETE_COMPLETE" else status


def _reasons(formation: Any, stack: str) -> str:
    events = formation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
    named = [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '?')}" for event in failed]
    return "; ".join(reversed(named)) or "no reason was given."


def _set_what_is_dropped(
    session: boto3.Session,
    port: int,
    template: Template,
    outputs: Mapping[str, str],
    parameters: Mapping[str, str],
) -> None:
    dynamodb = _client(session, port, "dynamodb")
    for name, table in _resources(template, "AWS::DynamoDB::Table").items():
        wanted = table["Properties"]["TimeToLiveSpecification"]
        table_name = outputs[f"{name}Name"]
        described = dynamodb.describe_time_to_live(TableName=table_name)["TimeToLiveDescription"]
        if described["TimeToLiveStatus"] != "ENABLED":
            dynamodb.update_time_to_live(TableName=table_name, TimeToLiveSpecification=wanted)
    s3 = _client(session, port, "s3")
    for name, bucket in _resources(template, "AWS::S3::Bucket").items():
        lock = bucket["Properties"].get("ObjectLockConfiguration")
        if lock is not None:
            lock = _resolved(lock, template, parameters)
            s3.put_object_lock_configuration(Bucket=outputs[f"{name}Name"], ObjectLockConfiguration=lock)
    _set_gateway_responses(session, port, template, outputs)


def _set_gateway_responses(
    session: boto3.Session, port: int, template: Template, outputs: Mapping[str, str]
) -> None:
    """Each as the template has it, then a deployment that holds them."""
    gateway = _client(session, port, "apigateway")
    api = template["Resources"]["RestAPI"]["Properties"]
    for name, response in api["DefinitionBody"][GATEWAY_RESPONSES].items():
        gateway.put_gateway_response(restApiId=outputs["RestAPIId"], responseType=name, **response)
    gateway.create_deployment(restApiId=outputs["RestAPIId"], stageName=api["StageName"])


def _resolved(value: Any, template: Template, parameters: Mapping[str, str]) -> Any:
    """A part of the template with its parameters filled in."""
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            declared = template["Parameters"][value["Ref"]]
            filled = parameters.get(value["Ref"], declared.get("Default"))
            return int(filled) if declared["Type"] == "Number" else filled
        return {key: _resolved(part, template, parameters) for key, part in value.items()}
    return value
