import json
import zipfile

import pytest

from tiltyard.local.stack import Stack

HANDLER = """
import json, os, boto3

def app(event, context):
    table = boto3.client("dynamodb")
    table.put_item(TableName=os.environ["TABLE"], Item={"pk": {"S": event["path"]}})
    kept = [item["pk"]["S"] for item in table.scan(TableName=os.environ["TABLE"])["Items"]]
    body = {"kept": sorted(kept), "greeting": os.environ.get("GREETING")}
    return {"statusCode": 200, "body": json.dumps(body)}
"""

PROBLEM = {"type": "/problems/not-found", "status": 404}


def a_template():
    function_uri = (
        "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Keeper.Arn}/invocations"
    )
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": {"Fn::Sub": function_uri}}
    path = {"get": {"responses": {}, "x-amazon-apigateway-integration": integration}}
    refused = {"statusCode": "404", "responseTemplates": {"application/json": json.dumps(PROBLEM)}}
    lock = {"Mode": "GOVERNANCE", "Days": {"Ref": "Days"}}
    keeper = {
        "CodeUri": "./deployment.zip",
        "Handler": "app.app",
        "Runtime": "python3.12",
        "Policies": [{"Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}],
        "Environment": {"Variables": {"TABLE": {"Ref": "NotesTable"}}},
    }
    table = {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
    }
    bucket = {
        "VersioningConfiguration": {"Status": "Enabled"},
        "ObjectLockEnabled": True,
        "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": lock}},
    }
    definition = {
        "swagger": "2.0",
        "info": {"title": "keeper", "version": "1"},
        "paths": {"/{note}": path},
        "x-amazon-apigateway-gateway-responses": {"MISSING_AUTHENTICATION_TOKEN": refused},
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {
            "Stage": {"Type": "String"},
            "Issuers": {"Type": "String"},
            "Days": {"Type": "Number", "Default": 3},
        },
        "Resources": {
            "NotesTable": {"Type": "AWS::DynamoDB::Table", "Properties": table},
            "AuditBucket": {"Type": "AWS::S3::Bucket", "Properties": bucket},
            "Keeper": {"Type": "AWS::Serverless::Function", "Properties": keeper},
            "RestAPI": {
                "Type": "AWS::Serverless::Api",
                "Properties": {"StageName": "api", "DefinitionBody": definition},
            },
        },
        "Outputs": {
            "NotesTableName": {"Value": {"Ref": "NotesTable"}},
            "AuditBucketName": {"Value": {"Ref": "AuditBucket"}},
            "RestAPIId": {"Value": {"Ref": "RestAPI"}},
            "EndpointURL": {"Value": {"Fn::Sub": "https://${RestAPI}.execute-api.amazonaws.com/api/"}},
        },
    }


def write_package(folder, template):
    folder.mkdir(exist_ok=True)
    (folder / "template.json").write_text(json.dumps(template))
    with zipfile.ZipFile(folder / "deployment.zip", "w") as archive:
        archive.writestr("app.py", HANDLER)
    return folder


@pytest.fixture
def package(tmp_path):
    """A small service in the form of an output of `make package`."""
    return write_package(tmp_path / "package", a_template())


@pytest.fixture
def stacks(tmp_path):
    """Makes stacks, and leaves nothing of them behind."""
    made = []

    def make(name="default"):
        made.append(Stack(tmp_path / ".tiltyard", name))
        return made[-1]

    yield make
    for stack in made:
        stack.reset()
