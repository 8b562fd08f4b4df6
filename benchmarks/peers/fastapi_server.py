"""FastAPI + ONNX Runtime: the best peer. Run by ``python fastapi_server.py MODEL.onnx COLUMNS.json PORT``.

`create` is its app, so that it can also be called without a server. The body is
checked by a pydantic model of the columns, as FastAPI's own tutorial does, and
the answer is written by orjson, the fastest of its documented ways.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import orjson
from fastapi import FastAPI, Request, Response
from pydantic import create_model

BARE, CHECKED = "/bare", "/predict"


def create(model: bytes, numbers: list[str], strings: list[str]) -> FastAPI:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    fields: dict[str, Any] = dict.fromkeys(numbers, (float, ...)) | dict.fromkeys(strings, (str, ...))
    row_type = create_model("Row", **fields)
    body_type = create_model("Body", rows=(list[row_type], ...))  # type: ignore[valid-type]
    app = FastAPI()

    def answer(rows: list[dict[str, Any]]) -> Response:
        feed = {
            "numbers": np.array([[row[name] for name in numbers] for row in rows], dtype=np.float32),
            "strings": np.array([[row[name] for name in strings] for row in rows], dtype=object),
        }
        scores = session.run(["probabilities"], feed)[0][:, 1].tolist()
        predictions = [{"value": "late" if score >= 0.5 else "on-time", "score": score} for score in scores]
        return Response(orjson.dumps({"predictions": predictions}), media_type="application/json")

    async def predict(body: body_type) -> Response:  # type: ignore[valid-type]
        return answer([row.__dict__ for row in body.rows])  # type: ignore[attr-defined]

    async def predict_unchecked(request: Request) -> Response:
        return answer((await request.json())["rows"])

    predict.__annotations__ = {"body": body_type, "return": Response}
    predict_unchecked.__annotations__ = {"request": Request, "return": Response}
    app.post(CHECKED, response_model=None)(predict)
    app.post(BARE, response_model=None)(predict_unchecked)
    return app


if __name__ == "__main__":
    import uvicorn

    columns = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    served = create(Path(sys.argv[1]).read_bytes(), columns["numbers"], columns["strings"])
    uvicorn.run(served, host="127.0.0.1", port=int(sys.argv[3]), log_level="error", access_log=False)
