from __future__ import annotations

import pytest
from pydantic import ValidationError

from reconciler.generations.resource import Architecture, Lora, Training
from reconciler.training.parameters import TrainParameters

TRAINING = Training(lora=Lora()).model_dump(mode="json", by_alias=True)
ARCHITECTURE = Architecture().model_dump(mode="json", by_alias=True)
VALID = {
    "stage": "train",
    "algorithm": "SFT",
    "dataset": "/d",
    "architecture": ARCHITECTURE,
    "training": TRAINING,
    "seed": 1,
}


def test_what_the_kinds_say_is_what_training_understands() -> None:
    asked = TrainParameters.model_validate(VALID)
    assert asked.training.learning_rate == 0.001
    assert asked.training.lora is not None
    assert asked.architecture is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": None}, "exactly one of parent and architecture"),
        ({"parent": "/p"}, "exactly one of parent and architecture"),
        ({"algorithm": "DPO"}, "DPO needs a parent"),
        (
            {"architecture": {**ARCHITECTURE, "heads": 7}},
            "hiddenSize 192 is not an even multiple of heads 7",
        ),
        ({"training": {**TRAINING, "steps": 0}}, "greater than or equal to 1"),
        ({"training": {**TRAINING, "learningRate": "0"}}, "greater than 0"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused(change, said) -> None:
    with pytest.raises(ValidationError, match=said):
        TrainParameters.model_validate({**VALID, **change})
