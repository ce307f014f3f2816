"""Categorical features, from a table to predictions."""

import csv
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from bothways import (
    DataOptions,
    Dataset,
    ModelConfig,
    SequenceClassifier,
    Sequences,
    open_dataset,
    train,
)
from bothways.cli.print_data import print_dataset
from bothways.data.dataset import check_values
from bothways.data.summary import inspect_dataset
from bothways.data.vocabulary import UNKNOWN, Vocabulary
from bothways.errors import ConfigError, DataError
from bothways.model_selection.compare import compare
from bothways.models.inputs import UnknownTokensWarning
from bothways.models.loading import load
from bothways.models.pieces import read_pieces
from bothways.models.predict_files import predict_files
from bothways.training.progress import Progress
from bothways.training.run_evaluation import evaluate_splits

OPTIONS = {"categorical": ("event",), "label": "outcome"}
SMALL = {"hidden_size": 8, "num_layers": 1, "epochs": 15, "learning_rate": 0.02}


def cases(count, seed=0, rare="refund"):
    """Return event logs that end well unless a complaint is followed by silence."""
    generator = np.random.default_rng(seed)
    found = []
    for n in range(count):
        events = generator.choice(["login", "view", "buy", ""], generator.integers(4, 9)).tolist()
        at = generator.integers(1, len(events) - 1)
        events[at : at + 2] = ["complain", "answer"] if n % 2 else ["answer", "complain"]
        if rare and n % 10 == 0:
            events.append(rare)
        found.append((events, generator.normal(size=len(events)), "good" if n % 2 else "bad"))
    return found


def write(path, found, split=None):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "event", "amount", "outcome", "split"])
        for n, (events, amounts, outcome) in enumerate(found):
            part = "train" if split is None else split[n]
            for event, amount in zip(events, amounts, strict=True):
                writer.writerow([f"c{n}", event, amount, outcome, part])
    return str(path)


def test_numbers_stand_for_tokens():
    grows = Vocabulary(grows=True)
    assert grows.numbers(np.array(["b", "a", "b"])).tolist() == [2, 1, 2]
    assert grows.numbers(np.array(["c", "a"])).tolist() == [3, 1]
    assert grows.tokens == ("a", "b", "c")
    fixed = Vocabulary(grows.tokens, grows=False)
    assert fixed.numbers(np.array(["d", "c", "b"])).tolist() == [UNKNOWN, 3, 2]
    assert len(fixed) == 3


def test_tokens_that_only_the_test_part_has_are_unknown(tmp_path):
    found = cases(20, rare=None)
    found[3][0][0] = "only here"
    split = ["test" if n == 3 else "train" for n in range(20)]
    path = write(tmp_path / "x.csv", found, split)
    dataset = open_dataset(path, DataOptions(**OPTIONS, split="split"))
    tokens = dataset.vocabularies["event"]
    assert sorted(tokens) == ["", "answer", "buy", "complain", "login", "view"]
    column = dataset.features.index("event")
    names = ["(unknown)", *tokens]
    spelt = [names[n] for n in dataset.test.batch([0]).inputs[0, :, column].int().tolist()]
    assert spelt == ["(unknown)", *found[3][0][1:]]
    spelt = [names[n] for n in dataset.train.batch([4]).inputs[0, :, column].int().tolist()]
    assert spelt[: len(found[5][0])] == found[5][0]
    assert dataset.categories == (6, 0)

    write(tmp_path / "train.csv", [found[n] for n in range(20) if n != 3])
    test = [(events, amounts, "good") for events, amounts, _ in found[3:4]]
    path = tmp_path / "test.csv"
    path.write_text(write_text(tmp_path, test).replace("c0,", "t0,"))
    apart = open_dataset(
        str(tmp_path / "train.csv"), DataOptions(**OPTIONS, test=str(tmp_path / "test.csv"))
    )
    assert set(apart.vocabularies["event"]) == set(tokens)
    assert int(apart.test.batch([0]).inputs[0, 0, column]) == UNKNOWN


def test_reading_renumbers_shared_steps_once(tmp_path, monkeypatch):
    """The test set that is held out of the training set shares its steps, in one new file."""
    found = cases(40, rare="refund")
    path = write(tmp_path / "x.csv", found)
    calls = []
    real = Sequences.renumber
    monkeypatch.setattr(
        Sequences, "renumber", lambda self, numbers: calls.append(numbers) or real(self, numbers)
    )
    lost = False
    for seed in range(8):
        calls.clear()
        dataset = open_dataset(path, DataOptions(**OPTIONS, test_fraction=0.5, split_seed=seed))
        assert dataset.train.steps is dataset.test.steps
        lost |= bool(calls)
        assert len(calls) <= 1
    assert lost


def write_text(folder, found):
    write(folder / "written.csv", found)
    return (folder / "written.csv").read_text()


def test_an_event_log_from_table_to_predictions(tmp_path):
    path = write(tmp_path / "x.csv", cases(400))
    options = DataOptions(**OPTIONS, test_fraction=0.25)
    run = train(path, options=options, out=tmp_path / "run", progress=Mock(spec=Progress), **SMALL)
    assert run.metrics.test.accuracy > 0.9
    again = evaluate_splits(run.load(), tmp_path / "run", split="test")["test"]
    assert again == run.metrics.test

    model = load(tmp_path / "run")
    new = cases(10, seed=5, rare="never seen")
    target = tmp_path / "new.csv"
    write(target, new)
    labels = [answer.label for answer in predict_files(model, [target], print)]
    hits = [label == outcome for label, (_, _, outcome) in zip(labels, new, strict=True)]
    assert np.mean(hits) > 0.8
    vocabulary_of_model = model.manifest.preprocessing.reading.vocabularies["event"]
    assert "never seen" not in vocabulary_of_model
    figures = evaluate_splits(model, tmp_path / "run", str(target))["data"]
    assert figures.count == 10
    arrays = []
    for events, amounts, _ in new:
        numbers = model.token_numbers("event", events)
        arrays.append(np.stack([numbers, amounts], axis=1).astype(np.float32))
    assert model.predict(arrays).tolist() == labels
    with pytest.raises(
        DataError, match="feature 'amount' is not categorical; expected one of event"
    ):
        model.token_numbers("amount", ["x"])
    with pytest.raises(DataError, match="'evnt' is not categorical; did you mean 'event'"):
        model.token_numbers("evnt", ["x"])
    strange = [np.c_[np.zeros(4), np.ones(4)].astype(np.float32)]
    with pytest.warns(UnknownTokensWarning, match="4 of 4 values of 'event' do not occur in"):
        model.predict(strange)


def test_a_changed_file_is_read_with_the_models_vocabulary(tmp_path):
    """A new token would shift the numbers of the others if the file were read as in training."""
    found = cases(60)
    path = write(tmp_path / "x.csv", found)
    options = DataOptions(**OPTIONS, test_fraction=0.25)
    run = train(path, options=options, out=tmp_path / "run", progress=Mock(spec=Progress), **SMALL)
    assert set(evaluate_splits(run.load(), tmp_path / "run")) == {"train", "validation", "test"}
    changed = [(["new"], [0.0], "bad"), *found]
    write(tmp_path / "x.csv", changed)
    figures = evaluate_splits(run.load(), tmp_path / "run")
    answers = predict_files(run.load(), [tmp_path / "x.csv"], print)
    hits = [answer.label == o for answer, (_, _, o) in zip(answers, changed, strict=True)]
    assert set(figures) == {"data"}
    assert figures["data"].correct == sum(hits)


def test_values_must_be_numbers_of_tokens():
    def dataset(values, features=("event",)):
        sequences = Sequences.from_arrays([np.full((2, 1), v, np.float32) for v in values], [0, 1])
        return Dataset(
            "x", sequences, None, ("a", "b"), features=features, vocabularies={"event": ("p", "q")}
        )

    check_values(dataset([0, 2]))
    for wrong in (3, -1, 0.5):
        with pytest.raises(DataError, match=r"holds .* in 'event'; expected .* 0 to 2"):
            check_values(dataset([1, wrong]))
    with pytest.raises(DataError, match="vocabularies has 'event', which is not a feature"):
        dataset([1, 2], features=())


def test_names_need_columns(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"values": [1, 2], "label": "a"}\n')
    with pytest.raises(DataError, match="has no columns, so --categorical event has no meaning"):
        open_dataset(str(path), DataOptions(categorical=("event",)))
    np.save(tmp_path / "x.npy", np.ones((2, 3, 1)))
    with pytest.raises(
        DataError, match="the model has categorical features event; expected a table"
    ):
        list(read_pieces(tmp_path / "x.npy", 1, DataOptions(categorical=("event",))).pieces)


def test_a_token_that_was_not_trained_on_is_the_unknown_one():
    torch.manual_seed(0)
    config = ModelConfig(input_size=2, categories=(3, 0), hidden_size=4, num_classes=2)
    model = SequenceClassifier(config).eval()
    tokens = model.encoder.tokens["0"]
    tokens.known[:] = torch.tensor([True, True, True, False])

    def logits(number):
        inputs = torch.tensor([[[number, 0.5], [1.0, -0.5]]])
        return model(inputs, [2]).tolist()

    assert logits(3.0) == logits(0.0) == logits(7.0) == logits(-2.0) != logits(2.0)
    padded = torch.full((1, 4, 2), float("nan"))
    padded[0, :2] = torch.tensor([[1.0, 0.5], [2.0, -0.5]])
    torch.testing.assert_close(model(padded, [2]), model(padded[:, :2], [2]))


def test_tokens_are_dropped_in_training_alone():
    config = ModelConfig(input_size=1, categories=(5,), num_classes=2, token_dropout=0.5)
    torch.manual_seed(0)
    model = SequenceClassifier(config)
    tokens = model.encoder.tokens["0"]
    tokens.known[:] = True
    numbers = torch.full((1, 400), 4.0)
    unknown = tokens.embedding.weight[0]
    dropped = (tokens(numbers)[0] == unknown).all(dim=1).float().mean()
    assert 0.4 < dropped < 0.6
    model.eval()
    assert not (tokens(numbers)[0] == unknown).all(dim=1).any()


@pytest.mark.parametrize("missing", ["refuse", "mask"])
def test_amounts_beside_tokens_are_encoded_as_ever(missing):
    config = ModelConfig(
        input_size=3, categories=(0, 4, 0), num_classes=2, normalization="dataset", missing=missing
    )
    torch.manual_seed(0)
    model = SequenceClassifier(config)
    assert model.encoder.encoded_size == (4 if missing == "mask" else 2) + 4
    assert len(model.encoder.mean) == 2
    assert config.numeric_features == [0, 2]


def test_inspection_lists_the_names(tmp_path, capsys):
    path = write(tmp_path / "x.csv", cases(20))
    dataset = open_dataset(path, DataOptions(**OPTIONS))
    amount, event = sorted(inspect_dataset(dataset).features, key=lambda f: f.name)
    assert not amount.tokens
    assert set(event.tokens) == {"login", "view", "buy", "complain", "answer", "refund", ""}
    print_dataset(dataset)
    assert "(empty)" in capsys.readouterr().out


def test_text_columns_are_left_out_unless_they_are_named(tmp_path):
    path = write(tmp_path / "x.csv", cases(20))
    dataset = open_dataset(path, DataOptions(label="outcome"))
    assert dataset.features == ("amount",)
    assert "ignored non-numeric columns: event, split (add" in dataset.notes[1]
    both = DataOptions(features=("amount",), **OPTIONS)
    assert open_dataset(path, both).features == ("amount", "event")


def test_wrong_columns_are_named(tmp_path, monkeypatch):
    path = write(tmp_path / "x.csv", cases(20))
    with pytest.raises(DataError, match=r"feature 'evnt' is not a column; did you mean 'event'"):
        open_dataset(path, DataOptions(categorical=("evnt",), label="outcome"))
    with pytest.raises(DataError, match="feature 'outcome' has another role"):
        open_dataset(path, DataOptions(categorical=("outcome",), label="outcome"))
    monkeypatch.setattr("bothways.data.readers.tables.cells.MAX_TOKENS", 3)
    with pytest.raises(DataError, match="column 'event' has more than 3 different values"):
        open_dataset(path, DataOptions(**OPTIONS))
    with pytest.raises(ConfigError, match="categories has 1 entry but input_size is 2"):
        ModelConfig(input_size=2, num_classes=2, categories=(3,))
    with pytest.raises(DataError, match="has no columns, so --categorical"):
        open_dataset("mnist", DataOptions(categorical=("event",)))


def test_baselines_see_the_tokens(tmp_path):
    found = [
        (["x", "a" if outcome == "good" else "b", "x"], amounts[:3], outcome)
        for _, amounts, outcome in cases(40)
    ]
    dataset = open_dataset(write(tmp_path / "x.csv", found), DataOptions(**OPTIONS))
    comparison = compare(dataset, rounds=2, epochs=1, hidden_size=2)
    accuracy = {candidate.name: candidate.mean for candidate in comparison.candidates}
    assert accuracy["logistic regression on summaries"] == 1.0
