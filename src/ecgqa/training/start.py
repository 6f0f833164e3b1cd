"""Starting a model from the weights of another: the parts that both have, found by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from ecgqa.artefacts import digest_file
from ecgqa.errors import EcgqaError
from ecgqa.training.checkpoint import BEST, load_weights, read_weights
from ecgqa.training.model_file import read_model_file

BODY = ("front_end.", "positions.", "encoder.")
"""Parts of the ECG encoder; every model that holds one keeps these names, at its top or below `ecg_encoder`."""

_WRAPPER = "ecg_encoder."


@dataclass(frozen=True)
class Start:
    """Weights to start from: of which model, and its tensors by name."""

    folder: Path
    model_name: str
    weights: dict[str, Tensor]

    @classmethod
    def read(cls, folder: str | Path) -> Start:
        """The best checkpoint of a run folder; raises EcgqaError if there is none."""
        folder = Path(folder)
        name = read_model_file(folder).name
        return cls(folder, name, read_weights(folder)[0])

    @property
    def digest(self) -> str:
        """Of the checkpoint file, wherever it lies."""
        return digest_file(self.folder / BEST)

    def put_into(self, model: nn.Module) -> str:
        """Copy the tensors that `model` has too; returns a sentence on what was taken and what not.

        Raises EcgqaError if the ECG encoders differ in size, or if the two have nothing in common.
        """
        theirs = {name.removeprefix(_WRAPPER): tensor for name, tensor in self.weights.items()}
        own = model.state_dict()
        taken: dict[str, Tensor] = {}
        misfits = []
        for name, tensor in own.items():
            found = theirs.get(name.removeprefix(_WRAPPER))
            if found is not None and found.shape == tensor.shape:
                taken[name] = found
            elif found is not None:
                misfits.append(name)
        body = [name for name in own if name.removeprefix(_WRAPPER).startswith(BODY)]
        wrong = [name for name in misfits if name in body]
        if wrong:
            raise EcgqaError(
                f"the encoder in {self.folder} has another size",
                expected=f"{wrong[0]} of shape {tuple(own[wrong[0]].shape)}",
                found=f"{tuple(theirs[wrong[0].removeprefix(_WRAPPER)].shape)}",
                fix="give the model the same --model settings as the run it starts from",
            )
        if not taken or (body and not any(name in taken for name in body)):
            raise EcgqaError(
                f"{self.folder} has nothing that this model could start from",
                found=f"the weights of {self.model_name}",
                fix="name a run of a model with the same parts",
            )
        load_weights(model, {**own, **taken}, str(self.folder))
        fresh = sorted({name.split(".")[0] for name in own if name not in taken})
        used = {name.removeprefix(_WRAPPER) for name in taken}
        left = sorted({name.split(".")[0] for name in theirs if name not in used})
        said = f"starting from {self.folder} ({self.model_name}): {len(taken)} of {len(own)} tensors"
        said += f"; fresh: {', '.join(fresh)}" if fresh else ""
        return said + (f"; not used: {', '.join(left)}" if left else "")
