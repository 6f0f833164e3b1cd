"""Switches of `ecgqa train` may stand alone."""

from ecgqa.cli.parse import tidied
from ecgqa.training.recipe import switches


def test_switches_may_stand_alone():
    words = ["tiny", "--overwrite", "--data.resident", "--run.compile", "false", "--run.eval-every", "5"]
    assert tidied(words, {"overwrite", *switches()}) == [
        "tiny",
        "--overwrite=true",
        "--data.resident=true",
        "--run.compile",
        "false",
        "--run.eval_every",
        "5",
    ]
