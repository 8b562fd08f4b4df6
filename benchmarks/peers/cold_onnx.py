"""The least function that answers by ONNX Runtime: numpy and one boto3 client, which fetches the model."""

import json
import os

import boto3
import numpy as np
import onnxruntime as ort

_s3 = boto3.client("s3")
_model = _s3.get_object(Bucket=os.environ["PEER_BUCKET"], Key=os.environ["PEER_ONNX"])["Body"].read()
_options = ort.SessionOptions()
_options.intra_op_num_threads = _options.inter_op_num_threads = 1
_session = ort.InferenceSession(_model, _options, providers=["CPUExecutionProvider"])
_columns = json.loads(os.environ["PEER_COLUMNS"])


def handler(event, context):
    rows = json.loads(event["body"])["rows"]
    feed = {
        "numbers": np.array([[row[name] for name in _columns["numbers"]] for row in rows], dtype=np.float32),
        "strings": np.array([[row[name] for name in _columns["strings"]] for row in rows], dtype=object),
    }
    scores = _session.run(["probabilities"], feed)[0][:, 1].tolist()
    return {"statusCode": 200, "body": json.dumps({"predictions": [{"score": score} for score in scores]})}
