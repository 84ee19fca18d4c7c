"""Writes models of PyTorch: as torch.onnx.export writes them by default, and exported.

python -m tests.foreign_models.pytorch_models FOLDER
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from modeldrop import export
from tests.foreign_models.kept import keep


class Classifier(torch.nn.Module):
    """Classifies measures."""

    def __init__(self) -> None:
        """Create the layers with the same weights each time."""
        super().__init__()
        torch.manual_seed(0)
        self.hidden = torch.nn.Linear(4, 8)
        self.normalized = torch.nn.LayerNorm(8)
        self.dropout = torch.nn.Dropout()
        self.output = torch.nn.Linear(8, 3)

    def forward(self, measures: torch.Tensor) -> torch.Tensor:
        """Return the probabilities."""
        hidden = self.dropout(torch.nn.functional.gelu(self.normalized(self.hidden(measures))))
        return torch.softmax(self.output(hidden), -1)


class Recommender(torch.nn.Module):
    """Scores an item for a user, by their ids and a weight."""

    def __init__(self) -> None:
        """Create the layers with the same weights each time."""
        super().__init__()
        torch.manual_seed(1)
        self.users = torch.nn.Embedding(5, 3)
        self.items = torch.nn.Embedding(7, 3)

    def forward(self, user: torch.Tensor, item: torch.Tensor, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the score, and how far the two are apart."""
        left, right = self.users(user), self.items(item)
        return {"score": (left * right).sum(-1) * weight, "distance": (left - right).abs().mean(-1)}


def main(folder: Path) -> None:
    """Write the files into a folder, which exists."""
    module = Classifier().eval()
    measures = torch.randn(8, 4, generator=torch.Generator().manual_seed(2))
    probabilities = module(measures).detach().numpy()
    with tempfile.TemporaryDirectory() as temporary:
        # By default the weights are in another file, and the number of rows is that of the example.
        torch.onnx.export(module, (measures[:2],), Path(temporary) / "model.onnx", dynamo=True, verbose=False)
        export(Path(temporary) / "model.onnx", folder / "pytorch_file.onnx", overwrite=True)
    torch.onnx.export(
        module, (measures[:2],), folder / "pytorch_default.onnx", dynamo=True, external_data=False, verbose=False
    )
    keep(folder, "pytorch_file", {"measures": measures.numpy()}, {"softmax": probabilities})
    keep(folder, "pytorch_default", {"measures": measures.numpy()}, {"softmax": probabilities})

    export(Classifier(), folder / "pytorch_module.onnx", sample=measures, overwrite=True)
    keep(folder, "pytorch_module", {"measures": measures.numpy()}, {"output": probabilities})

    recommender = Recommender()
    sample: dict[str, Any] = {
        "item": torch.tensor([0, 6, 3, 2]),
        "user": torch.tensor([4, 1, 0, 2]),
        "weight": torch.tensor([1.0, 2.0, 0.5, 0.0]),
    }
    found = recommender(**sample)
    rows = {name: values.numpy() for name, values in sample.items()}
    export(recommender, folder / "pytorch_inputs.onnx", sample=rows, overwrite=True)
    keep(folder, "pytorch_inputs", rows, {name: value.detach().numpy() for name, value in found.items()})

    program = torch.export.export(module, (measures,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    torch.export.save(program, folder / "program.pt2")
    export(folder / "program.pt2", folder / "pytorch_program.onnx", overwrite=True)
    (folder / "program.pt2").unlink()
    keep(folder, "pytorch_program", {"measures": measures.numpy()}, {"output": probabilities})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
