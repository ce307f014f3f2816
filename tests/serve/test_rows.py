import numpy as np
import pytest
import torch
from serving import make_model

from bothways.evaluation import evaluate
from bothways.serve.rows import RowwiseModel

BATCHES = (2, 3, 17, 40)


def sequences_of(model, generator, count=40):
    size = model.manifest.model.input_size
    lengths, scales = generator.integers(1, 31, count), 10 ** generator.uniform(-3, 3, (2, count))
    return [
        (generator.normal(level, scale, (n, size))).astype(np.float32)
        for n, level, scale in zip(lengths, *scales, strict=True)
    ]


@pytest.mark.parametrize("stem", [None, 8])
@pytest.mark.parametrize(
    "readout",
    ["last", "final", "flatten", "mean", "max", "attention", "step", "final+mean", "max+flatten"],
)
@pytest.mark.parametrize(
    ("cell", "hidden", "normalization", "members"),
    [
        ("lstm", 12, "sequence", 1),
        ("gru", 70, "both", 1),
        ("rnn", 33, "robust", 6),
        ("gru", 9, "none", 3),
    ],
)
def test_an_answer_has_the_same_bits_in_every_batch(
    cell, hidden, normalization, members, readout, stem, seed
):
    if stem and "flatten" in readout:
        pytest.skip("not supported")
    options = {"stem_channels": stem, "stem_stride": 1} if stem else {}
    options |= {"sequence_length": 30} if "flatten" in readout else {}
    options |= {"cell": cell, "hidden_size": hidden, "normalization": normalization}
    options |= {"members": members}
    model = make_model(readout=readout, num_layers=2, calibrate=True, **options)
    rowwise = RowwiseModel(model.classifier)
    generator = np.random.default_rng(seed)
    sequences = sequences_of(model, generator)
    alone = [rowwise.probabilities([sequence])[0] for sequence in sequences]
    for size in BATCHES:
        chosen = generator.permutation(len(sequences))[:size]
        found = rowwise.probabilities([sequences[n] for n in chosen])
        for n, answer in zip(chosen, found, strict=True):
            np.testing.assert_array_equal(answer, alone[n])
    for found, expected in zip(alone, model.predict_proba(sequences), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)  # guarantee 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_does_not_matter(threads, seed):
    model = make_model(hidden_size=160, num_layers=2)  # large enough for cooperating threads
    rowwise = RowwiseModel(model.classifier)
    sequences = sequences_of(model, np.random.default_rng(seed), 5)
    expected = rowwise.probabilities(sequences)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for n, sequence in enumerate(sequences):
            np.testing.assert_array_equal(rowwise.probabilities([sequence])[0], expected[n])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("settings", "together"),
    [
        ({}, "any"),
        ({"readout": "step"}, "any"),
        ({"normalization": "both"}, "any"),
        ({"readout": "mean"}, "equal lengths"),
        ({"readout": "attention"}, "none"),
        ({"readout": "final+max"}, "any"),
        ({"readout": "final+mean+max"}, "equal lengths"),
        ({"readout": "max+attention"}, "none"),
        ({"stem_channels": 4}, "none"),
        ({"members": 2}, "any"),
    ],
)
def test_what_runs_together(settings, together):
    assert RowwiseModel(make_model(**settings).classifier).together == together


@pytest.mark.parametrize("readout", ["final", "mean", "attention"])
def test_a_batch_of_wide_sequences_has_a_bounded_number_of_values(readout, seed, monkeypatch):
    model = make_model(normalization="both", readout=readout, input_size=50)
    sequences = sequences_of(model, np.random.default_rng(seed))
    expected = RowwiseModel(model.classifier).probabilities(sequences)
    size = model.manifest.model.encoded_size
    monkeypatch.setattr(evaluate, "BATCH_VALUES", 64 * size)
    sizes = []
    model.classifier.encoder.register_forward_hook(lambda *call: sizes.append(call[2].numel()))
    for found, answer in zip(
        RowwiseModel(model.classifier).probabilities(sequences), expected, strict=True
    ):
        np.testing.assert_array_equal(found, answer)
    assert len(sizes) >= sum(map(len, sequences)) / 64
    assert max(sizes) <= 64 * size


def test_torchs_operators_run_one_sequence_at_a_time(seed):
    model = make_model()
    model.classifier.layers.backend = "torch"
    rowwise = RowwiseModel(model.classifier)
    assert rowwise.together == "none"
    sequences = sequences_of(model, np.random.default_rng(seed), 4)
    for found, sequence in zip(rowwise.probabilities(sequences), sequences, strict=True):
        np.testing.assert_array_equal(found, model.predict_proba([sequence])[0])


def test_an_ensemble_takes_as_long_as_its_networks():
    single, ensemble = (RowwiseModel(make_model(members=n).classifier) for n in (1, 4))
    assert ensemble.multiply_adds([7, 9]) == 4 * single.multiply_adds([7, 9])
