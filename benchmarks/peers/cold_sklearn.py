"""The least function that answers by scikit-learn: joblib, one boto3 client that fetches the model."""

import io
import json
import os

import boto3
import joblib
import pandas as pd

_s3 = boto3.client("s3")
_pickled = _s3.get_object(Bucket=os.environ["PEER_BUCKET"], Key=os.environ["PEER_JOBLIB"])["Body"].read()
_model = joblib.load(io.BytesIO(_pickled))


def handler(event, context):
    rows = json.loads(event["body"])["rows"]
    scores = _model.predict_proba(pd.DataFrame(rows))[:, 1].tolist()
    return {"statusCode": 200, "body": json.dumps({"predictions": [{"score": score} for score in scores]})}
