"""Drawings and charts of data at the edge of what is possible."""

import re

import numpy as np
import pytest

from bothways.report.charts import confusion_matrix, overlaid_curves
from bothways.report.drawings import Drawn, Labeled, bands, lines, pictures
from bothways.training.loop.events import EpochDone


def test_long_noisy_labels_are_drawn_with_few_elements():
    generator = np.random.default_rng(0)
    drawn = [
        Labeled("x", *generator.integers(0, 100, (2, 20_000)))  # a segment for each step
        for _ in range(6)
    ]
    text = bands(drawn, [f"class {n}" for n in range(100)], "bands")
    assert len(text) < 1_500_000
    assert text.count("class ") == 12


def test_bands_keep_their_places():
    true, predicted = np.array([0] * 60 + [1] * 40), np.array([0] * 50 + [1] * 50)
    text = bands([Labeled("x", true, predicted)], ["calm", "_rough"], "bands")
    assert "calm" in text
    assert "_rough" in text  # although matplotlib hides names that start with _


@pytest.mark.parametrize("time", [1, 2, 1000])
def test_sequences_of_any_length_are_drawn(time):
    steps = np.full((time, 2), -1e8, np.float32)
    steps[0, 1] = np.nan
    text = lines([Drawn("a" * 300, "\N{CJK UNIFIED IDEOGRAPH-65E5}", steps)], "lines")
    assert "<path" in text


def test_names_that_look_like_colors_stay_names():
    text = confusion_matrix([[1, 2], [0, 3]], ["#0b0b05", "font-family: serif"])
    assert ">#0b0b05<" in text
    assert ">font-family: serif<" in text
    assert "var(--good)" in text


def test_a_run_of_one_epoch_is_visible():
    def epoch(number):
        return EpochDone(number, 5, 0.5, 0.9, 0.1, 1.0, 10.0, 0.0, None, None)

    one = overlaid_curves({"_short": [epoch(1)], "long": [epoch(1), epoch(2)]}, "loss")
    assert one.count("<use") > overlaid_curves({"long": [epoch(1), epoch(2)]}, "loss").count("<use")
    assert "_short" in one


def test_pictures_show_their_titles():
    text = pictures([Drawn("7 read as 1", "#3", np.eye(9))] * 7, "pictures")
    assert text.count("7 read as 1") == 7
    assert text.count("<image") == 7


def test_the_largest_charts_fit_in_a_report():
    """With 0.7 MB of playbacks and 0.1 MB of other charts, a report stays under 2 MB."""
    generator = np.random.default_rng(0)
    names = [f"a class with a long name {n}" for n in range(60)]
    matrix = confusion_matrix(generator.integers(1, 99, (60, 60)), names)
    labels = [Labeled("x", *generator.integers(0, 60, (2, 5000))) for _ in range(6)]
    steps = [Drawn("x", "y", generator.normal(size=(900, 6))) for _ in range(9)]
    noise = [Drawn("x", "y", generator.random((128, 128))) for _ in range(12)]
    largest = max(
        map(len, (bands(labels, names, "bands"), lines(steps, "lines"), pictures(noise, "noise")))
    )
    assert len(matrix) + largest < 1_150_000


def test_the_cells_of_a_confusion_matrix_have_their_colors():
    text = confusion_matrix([[5, 5], [0, 7]], ["a", "b"])
    opacities = re.findall(r"var\(--(good|bad)\)[^\"]*?opacity: ([\d.]+)", text)
    assert sorted(opacities) == [("bad", "0.485"), ("good", "0.485"), ("good", "0.65")]
