import json

import pytest

from infra.assemble import (
    ENVIRONMENT,
    EXTENSION,
    FUNCTION,
    PREDICTION_ROUTES,
    AssemblyFailed,
    assemble,
    load_template,
)
from infra.gateway import ANSWERS, gateway_responses
from infra.requirements import PROJECT
from tiltyard.errors import every_error


def a_function(source=None, **properties):
    function = {"Runtime": "python3.13", "Handler": "app.app", "CodeUri": "x"}
    if source:
        function["Events"] = {"Source": {"Type": source, "Properties": properties}}
    return {"Type": FUNCTION, "Properties": function}


@pytest.fixture
def merged():
    """Our template with the parts that Chalice would bring."""
    template = load_template(PROJECT / "infra" / "template.yaml")
    integration = {"x-amazon-apigateway-integration": {"uri": "of the api", "type": "aws_proxy"}}
    paths = {path: {method: integration} for path, method in PREDICTION_ROUTES}
    paths["/v1/models"] = {"get": dict(integration)}
    template["Resources"] |= {
        "APIHandler": a_function(),
        "Examiner": a_function("SQS", Queue="by name"),
        "Notary": a_function("SQS", Queue="by name"),
        "Courier": a_function("SQS", Queue="by name"),
        "Ingest": a_function("SQS", Queue="by name"),
        "Outbox": a_function("DynamoDB", Stream="by name", StartingPosition="TRIM_HORIZON"),
        "RestAPI": {"Type": "AWS::Serverless::Api", "Properties": {"DefinitionBody": {"paths": paths}}},
    }
    return template


def test_every_function_is_told_the_same(merged):
    resources = assemble(merged)["Resources"]

    functions = [resource for resource in resources.values() if resource["Type"] == FUNCTION]
    assert len(functions) == 7
    for function in functions:
        assert function["Properties"]["Environment"]["Variables"] == ENVIRONMENT
        assert function["Properties"]["Runtime"] == "python3.13"


def test_only_prediction_routes_go_to_the_predictor(merged):
    paths = assemble(merged)["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]

    models = paths["/v1/models"]["get"]["x-amazon-apigateway-integration"]
    for path, method in PREDICTION_ROUTES:
        integration = paths[path][method]["x-amazon-apigateway-integration"]
        assert "${Predictor.Arn}" in integration["uri"]["Fn::Sub"]
        assert integration["type"] == "aws_proxy"
    assert models["uri"] == "of the api"


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("Examiner", "ExaminationQueue"),
        ("Notary", "NotaryQueue"),
        ("Courier", "DeliveryQueue"),
        ("Ingest", "TelemetryQueue"),
    ],
)
def test_a_function_reads_the_stacks_own_queue_and_reports_what_failed(merged, name, queue):
    events = assemble(merged)["Resources"][name]["Properties"]["Events"]

    source = events["Source"]["Properties"]
    assert source["Queue"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source.get("ScalingConfig", {}).get("MaximumConcurrency") == {
        "Notary": 2,
        "Courier": 10,
        "Ingest": 10,
    }.get(name)


def test_the_outbox_reads_the_tables_own_stream_from_its_start_and_only_changes(merged):
    source = assemble(merged)["Resources"]["Outbox"]["Properties"]["Events"]["Source"]["Properties"]

    assert source["Stream"] == {"Fn::GetAtt": ["LineageTable", "StreamArn"]}
    assert source["StartingPosition"] == "TRIM_HORIZON"
    assert source["BisectBatchOnFunctionError"] is True
    assert source["DestinationConfig"]["OnFailure"]["Destination"] == {
        "Fn::GetAtt": ["OutboxDeadLetters", "Arn"]
    }
    (pattern,) = source["FilterCriteria"]["Filters"]
    assert json.loads(pattern["Pattern"]) == {
        "eventName": ["INSERT"],
        "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "CHANGE#"}]}}},
    }


def test_an_app_without_the_outbox_is_refused(merged):
    del merged["Resources"]["Outbox"]

    with pytest.raises(AssemblyFailed, match="outbox"):
        assemble(merged)


def test_an_app_without_the_prediction_route_is_refused(merged):
    del merged["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]["/v1/models/{model}/predict"]

    with pytest.raises(AssemblyFailed, match=r"POST /v1/models/\{model\}/predict"):
        assemble(merged)


def test_an_app_without_the_examiner_is_refused(merged):
    del merged["Resources"]["Examiner"]

    with pytest.raises(AssemblyFailed, match="examiner"):
        assemble(merged)


def test_the_examiner_judges_by_the_memory_that_the_predictor_has(merged):
    parameters = assemble(merged)["Parameters"]

    assert parameters["PredictorMemoryMb"]["Default"] - 300 == parameters["SessionMemoryMb"]["Default"]


def test_every_bucket_is_private_encrypted_versioned_and_over_tls_only(merged):
    resources = assemble(merged)["Resources"]

    buckets = {name: r for name, r in resources.items() if r["Type"] == "AWS::S3::Bucket"}
    assert set(buckets) == {"ArtifactsBucket", "LakeBucket", "IncomingBucket", "AuditBucket"}
    for name, bucket in buckets.items():
        properties = bucket["Properties"]
        (statement,) = resources[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]
        assert all(properties["PublicAccessBlockConfiguration"].values())
        assert properties["BucketEncryption"]
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_what_holds_data_outlives_the_stack(merged):
    kinds = {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::KMS::Key", "AWS::SQS::Queue"}

    for name, resource in assemble(merged)["Resources"].items():
        if resource["Type"] in kinds:
            assert resource["UpdateReplacePolicy"] == "Retain", name
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name


def test_gateway_responses_are_problem_details(merged):
    definition = assemble(merged)["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]

    assert definition[EXTENSION] == gateway_responses()
    for name, response in definition[EXTENSION].items():
        body = json.loads(response["responseTemplates"]["application/json"])
        headers = response["responseParameters"]
        assert body.get("status") == ANSWERS[name].status
        assert body["error"] == body["detail"]
        assert response.get("statusCode") == (str(body["status"]) if "status" in body else None)
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert headers["gatewayresponse.header.X-Request-Id"] == "context.requestId"


def test_gateway_responses_use_the_problems_of_the_error_tree():
    known = {f"/problems/{error.problem}" for error in every_error()}

    for response in gateway_responses().values():
        assert json.loads(response["responseTemplates"]["application/json"])["type"] in known


@pytest.mark.parametrize(
    "name", ["api", "authorizer", "examiner", "sweeper", "notary", "outbox", "courier", "ingest", "watch"]
)
def test_roles_name_actions_and_resources(name):
    policy = json.loads((PROJECT / ".chalice" / f"policy-{name}.json").read_text())

    for statement in policy["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action]
        assert "*" not in statement["Resource"]


def test_the_predictor_can_read_pointers_and_change_nothing(merged):
    (policy,) = assemble(merged)["Resources"]["PredictorRole"]["Properties"]["Policies"]

    actions = set()
    for statement in policy["PolicyDocument"]["Statement"]:
        assert statement["Resource"] != "*"
        actions |= {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])
    assert {action for action in actions if action.startswith("dynamodb:")} == {
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
    }
    assert not [action for action in actions if "*" in action]
