"""Chalice's template and ours, made one: what is alike in every function, and what ties the two together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from infra.gateway import EXTENSION, gateway_responses

JSON = dict[str, Any]

# Answered by the predictor. (path of the API's definition, method)
PREDICTION_ROUTES = (
    ("/v1/models/{model}/predict", "post"),
    ("/v1/models/{model}/invocations", "post"),
    ("/v1/models/{model}/predictions/{prediction}/explanation", "get"),
    ("/v2", "get"),
    ("/v2/health/live", "get"),
    ("/v2/health/ready", "get"),
    *(
        (f"/v2/models/{{model}}{version}{route}", method)
        for version in ("", "/versions/{version}")
        for route, method in (("", "get"), ("/ready", "get"), ("/infer", "post"))
    ),
)

# Which queue feeds which function: Chalice names queues by literal names, ours are named by the stack.
QUEUES = {
    "Examiner": "ExaminationQueue",
    "Notary": "NotaryQueue",
    "Courier": "DeliveryQueue",
    "Ingest": "TelemetryQueue",
}

# At most so many of a function at once. One notary does all the work there is, so more only get in
# each other's way (2 is the least that SQS takes); couriers must not use up the account's functions.
CONCURRENCY = {"Notary": 2, "Courier": 10, "Ingest": 10}

# The one consumer of the lineage table's stream. It sees only changes put on record, and a batch that
# fails comes again for a day; what it couldn't take is named in its dead letters.
STREAM: JSON = {
    "Stream": {"Fn::GetAtt": ["LineageTable", "StreamArn"]},
    "BisectBatchOnFunctionError": True,
    "MaximumRecordAgeInSeconds": 86_400,
    "DestinationConfig": {
        "OnFailure": {"Type": "SQS", "Destination": {"Fn::GetAtt": ["OutboxDeadLetters", "Arn"]}}
    },
    "FilterCriteria": {
        "Filters": [
            {
                "Pattern": json.dumps(
                    {
                        "eventName": ["INSERT"],
                        "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "CHANGE#"}]}}},
                    }
                )
            }
        ]
    },
}

# Queues whose length the watch looks at, by the names that alerts call them.
WATCHED = {
    "telemetry": "TelemetryQueue",
    "telemetry-dead-letters": "TelemetryDeadLetters",
    "examination-dead-letters": "ExaminationDeadLetters",
    "delivery-dead-letters": "DeliveryDeadLetters",
    "outbox-dead-letters": "OutboxDeadLetters",
}

# What every function is told; `chalicelib/settings.py` reads it.
ENVIRONMENT: dict[str, JSON | str] = {
    "TILTYARD_STAGE": {"Ref": "Stage"},
    "TILTYARD_LINEAGE_TABLE": {"Ref": "LineageTable"},
    "TILTYARD_LEDGER_TABLE": {"Ref": "LedgerTable"},
    "TILTYARD_ARTIFACTS_BUCKET": {"Ref": "ArtifactsBucket"},
    "TILTYARD_LAKE_BUCKET": {"Ref": "LakeBucket"},
    "TILTYARD_INCOMING_BUCKET": {"Ref": "IncomingBucket"},
    "TILTYARD_AUDIT_BUCKET": {"Ref": "AuditBucket"},
    "TILTYARD_TELEMETRY_QUEUE_URL": {"Ref": "TelemetryQueue"},
    "TILTYARD_TELEMETRY_DEAD_LETTERS_URL": {"Ref": "TelemetryDeadLetters"},
    "TILTYARD_EXAMINATION_QUEUE_URL": {"Ref": "ExaminationQueue"},
    "TILTYARD_NOTARY_QUEUE_URL": {"Ref": "NotaryQueue"},
    "TILTYARD_DELIVERY_QUEUE_URL": {"Ref": "DeliveryQueue"},
    "TILTYARD_DELIVERY_DEAD_LETTERS_URL": {"Ref": "DeliveryDeadLetters"},
    "TILTYARD_WATCHED_QUEUES": {"Fn::Sub": ",".join(f"{n}=${{{queue}}}" for n, queue in WATCHED.items())},
    "TILTYARD_EVENT_BUS": {"Ref": "EventBus"},
    "TILTYARD_EVENT_TOPIC_ARN": {"Ref": "EventTopic"},
    "TILTYARD_WEBHOOK_NETWORKS": {"Ref": "WebhookNetworks"},
    "TILTYARD_AUDIT_KEY_ID": {"Ref": "AuditKey"},
    "TILTYARD_PEPPER_KEY_ID": {"Ref": "PepperKey"},
    "TILTYARD_TELEMETRY_KEY_ID": {"Ref": "TelemetryKey"},
    "TILTYARD_ISSUERS": {"Ref": "Issuers"},
    "TILTYARD_POINTER_INTERVAL_S": {"Ref": "PointerIntervalSeconds"},
    "TILTYARD_SESSION_MEMORY_MB": {"Ref": "SessionMemoryMb"},
    "TILTYARD_LEDGER_DAYS": {"Ref": "LedgerDays"},
    "POWERTOOLS_SERVICE_NAME": "tiltyard",
}

INTEGRATION = "x-amazon-apigateway-integration"
FUNCTION = "AWS::Serverless::Function"
BUCKET = "AWS::S3::Bucket"


class AssemblyFailed(Exception):
    """The app and the template don't fit together."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, read into their long forms."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> JSON:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def load_template(path: Path) -> JSON:
    """A CloudFormation template in YAML, intrinsics in their long form."""
    return _unshared(yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader))  # noqa: S506 a SafeLoader


def assemble(template: JSON) -> JSON:
    """Complete a merged template (Chalice's and `template.yaml`).

    Raises `AssemblyFailed` when the app lacks a route or function that the
    template counts on.
    """
    template = _unshared(template)
    functions = {name: r for name, r in template["Resources"].items() if r["Type"] == FUNCTION}
    runtime = functions["APIHandler"]["Properties"]["Runtime"]
    functions["Predictor"]["Properties"]["Runtime"] = runtime
    for name, function in functions.items():
        variables = function["Properties"].setdefault("Environment", {}).setdefault("Variables", {})
        variables.update(ENVIRONMENT)
        template["Resources"][f"{name}Logs"] = _log_group(name)
    for name, queue in QUEUES.items():
        # The Arn of a queue of the same stack makes the mapping wait for the queue, which a name doesn't.
        source = _source(functions, name, "SQS")
        source["Queue"] = {"Fn::GetAtt": [queue, "Arn"]}
        source["FunctionResponseTypes"] = ["ReportBatchItemFailures"]
        if name == "Ingest":
            source["MaximumBatchingWindowInSeconds"] = {"Ref": "IngestWindowSeconds"}
        if name in CONCURRENCY:
            source["ScalingConfig"] = {"MaximumConcurrency": CONCURRENCY[name]}
    _source(functions, "Outbox", "DynamoDB").update(STREAM)
    for name in [name for name, r in template["Resources"].items() if r["Type"] == BUCKET]:
        template["Resources"][f"{name}Policy"] = _tls_only(name)
    definition = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    for path, method in PREDICTION_ROUTES:
        _point_at_predictor(definition, path, method)
    definition[EXTENSION] = gateway_responses()
    return template


def _unshared(template: JSON) -> JSON:
    """A copy without shared parts (YAML's anchors give them): who changes one function changes one."""
    copy: JSON = json.loads(json.dumps(template))
    return copy


def _log_group(function: str) -> JSON:
    """Made by the stack, so that logs expire and no role needs to make log groups."""
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "LogGroupName": {"Fn::Sub": f"/aws/lambda/${{{function}}}"},
            "RetentionInDays": {"Ref": "LogRetentionDays"},
        },
    }


def _tls_only(bucket: str) -> JSON:
    statement = {
        "Sid": "RefusePlainHttp",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [{"Fn::GetAtt": [bucket, "Arn"]}, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Condition": "OverTlsOnly",
        "Properties": {
            "Bucket": {"Ref": bucket},
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        },
    }


def _source(functions: dict[str, JSON], name: str, kind: str) -> JSON:
    """The one event source of a function, for the stack to point at its own queue or stream."""
    events = functions.get(name, {}).get("Properties", {}).get("Events", {})
    sources: list[JSON] = [event["Properties"] for event in events.values() if event["Type"] == kind]
    if len(sources) != 1:
        raise AssemblyFailed(f"app.py must have one function {name.lower()!r} on {kind}.")
    return sources[0]


def _point_at_predictor(definition: JSON, path: str, method: str) -> None:
    try:
        integration = definition["paths"][path][method][INTEGRATION]
    except KeyError:
        raise AssemblyFailed(f"app.py has no route {method.upper()} {path} for the predictor.") from None
    integration["uri"] = {
        "Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path"
        "/2015-03-31/functions/${Predictor.Arn}/invocations"
    }
