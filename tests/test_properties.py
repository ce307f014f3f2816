"""The logits of a sequence do not depend on padding or on other sequences of the batch.

In float64, sums in another order differ by about 1e-16 per step. A tolerance of 1e-9 is far above
rounding errors and far below a real dependence. One test uses float32, which is the default.
"""

import itertools
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways import ModelConfig, SequenceClassifier
from bothways.config import READOUTS, Normalization
from bothways.data.sequences import Sequences

INPUT_SIZE, LONGEST = 3, 9
CELLS = [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")]
CHOICES = [*READOUTS, "final+mean+max", "flatten+attention", "last+final"]
COMBINATIONS = list(itertools.product(CELLS, [False, True], CHOICES))
combinations = pytest.mark.parametrize(
    ("cell", "bidirectional", "readout"),
    COMBINATIONS,
    ids=[f"{c[0]}_{c[1]}-{'bidirectional' if b else 'forward'}-{r}" for c, b, r in COMBINATIONS],
)
lengths_strategy = st.lists(st.integers(1, LONGEST), min_size=1, max_size=6)
seeds = st.integers(0, 2**16)
normalizations = st.sampled_from(get_args(Normalization))


def make_classifier(cell, bidirectional, readout, dtype=torch.float64, normalization="none"):
    if readout == "step" and not bidirectional and normalization in ("sequence", "both"):
        normalization = "robust"  # the others depend on later steps
    torch.manual_seed(0)
    config = ModelConfig(
        cell=cell[0],
        nonlinearity=cell[1],
        input_size=INPUT_SIZE,
        hidden_size=4,
        num_layers=2,
        bidirectional=bidirectional,
        readout=readout,
        sequence_length=LONGEST if "flatten" in readout else None,
        num_classes=3,
        normalization=normalization,
    )
    return SequenceClassifier(config).to(dtype).eval()


def make_sequences(lengths, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, INPUT_SIZE, dtype=dtype, generator=generator) for n in lengths]


def padded(sequences, extra, filler):
    time = max(len(sequence) for sequence in sequences) + extra
    batch = sequences[0].new_full((len(sequences), time, INPUT_SIZE), filler)
    for row, sequence in enumerate(sequences):
        batch[row, : len(sequence)] = sequence
    return batch


def close(row, expected, tolerance):
    """Compare a row of a batch with the row alone, without the padding of logits per step."""
    row = row[: len(expected)]
    torch.testing.assert_close(row, expected, atol=tolerance, rtol=tolerance)


def alone(classifier, sequence):
    return classifier(sequence[None])[0]


@combinations
@settings(max_examples=15, deadline=None)
@given(
    lengths=lengths_strategy,
    extra=st.integers(0, 4),
    filler=st.sampled_from([0.0, 1e30, float("nan"), float("inf")]),
    normalization=normalizations,
    seed=seeds,
)
def test_logits_do_not_depend_on_the_batch_or_padding(
    cell, bidirectional, readout, lengths, extra, filler, normalization, seed
):
    classifier = make_classifier(cell, bidirectional, readout, normalization=normalization)
    sequences = make_sequences(lengths, seed)
    with torch.no_grad():
        batched = classifier(padded(sequences, extra, filler), lengths)
        for row, sequence in enumerate(sequences):
            close(batched[row], alone(classifier, sequence), 1e-9)


@combinations
@settings(max_examples=5, deadline=None)
@given(lengths=lengths_strategy, normalization=normalizations, seed=seeds)
def test_gradients_are_the_sum_over_single_sequences(
    cell, bidirectional, readout, lengths, normalization, seed
):
    classifier = make_classifier(cell, bidirectional, readout, normalization=normalization)
    sequences = make_sequences(lengths, seed)
    parameters = list(classifier.parameters())
    logits = classifier(padded(sequences, 2, float("nan")), lengths)
    if readout == "step":  # logits in the padding are meaningless
        logits = torch.cat([row[:length] for row, length in zip(logits, lengths, strict=True)])
    batched = logits.sum()
    separate = sum(alone(classifier, sequence).sum() for sequence in sequences)
    for actual, expected in zip(
        torch.autograd.grad(batched, parameters),
        torch.autograd.grad(separate, parameters),
        strict=True,
    ):
        torch.testing.assert_close(actual, expected, atol=1e-8, rtol=1e-8)


@combinations
@settings(max_examples=5, deadline=None)
@given(lengths=st.lists(st.integers(1, LONGEST), min_size=2, max_size=6), seed=seeds)
def test_order_of_rows_does_not_matter(cell, bidirectional, readout, lengths, seed):
    classifier = make_classifier(cell, bidirectional, readout)
    sequences = make_sequences(lengths, seed)
    batch = padded(sequences, 0, 0.0)
    order = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        mixed = classifier(batch[order], torch.tensor(lengths)[order])
        torch.testing.assert_close(mixed, classifier(batch, lengths)[order], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "_".join(cell))
@settings(max_examples=10, deadline=None)
@given(lengths=lengths_strategy, seed=seeds)
def test_reversing_the_input_swaps_the_directions(cell, lengths, seed):
    """If the weights of both directions are swapped, reversed inputs swap the final states."""
    torch.manual_seed(0)
    layers = make_classifier(cell, True, "final").layers
    sequences = make_sequences(lengths, seed)
    options = {"batch_first": True, "bidirectional": True, "dtype": torch.float64}
    if cell[0] == "rnn":
        options["nonlinearity"] = cell[1]
    one_layer, swapped = (type(layers)(INPUT_SIZE, 4, **options) for _ in range(2))
    weights = one_layer.state_dict()
    swapped.load_state_dict(
        {
            name: weights[
                name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"
            ]
            for name in weights
        }
    )
    _, (h_n, *_) = one_layer.outputs(padded(sequences, 0, 0.0), lengths=lengths)
    backwards = [sequence.flip(0) for sequence in sequences]
    _, (h_n_swapped, *_) = swapped.outputs(padded(backwards, 0, 0.0), lengths=lengths)
    torch.testing.assert_close(h_n_swapped, h_n.flip(0), atol=1e-9, rtol=1e-9)


@combinations
def test_float32_logits_differ_by_rounding_only(cell, bidirectional, readout):
    """Logits are around 1; float32 sums in another order differ by about 1e-7."""
    classifier = make_classifier(cell, bidirectional, readout, torch.float32)
    sequences = Sequences.from_arrays(make_sequences([9, 1, 5, 5, 3], 1, torch.float32))
    with torch.no_grad():
        batch = sequences.batch(torch.arange(5))
        batched = classifier(batch.inputs, batch.lengths)
        for row in range(5):
            single = sequences.batch([row])
            close(batched[row], classifier(single.inputs, single.lengths)[0], 2e-6)
