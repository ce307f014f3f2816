import json

import numpy as np
import pytest

from bothways import DataOptions, load, open_dataset, train
from bothways.data.offsets import find_offsets, subtract_offsets, unresolved_features
from bothways.data.summary import inspect_dataset
from bothways.models.inputs import ScaleWarning
from bothways.models.pieces import read_pieces
from bothways.training.run_evaluation import evaluate_splits

RNG = np.random.default_rng(0)
SIGNAL = RNG.standard_normal(2000)
SMALL = {
    "stem_channels": None,
    "hidden_size": 8,
    "epochs": 20,
    "learning_rate": 0.02,
    "batch_size": 8,
    "seed": 0,
}


@pytest.mark.parametrize(
    ("values", "near"),
    [
        (1.7e9 + SIGNAL, 1.7e9),
        (-1.7e9 + SIGNAL, -1.7e9),
        (52.5 + 1e-5 * SIGNAL, 52.5),
        (1e12 + 1e-2 * SIGNAL, 1e12),
        (np.where(np.arange(2000) % 50, 1.7e9 + SIGNAL, 0), 1.7e9),
        (np.where(np.arange(2000) % 50, 1.7e9 + SIGNAL, np.nan), 1.7e9),
        (1.7e9 + np.arange(2000), 1.7e9 + 999),
        (52.5 + 1e-3 * SIGNAL, 52),
        (SIGNAL, 0),
        (1000 + SIGNAL, 0),
        (np.full(2000, 1.7e9 + 1), 0),
        (1.7e9 + (np.arange(2000) % 40 == 0), 1.7e9),
        (np.arange(2000) % 256, 0),
        (np.where(np.arange(2000) % 2, 0.1 + 0.2, 0.3), 0),
        (np.full(2000, np.nan), 0),
        ((1.7e9 + SIGNAL).astype(np.float32), 0),
        (3e37 * SIGNAL, 0),
    ],
)
def test_a_feature_that_float32_would_spoil_has_an_offset(values, near):
    values = np.asarray(values)[:, None]
    offsets = find_offsets(values)
    assert offsets == () if near == 0 else offsets[0] == pytest.approx(near, rel=1e-2)
    if near:
        finite = values[np.isfinite(values) & (values != 0)]
        kept = subtract_offsets(finite[:, None], offsets).astype(float)[:, 0]
        assert np.abs(kept - (finite - offsets[0])).max() <= 1e-3 * finite.std()


def test_values_beyond_float32_do_not_count():
    values = np.where(np.arange(2000) % 50, 1.7e9 + SIGNAL, 1.7e308 * np.sign(SIGNAL))[:, None]
    assert find_offsets(values)[0] == pytest.approx(1.7e9)
    assert unresolved_features(values, find_offsets(values)) == []


def sequences(count=60, base=1.7e9, seed=0):
    """Return sequences of 8 steps around `base` that rise (class up) or fall."""
    generator = np.random.default_rng(seed)
    signs = generator.choice([-1, 1], count)
    ramps = np.linspace(-2, 2, 8)
    return signs, base + signs[:, None] * ramps + 0.1 * generator.standard_normal((count, 8))


def as_table(path, signs, values, decimals=4):
    lines = ["id,x,y,label"]
    for n, (sign, row) in enumerate(zip(signs, values, strict=True)):
        word = "up" if sign > 0 else "down"
        lines += [
            f"{path.stem}{n},{step % 3}.5,{v:.{decimals}f},{word}" for step, v in enumerate(row)
        ]
    path.write_text("\n".join(lines) + "\n")


def as_json_lines(path, signs, values):
    lines = [
        json.dumps(
            {
                "values": [[step % 3 + 0.5, v] for step, v in enumerate(row)],
                "label": "up" if sign > 0 else "down",
                "sequence": f"{path.stem}{n}",
            }
        )
        for n, (sign, row) in enumerate(zip(signs, values, strict=True))
    ]
    path.write_text("\n".join(lines) + "\n")


def as_ts(path, signs, values):
    lines = ["@classLabel true up down", "@data"]
    for sign, row in zip(signs, values, strict=True):
        steps = ",".join(f"{step % 3}.5" for step in range(len(row)))
        lines.append(f"{steps}:{','.join(map(repr, row.tolist()))}:{'up' if sign > 0 else 'down'}")
    path.write_text("\n".join(lines) + "\n")


FORMATS = {"csv": as_table, "jsonl": as_json_lines, "ts": as_ts}


@pytest.mark.parametrize("ending", FORMATS)
def test_training_and_prediction_keep_a_signal_on_a_large_base(tmp_path, ending):
    write = FORMATS[ending]
    signs, values = sequences()
    write(tmp_path / f"train.{ending}", signs, values)
    new_signs, new_values = sequences(40, seed=1)
    write(tmp_path / f"new.{ending}", new_signs, new_values)
    options = DataOptions(test=str(tmp_path / f"new.{ending}"))
    dataset = open_dataset(str(tmp_path / f"train.{ending}"), options)
    first, second = dataset.offsets
    assert first == 0
    assert second == pytest.approx(1.7e9, abs=1)
    kept = dataset.train.steps[:, 1].numpy().astype(float) + second
    np.testing.assert_allclose(kept, values.ravel(), rtol=0, atol=1e-4)
    run = train(dataset, out=tmp_path / "run", **SMALL)
    assert run.metrics.test.accuracy >= 0.95
    model = load(tmp_path / "run")
    reading = model.manifest.preprocessing.reading
    assert reading.offsets == dataset.offsets
    (piece,) = read_pieces(tmp_path / f"new.{ending}", 2, reading).pieces
    expected = np.where(new_signs > 0, "up", "down")
    assert (model.predict(piece.sequences) == expected).mean() >= 0.95


def test_arrays_are_centered_as_in_training(tmp_path):
    signs, values = sequences()
    as_table(tmp_path / "train.csv", signs, values)
    train(open_dataset(str(tmp_path / "train.csv")), out=tmp_path / "run", **SMALL)
    model = load(tmp_path / "run")
    new_signs, new_values = sequences(40, seed=1)
    arrays = np.stack([np.tile(np.arange(8) % 3 + 0.5, (40, 1)), new_values], axis=2)
    expected = np.where(new_signs > 0, "up", "down")
    assert (model.predict(arrays) == expected).mean() >= 0.95
    assert (model.predict(list(arrays)) == expected).mean() >= 0.95


def test_options_without_offsets_read_data_as_they_are(tmp_path):
    signs, values = sequences()
    as_table(tmp_path / "large.csv", signs, values)
    dataset = open_dataset(str(tmp_path / "large.csv"), DataOptions(offsets=()))
    assert dataset.offsets == ()
    assert dataset.train.steps[:, 1].min() > 1.6e9


def test_what_offsets_cannot_keep_is_said(tmp_path):
    signs, values = sequences()
    as_table(tmp_path / "x.csv", signs, values + 1e9 * np.arange(len(values))[:, None], 1)
    notes = open_dataset(str(tmp_path / "x.csv")).notes
    assert any(note.startswith("most changes of y are lost in float32") for note in notes)


def test_constants_and_duplicates_of_a_large_base_are_those_of_the_file(tmp_path):
    signs, values = sequences()
    as_table(tmp_path / "x.csv", signs, values)
    warnings = inspect_dataset(open_dataset(str(tmp_path / "x.csv"))).warnings
    assert not any("constant features" in text or "duplicate" in text for text in warnings)


def test_arrays_are_evaluated_with_the_offsets_of_training(tmp_path):
    signs, values = sequences()
    labels = (signs > 0).astype(int)
    np.savez(tmp_path / "train.npz", inputs=values[:, :, None], labels=labels)
    dataset = open_dataset(str(tmp_path / "train.npz"))
    assert dataset.offsets == pytest.approx((1.7e9,), abs=1)
    train(dataset, out=tmp_path / "run", **SMALL)
    rising, new_values = sequences(40, base=1.7e9 + 1e6, seed=1)
    new_labels = (rising > 0).astype(int)
    np.savez(tmp_path / "new.npz", inputs=new_values[:, :, None], labels=new_labels)
    model = load(tmp_path / "run")
    with pytest.warns(ScaleWarning):
        found = evaluate_splits(model, tmp_path / "run", str(tmp_path / "new.npz"))
    with pytest.warns(ScaleWarning):
        answers = model.predict(new_values[:, :, None])
    (metrics,) = found.values()
    assert metrics.accuracy == (answers == new_labels.astype(str)).mean()
