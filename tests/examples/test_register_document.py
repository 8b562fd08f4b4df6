"""docs/register.md, run as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from in_process import running_service
from onnx import TensorProto, helper, numpy_helper

from tiltyard import Client
from tiltyard.cli import main

DOCUMENT = (Path(__file__).parents[2] / "docs" / "register.md").read_text(encoding="utf-8")
CLASSES = ["on time", "late", "cancelled"]


def block(kind: str) -> str:
    (found,) = re.findall(rf"```{kind}\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    return found


@pytest.fixture
def service(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with running_service() as service:
        service.examination = "real"
        monkeypatch.setenv("TILTYARD_URL", service.url)
        monkeypatch.setenv("TILTYARD_TOKEN", service.token())
        yield service


def network() -> bytes:
    """Double logits of three classes from distance, wind and weekend, with one tensor of doubles."""
    weights = np.array([[1e-3, 0, 0], [0, 0.1, 0], [0, 0, 1.0]])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["args_0", "w"], ["output_0"])],
        "main_graph",
        [helper.make_tensor_value_info("args_0", TensorProto.DOUBLE, ["batch", 3])],
        [helper.make_tensor_value_info("output_0", TensorProto.DOUBLE, ["batch", 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def test_the_python_lines_register_and_answer_by_name(service, capsys):
    exec(compile(block("python"), "docs/register.md", "exec"), {})

    said = capsys.readouterr()
    first, second = re.findall(r"'([^']+)'", said.out)
    assert first == "late"
    assert second in ("late", "on time")
    assert "CatBoostClassifier (catboost" in said.err
    with Client.from_env() as client:
        signature = client.contract("delays", 1).signature
    assert {column.name: column.is_nullable for column in signature.columns} == {
        "distance": False, "wind": True,
    }  # fmt: skip


def test_the_command_registers_a_graph_by_its_contract(service, capsys):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"distance": rng.gamma(2, 600, 300), "wind": rng.normal(12, 5, 300)})
    rows = rows.assign(weekend=rng.random(300) < 0.3, flight=[f"UA{i}" for i in range(300)])
    rows.assign(outcome=rng.choice(CLASSES, 300)).to_csv("held_out.csv", index=False)
    Path("network.onnx").write_bytes(network())
    Path("contract.json").write_text(block("json"), encoding="utf-8")

    program, *words = shlex.split(block("sh"))
    with pytest.raises(SystemExit) as ended:
        main(words, prog_name=program)

    assert (program, ended.value.code) == ("tiltyard", 0), capsys.readouterr().err
    with Client.from_env() as client:
        client.promote("outcomes", 1, reason="the first")
        row = {"distance": 100.0, "wind": 10.0, "weekend": True, "flight": "UA1"}
        (answer,) = client.predict("outcomes", [row])
    logits = np.exp([0.1, 1.0, 1.0])
    assert answer.value in ("late", "cancelled")
    assert answer.scores == pytest.approx(dict(zip(CLASSES, logits / logits.sum(), strict=True)), abs=1e-6)
