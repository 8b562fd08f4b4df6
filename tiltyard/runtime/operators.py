"""The operators that a served graph may hold: a list of what is allowed, never of what is forbidden.

It is what skl2onnx and onnxmltools emit for the mainstream estimators of
tabular data, with the plain arithmetic around it. What can run for ever (Loop,
Scan, If), is random, has state, opens files, or makes a tensor whose size is a
*value* of another tensor (Range, Pad, Resize) isn't in it. The operators in
`SIZED` make such a tensor too; the guard lets them through with a constant or
a Shape as their size.
"""

from __future__ import annotations

from collections.abc import Mapping

ONNX = ""
ONNX_ML = "ai.onnx.ml"

_ARITHMETIC = """
    Abs Add Ceil Clip Cos CumSum Div Erf Exp Floor Log MatMul Gemm Max Mean Min Mod Mul Neg Pow
    Reciprocal Round Sign Sin Sqrt Sub Sum Tanh
"""
_ACTIVATIONS = """
    BatchNormalization Elu Gelu HardSigmoid LayerNormalization LeakyRelu LogSoftmax LpNormalization
    Relu Selu Sigmoid Softmax Softplus Softsign
"""
_LOGIC = "And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or Where Xor"
_REDUCTIONS = """
    ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare TopK
"""
_LAYOUT = """
    Cast CastLike Compress Concat Constant ConstantOfShape Expand Flatten Gather GatherElements GatherND
    Identity OneHot Reshape ScatterElements ScatterND Shape Size Slice Split Squeeze Tile Transpose Unsqueeze
"""
_ML = """
    ArrayFeatureExtractor Binarizer CategoryMapper FeatureVectorizer Imputer LabelEncoder LinearClassifier
    LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble
    TreeEnsembleClassifier TreeEnsembleRegressor
"""

OPERATORS: Mapping[str, frozenset[str]] = {
    ONNX: frozenset(f"{_ARITHMETIC} {_ACTIVATIONS} {_LOGIC} {_REDUCTIONS} {_LAYOUT}".split()),
    ONNX_ML: frozenset(_ML.split()),
}
"""Allowed operators by domain."""

SIZED: Mapping[str, int] = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "OneHot": 1}
"""Operators of the standard domain that make a tensor as large as an input says, and which input that is."""

SHAPE_KEEPING = frozenset(
    {"Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"}
)
"""Operators through which a Shape is still a Shape: they pick and join, and compute nothing."""

TREE_ENSEMBLES = frozenset({"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"})
