"""Models of scikit-learn come in, with columns that a query can name.

Libraries are imported in the functions, because every process of `make test` imports this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modeldrop import export
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.exports import Exported


def columns(exported: Exported) -> dict[str, str]:
    facts = exported.checked.facts
    assert facts is not None
    return {tensor.name: tensor.type for tensor in (*facts.inputs, *facts.outputs)}


def people() -> Any:
    """Rows with a text, an integer and a number whose name has a dot."""
    import pandas

    return pandas.DataFrame(
        {"city": ["Bonn", "Rome", "Rome", "Ulm"] * 5, "age": [1, 2, 3, 4] * 5, "income.eur": [1.5, 2, 3, 9] * 5}
    )


def estimator(name: str) -> Any:
    from sklearn import cluster, ensemble, linear_model, naive_bayes, neural_network, svm, tree

    return {
        "boosting": ensemble.GradientBoostingClassifier(n_estimators=3, random_state=0),
        "clusters": cluster.KMeans(3, random_state=0),
        "forest": ensemble.RandomForestRegressor(3, random_state=0),
        "histogram": ensemble.HistGradientBoostingClassifier(max_iter=3),
        "linear": linear_model.Ridge(),
        "logistic": linear_model.LogisticRegression(max_iter=1000),
        "margins": svm.LinearSVC(),
        "naive": naive_bayes.GaussianNB(),
        "network": neural_network.MLPClassifier((4,), tol=0.1, max_iter=2000, random_state=0),
        "outliers": ensemble.IsolationForest(n_estimators=3, random_state=0),
        "tree": tree.DecisionTreeClassifier(random_state=0),
        "vectors": svm.SVC(),
    }[name]


def iris() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_iris

    features, labels = load_iris(return_X_y=True)
    return features, labels


@pytest.mark.long
def test_a_classifier_gives_a_label_and_probabilities_for_a_vector(tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), estimator("logistic")).fit(*iris())

    exported = export(model, tmp_path / "model.onnx", sample=iris()[0])

    assert columns(exported) == {"features": "ARRAY<FLOAT64>", "label": "INT64", "probabilities": "ARRAY<FLOAT64>"}
    assert 0 < exported.largest_difference < 1e-6


@pytest.mark.long
def test_each_feature_of_a_data_frame_is_a_column(tmp_path: Path) -> None:
    data = people().drop(columns="city")
    model = estimator("forest").fit(data, range(20))

    exported = export(model, tmp_path / "model.onnx", sample=data)

    assert columns(exported) == {"age": "INT64", "income_eur": "FLOAT64", "variable": "ARRAY<FLOAT64>"}
    assert exported.notes == ("names that columns cannot have were changed: 'income.eur' is now 'income_eur'",)


def test_a_pipeline_with_texts_needs_sample_rows(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    data = people()
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]), (StandardScaler(), ["age", "income.eur"])
    )
    model = make_pipeline(encoded, estimator("linear")).fit(data, range(20))

    with pytest.raises(ExportError, match="give a few rows of its training data as sample"):
        export(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())

    exported = export(model, tmp_path / "out", sample=data.to_dict("records"))
    assert list(columns(exported))[:3] == ["city", "age", "income_eur"]
    assert columns(exported)["city"] == "STRING"


@pytest.mark.matrix
def test_a_classifier_of_texts_takes_a_text(tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    texts = ["good day", "bad rain", "good model", "bad bad"] * 3
    model = make_pipeline(TfidfVectorizer(), estimator("logistic")).fit(texts, ["a", "b", "a", "b"] * 3)

    exported = export(model, tmp_path / "out", sample=np.array(["Good rain", *texts]))

    assert columns(exported) == {"text": "STRING", "label": "STRING", "probabilities": "ARRAY<FLOAT64>"}


@pytest.mark.matrix
@pytest.mark.parametrize("as_frame", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "boosting",
        "clusters",
        "forest",
        "histogram",
        "linear",
        "logistic",
        "margins",
        "naive",
        "network",
        "outliers",
        "tree",
        "vectors",
    ],
)
def test_estimators_predict_the_same_after_the_export(tmp_path: Path, name: str, as_frame: bool) -> None:
    import pandas

    features, labels = iris()
    rows = pandas.DataFrame(features, columns=list("abcd")) if as_frame else features
    exported = export(estimator(name).fit(rows, labels), tmp_path / "out", sample=rows)

    assert exported.checked.ok
    assert list(columns(exported))[: 4 if as_frame else 1] == (list("abcd") if as_frame else ["features"])


def test_a_model_without_a_converter_leaves_no_output(tmp_path: Path) -> None:
    from sklearn.preprocessing import FunctionTransformer

    model = FunctionTransformer(np.tanh).fit(iris()[0])

    with pytest.raises(ExportError, match="skl2onnx cannot convert"):
        export(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_export_whose_outputs_differ_leaves_no_output(tmp_path: Path) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    # Several neighbors are equally far from a row, and ONNX chooses others.
    features, labels = iris()
    model = KNeighborsClassifier().fit(features, labels)

    with pytest.raises(ExportError, match=r"'probabilities' of the export differs .* in 1 of 150 sample rows"):
        export(model, tmp_path / "out", sample=features)
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_not_trained_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not trained"):
        export(estimator("linear"), tmp_path / "out")


@pytest.mark.parametrize("options", [None, {"zipmap": False}])
def test_what_skl2onnx_writes_by_default_comes_in_after_an_export(
    tmp_path: Path, options: dict[str, bool] | None
) -> None:
    from skl2onnx import to_onnx

    features, labels = iris()
    model = to_onnx(estimator("logistic").fit(features, labels), features[:1].astype(np.float32), options=options)
    assert model.ir_version > 8

    exported = export(model, tmp_path / "model.onnx", sample=features)

    assert list(columns(exported).values()) == ["ARRAY<FLOAT64>", "INT64", "ARRAY<FLOAT64>"]
