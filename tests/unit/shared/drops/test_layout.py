"""Objects outside the layout: which are reported, for which folder, and which name would be right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.drops.contents.layout import misplaced
from shared.drops.drop import DropPath

# Names, and for each the folder that is reported and the name that would be right.
MISPLACED = [
    ("x.onnx", "", "DATASET/x/1/x.onnx"),
    ("saved_model.pb", "", "DATASET/MODEL/1/saved_model.pb"),
    ("variables/variables.index", "", "DATASET/MODEL/1/variables/variables.index"),
    ("ml/x.onnx", "ml/", "ml/x/1/x.onnx"),
    ("ml/My Model-2.onnx", "ml/", "ml/My_Model_2/1/My Model-2.onnx"),
    ("ml/variables/variables.index", "ml/", "ml/MODEL/1/variables/variables.index"),
    ("ml/assets/a.txt", "ml/", "ml/MODEL/1/assets/a.txt"),
    ("ml/m/x.onnx", "ml/m/", "ml/m/1/x.onnx"),
    ("ml/m/saved_model.pb", "ml/m/", "ml/m/1/saved_model.pb"),
    ("ml/m/variables/variables.index", "ml/m/", "ml/m/1/variables/variables.index"),
    ("ml/3/x.onnx", "ml/3/", "ml/x/3/x.onnx"),
    ("ml/v1.2/saved_model.pb", "ml/v1.2/", "ml/MODEL/v1.2/saved_model.pb"),
    ("my-data/m/1/x.onnx", "my-data/m/1/", "my_data/m/1/x.onnx"),
    ("ml/my model/1/x.onnx", "ml/my model/1/", "ml/my_model/1/x.onnx"),
    ("ml/modéle/1/variables/variables.index", "ml/modéle/1/", "ml/modele/1/variables/variables.index"),
    ("ml/模型/1/x.onnx", "ml/模型/1/", "ml/MODEL/1/x.onnx"),
    ("ml/m/1 (copy)/x.onnx", "ml/m/1 (copy)/", "ml/m/1_copy/x.onnx"),
    ("ml/" + "m" * 1025 + "/1/x.onnx", "ml/" + "m" * 1025 + "/1/", "ml/" + "m" * 1024 + "/1/x.onnx"),
    ("ml/m/" + "1" * 129 + "/x.onnx", "ml/m/" + "1" * 129 + "/", "ml/m/" + "1" * 128 + "/x.onnx"),
    ("ml/m/1//x.onnx", "ml/m/1/", "ml/m/1/x.onnx"),
    ("/ml/m/1/x.onnx", "/ml/m/", "ml/m/1/x.onnx"),
    ("ml/m/1/../x.onnx", "ml/m/1/", "ml/m/1/x.onnx"),
    ("ml/m", "ml/", "ml/m/1/FILE"),
    ("ml/m/1", "ml/m/", "ml/m/1/FILE"),
    ("ml/m/v2.0", "ml/m/", "ml/m/v2.0/FILE"),
    ("ml.m/1/x.onnx", "ml.m/1/", "ml/m/1/x.onnx"),
    ("my-project.ml.m/1/x.onnx", "my-project.ml.m/1/", "ml/m/1/x.onnx"),
    ("ml.m/saved_model.pb", "ml.m/", "ml/m/1/saved_model.pb"),
    ("my-project/ml/m/1/x.onnx", "my-project/ml/m/", "ml/m/1/x.onnx"),
    ("my-project/ml/m/1/variables/variables.index", "my-project/ml/m/", "ml/m/1/variables/variables.index"),
]


@pytest.mark.parametrize(("name", "folder", "suggestion"), MISPLACED)
def test_a_misplaced_object_is_reported_with_the_name_that_would_be_right(
    name: str, folder: str, suggestion: str
) -> None:
    found = misplaced(name)
    assert found is not None
    assert (found.folder, found.suggestion) == (folder, suggestion)
    assert name.startswith(folder)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("x.onnx", "dataset, model and version"),
        ("ml/x.onnx", "the folders of the model and of the version are missing"),
        ("ml/m/x.onnx", "the folder of the version is missing"),
        ("ml/3/x.onnx", "the folder of the model is missing"),
        ("my-data/m/1/x.onnx", "'my-data' cannot be the name of a dataset"),
        ("ml/my-model/1/x.onnx", "'my-model' cannot be the name of a model"),
        ("ml/m/a b/x.onnx", "'a b' cannot be the name of a version"),
        ("ml//m/1/x.onnx", "two slashes in a row"),
        ("ml/m/1", "lacks the slash at the end"),
        ("my-project/ml/m/1/x.onnx", "the project is not part of the path"),
        ("ml.m/1/x.onnx", "the dataset and the model are two folders"),
    ],
)
def test_the_reason_names_what_is_wrong(name: str, part: str) -> None:
    found = misplaced(name)
    assert found is not None
    assert part in found.reason


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "ml/", "ml/m/1/", "ml/m/1/x.onnx", "ml/m/1/variables/variables.index",
        "gcloud/tmp/parallel_composite_uploads/x", "gsutil/tmp/a", ".DS_Store", "ml/.DS_Store", "ml/m/_SUCCESS",
        "ml/m/1/_SUCCESS", "_tmp/m/1/x.onnx", "ml/_m/x.onnx", "ml/m/.git/config", ".git/config",
    ],
)  # fmt: skip
def test_what_tools_write_and_what_is_in_a_drop_is_not_reported(name: str) -> None:
    assert misplaced(name) is None


PARTS = st.one_of(
    st.sampled_from(["ml", "m", "1", "variables", "assets", "", "..", "my-model", "x.onnx", "saved_model.pb", "_x"]),
    st.text(min_size=1, max_size=8),
)


@given(st.lists(PARTS, min_size=1, max_size=6).map("/".join))
def test_every_suggestion_is_the_name_of_a_file_in_a_drop(name: str) -> None:
    if found := misplaced(name):
        assert DropPath.of_object(found.suggestion) is not None
        assert misplaced(found.suggestion) is None


@given(st.lists(PARTS, min_size=1, max_size=6).map("/".join))
def test_an_object_is_in_a_drop_or_reported_or_written_by_tools(name: str) -> None:
    ordinary = all(part and part[0] not in "._" for part in name.split("/"))
    if ordinary and not name.startswith(("gcloud/tmp/", "gsutil/tmp/")):
        assert (DropPath.of_object(name) is None) == (misplaced(name) is not None)
