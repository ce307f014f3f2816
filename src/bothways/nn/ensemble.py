"""Ensembles: several networks whose probabilities are averaged.

>>> import torch
>>> ensemble = Ensemble(ModelConfig(input_size=3, num_classes=2, hidden_size=4, members=5)).eval()
>>> inputs = torch.rand(8, 6, 3)
>>> alone = [network(inputs).softmax(dim=1) for network in ensemble.networks]
>>> torch.allclose(ensemble(inputs).softmax(dim=1), sum(alone) / 5)
True
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from bothways.config import ModelConfig
from bothways.nn.classifier import SequenceClassifier, TorchClassifier


class Ensemble(TorchClassifier):
    """Networks of the same architecture whose probabilities are averaged.

    Its logits are the logarithms of the means of their probabilities. The members have no
    temperature; that of the ensemble divides its logits.

    Parameters
    ----------
    config : ModelConfig
        `members` is the number of networks.
    backend : str
        One of `bothways.kernels.BACKENDS`.

    References
    ----------
    Lakshminarayanan, Pritzel & Blundell 2017, "Simple and scalable predictive uncertainty
    estimation using deep ensembles", without adversarial training.

    Examples
    --------
    >>> import torch
    >>> from bothways import ModelConfig
    >>> ensemble = Ensemble(ModelConfig(input_size=3, num_classes=4, hidden_size=8, members=3))
    >>> len(ensemble.networks), ensemble(torch.rand(2, 5, 3)).shape
    (3, torch.Size([2, 4]))
    """

    def __init__(self, config: ModelConfig, *, backend: str = "auto") -> None:
        super().__init__(config)
        alone = config.model_copy(update={"members": 1, "calibrate": False})
        self.members = nn.ModuleList(
            SequenceClassifier(alone, backend=backend) for _ in range(config.members)
        )

    @property
    def networks(self) -> list[SequenceClassifier]:
        """The members in their order."""
        return [cast(SequenceClassifier, member) for member in self.members]

    def forward(self, inputs: Tensor, lengths: Any = None) -> Tensor:
        """Return logits; parameters, shapes and errors are those of `SequenceClassifier`."""
        logits = [network(inputs, lengths) for network in self.networks]
        return self.calibrated(average_logits(logits))


def average_logits(logits: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean of the probabilities of one or more networks.

    The bits of a row do not depend on the other rows. The logits of a single network are returned
    as they are.

    Parameters
    ----------
    logits : sequence of Tensor (…, num_classes)

    Returns
    -------
    Tensor (…, num_classes)
    """
    if len(logits) == 1:
        return logits[0]
    # A sum over the last axis adds in the same order for each row; over the first, it does not.
    logarithms = torch.stack([own.log_softmax(dim=-1) for own in logits], dim=-1)
    return logarithms.logsumexp(dim=-1) - math.log(len(logits))


def make_classifier(config: ModelConfig, *, backend: str = "auto") -> TorchClassifier:
    """Return a `SequenceClassifier` or, if `config` has several members, an `Ensemble`."""
    kind = SequenceClassifier if config.members == 1 else Ensemble
    return kind(config, backend=backend)
