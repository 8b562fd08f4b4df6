"""shap's KernelExplainer over an ONNX graph: ``python shap_kernel.py FOLDER COALITIONS...``.

Reads ``model.onnx`` and ``asked.npz`` there and writes ``answers.npz``: log-odds values by
number of coalitions.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import shap

if __name__ == "__main__":
    folder, *counts = sys.argv[1:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(Path(folder) / "model.onnx"), options)

    def log_odds(X: np.ndarray) -> np.ndarray:
        p = session.run(["probabilities"], {"numbers": X.astype(np.float32)})[0].astype(np.float64)
        return np.log(p[:, 1] / p[:, 0])

    with np.load(Path(folder) / "asked.npz") as asked:
        explainer = shap.KernelExplainer(log_odds, asked["background"], seed=0)
        rows = asked["rows"]
    np.random.seed(0)
    answers = {n: explainer.shap_values(rows, nsamples=int(n), l1_reg=False, silent=True) for n in counts}
    np.savez(Path(folder) / "answers.npz", **answers)
