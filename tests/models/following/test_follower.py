"""Answers to records do not depend on how many of them wait, and are those of whole sequences."""

import numpy as np
import pytest
from random_models import random_model

from bothways.errors import ConfigError, DataError
from bothways.models.answers import Labeling
from bothways.models.following.follower import Follower
from bothways.models.following.records import Record

STEPS = {"readout": "step", "stem_channels": 4, "stem_stride": 1}  # 4 steps late


def step(sequence, values, time=None, where="line 1", ends=False):
    return Record(where, sequence, list(values), time, time, ends)


def end(sequence, where="line 1"):
    return Record(where, sequence, None, ends=True)


def divided(found):
    """Return the answers, and the messages of the errors."""
    answers = [one for one in found if not isinstance(one, DataError)]
    return answers, [str(one) for one in found if isinstance(one, DataError)]


def follow(model, records, sizes=(1,), **options):
    """Return the answers to records that come in batches of some sizes, and then the end."""
    follower = Follower(model.stream(), **options)
    answers, place, turn = [], 0, 0
    while place < len(records):
        size = sizes[turn % len(sizes)]
        answers += follower.answers(records[place : place + size])
        place, turn = place + size, turn + 1
    answers += follower.close()
    assert len(follower) == 0
    return answers


def interleaved(generator, names="abc", count=60):
    """Return records of several sequences, some of which end and begin again; and their steps."""
    records, sequences, current = [], [], {}
    for time in range(count):
        name = names[generator.integers(len(names))]
        values = generator.normal(size=3)
        if name not in current:
            current[name] = (name, [])
            sequences.append(current[name])
        current[name][1].append((time, values))
        records.append(step(name, values, time))
        if generator.random() < 0.1:
            records.append(end(name))
            del current[name]
    return records, sequences


@pytest.mark.parametrize(
    "settings", [{}, {"readout": "step"}, STEPS], ids=["class", "step", "late"]
)
@pytest.mark.parametrize("segments", [False, True])
def test_answers_do_not_depend_on_batches(settings, segments, seed):
    if segments and not settings:
        pytest.skip("no segments")
    model = random_model(bidirectional=False, **settings)
    records, sequences = interleaved(np.random.default_rng(seed))
    expected = follow(model, records, segments=segments)
    assert len(expected) >= len(sequences) >= 3
    for sizes in [(2,), (7, 1, 30), (1000,)]:
        assert follow(model, records, sizes, segments=segments) == expected


@pytest.mark.parametrize(
    "settings", [{}, {"readout": "step"}, STEPS], ids=["class", "step", "late"]
)
def test_answers_of_a_sequence_are_those_of_predict_proba(settings, seed):
    model = random_model(bidirectional=False, **settings)
    records, sequences = interleaved(np.random.default_rng(seed), names="ab")
    answers = follow(model, records, (3,))
    assert len(answers) == sum(len(steps) for _, steps in sequences)
    for name, steps in sequences:
        first, last = steps[0][0], steps[-1][0]
        own = [a for a in answers if a["sequence"] == name and first <= a["time"] <= last]
        values = np.array([values for _, values in steps])
        if settings:
            (expected,) = model.predict_proba([values])
        else:
            expected = model.predict_proba([values[: n + 1] for n in range(len(values))])
        assert [a["step"] for a in own] == list(range(len(steps)))
        assert [a["time"] for a in own] == [time for time, _ in steps]
        found = [list(a["probabilities"].values()) for a in own]
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
        assert [a["label"] for a in own] == [model.classes[n] for n in expected.argmax(axis=1)]


@pytest.mark.parametrize("settings", [{"readout": "step"}, STEPS], ids=["step", "late"])
def test_segments_are_those_of_predict(settings, seed):
    model = random_model(bidirectional=False, **settings)
    generator = np.random.default_rng(seed)
    values, times = generator.normal(0, 3, (60, 3)), np.sort(generator.normal(size=60))
    records = [step("a", row, time) for row, time in zip(values, times.tolist(), strict=True)]
    (probabilities,) = model.predict_proba([values])
    expected = Labeling.of("a", model.classes, probabilities, times).line()["segments"]
    found = follow(model, records, (1, 5), segments=True)
    assert len(found) == len(expected)
    for own, segment in zip(found, expected, strict=True):
        assert own.pop("sequence") == "a"
        assert own.pop("probability") == pytest.approx(segment.pop("probability"), abs=2e-6)
        assert own == segment


def test_a_label_comes_as_soon_as_it_is_final():
    follower = Follower(random_model(bidirectional=False, **STEPS).stream())
    steps = [follower.answers([step("a", [n, 0, 0])]) for n in range(7)]
    assert [[a["step"] for a in answers] for answers in steps] == [[], [], [], [], [0], [1], [2]]
    assert [a["step"] for a in follower.answers([end("a")])] == [3, 4, 5, 6]


def test_records_out_of_order_are_refused():
    follower = Follower(random_model(bidirectional=False).stream())
    records = [step("a", [0, 0, 0], time, f"line {n}") for n, time in enumerate([2, 2, 1, None, 3])]
    records.append(step("b", [0, 0, 0], 1))
    answers, messages = divided(follower.answers(records))
    assert messages == [
        "line 2: time 1 of the sequence 'a' does not follow 2; expected the steps in order. Drop "
        "it."
    ]
    assert [(a["sequence"], a["step"], a.get("time")) for a in answers] == [
        ("a", 0, 2),
        ("a", 1, 2),
        ("a", 2, None),
        ("a", 3, 3),
        ("b", 0, 1),
    ]


@pytest.mark.parametrize("size", [1, 100])
def test_too_many_sequences_are_refused_with_one_message(size):
    follower = Follower(random_model(bidirectional=False).stream(), most_sequences=2)
    answers = []
    records = [step(name, [0, 0, 0], where=f"line {n}") for n, name in enumerate("abcdca")]
    records += [end("b"), step("c", [0, 0, 0]), step("e", [0, 0, 0], where="line 8")]
    for place in range(0, len(records), size):
        answers += follower.answers(records[place : place + size])
    answers, messages = divided(answers)
    assert [a["sequence"] for a in answers] == ["a", "b", "a", "c"]
    assert [message.split(",")[0] for message in messages] == [
        "line 2 opens the sequence 'c'",
        "line 8 opens the sequence 'e'",
    ]
    assert messages[0].endswith(
        "but 2 are open; expected no more. End others, or allow more with --max-sequences; until "
        "then, new ones are refused."
    )
    assert len(follower) == 2


def test_the_end_of_a_sequence_that_is_not_open():
    follower = Follower(random_model(bidirectional=False).stream())
    answers, messages = divided(follower.answers([end("a", "line 3"), end("b")]))
    assert answers == []
    assert messages[0] == (
        "line 3 ends the sequence 'a', which is not open; expected the name of an open one. Check "
        "it."
    )


@pytest.mark.parametrize("size", [1, 100])
def test_a_refused_step_still_ends_its_sequence(size):
    follower = Follower(random_model(bidirectional=False).stream())
    error = DataError("line 2: x is missing")
    records = [
        step("a", [0, 0, 0], 5),
        Record("line 2", "a", None, ends=True, refused=error),
        step("a", [0, 0, 0], 1),
        step("a", [0, 0, 0], 0, "line 4", ends=True),
        step("a", [0, 0, 0], 0),
    ]
    found = []
    for place in range(0, len(records), size):
        found += follower.answers(records[place : place + size])
    assert [getattr(one, "args", one) for one in found][1] == error.args
    answers, messages = divided(found)
    assert [(a["step"], a["time"]) for a in answers] == [(0, 5), (0, 1), (0, 0)]
    assert messages[1].startswith("line 4: time 0 of the sequence 'a' does not follow 1")


def test_a_refused_step_that_ends_no_open_sequence_is_one_error():
    follower = Follower(random_model(bidirectional=False).stream())
    error = DataError("line 1: x is missing")
    assert follower.answers([Record("line 1", "a", None, ends=True, refused=error)]) == [error]
    assert len(follower) == 0


@pytest.mark.parametrize("size", [1, 100])
def test_the_ends_of_sequences_that_were_refused_are_no_errors(size):
    follower = Follower(random_model(bidirectional=False).stream(), most_sequences=1)
    records = [step(name, [0, 0, 0]) for name in "abc"]
    records += [end("b"), end("a"), end("c"), end("c", "line 9")]
    found = []
    for place in range(0, len(records), size):
        found += follower.answers(records[place : place + size])
    _, messages = divided(found)
    assert [message.split(",")[0] for message in messages] == [
        "line 1 opens the sequence 'b'",
        "line 9 ends the sequence 'c'",
    ]


def test_answers_and_errors_are_in_the_order_of_the_lines():
    follower = Follower(random_model(bidirectional=False).stream())
    error = DataError("line 2")
    found = follower.answers([step("a", [0, 0, 0]), error, end("b"), step("a", [0, 0, 0])])
    assert found[1] is error
    assert isinstance(found[2], DataError)
    assert [found[0]["step"], found[3]["step"]] == [0, 1]


def test_segments_need_labels_of_steps():
    with pytest.raises(ConfigError, match="segments is set, but the model labels sequences"):
        Follower(random_model(bidirectional=False).stream(), segments=True)
