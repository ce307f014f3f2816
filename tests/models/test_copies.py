"""Copies of loaded models, after they have answered a single sequence."""

import copy
import gc
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from random_models import random_model

from bothways import load
from bothways.export import export_onnx
from bothways.kernels.backends import bfloat16_obstacle

SEQUENCE = np.random.default_rng(0).normal(size=(1, 9, 3)).astype(np.float32)
FRESH = """
import pickle, sys
import numpy as np
model = pickle.load(open(sys.argv[1], "rb"))
np.save(sys.argv[2], model.predict_proba(np.load(sys.argv[3])))
"""


def saved(folder, seed=0, **settings):
    random_model(seed, **settings).save(folder)
    return load(folder)


def test_a_pickled_model_answers_in_another_process(tmp_path):
    model = saved(tmp_path / "model", hidden_size=32)
    expected = model.predict_proba(SEQUENCE)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "x.npy", SEQUENCE)
    files = [tmp_path / name for name in ("m.pkl", "found.npy", "x.npy")]
    done = subprocess.run([sys.executable, "-c", FRESH, *files], check=False)
    assert done.returncode == 0  # -11: segmentation fault
    np.testing.assert_allclose(np.load(files[1]), expected, atol=1e-6)


def test_deleting_a_copy_does_not_change_the_answers_of_the_original(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        models = []
        for seed in range(2):
            models.append(saved(tmp_path / str(seed), seed, hidden_size=32, num_layers=2))
        first, second = models
        expected = first.predict_proba(SEQUENCE)
        copied = copy.deepcopy(first)
        del copied
        gc.collect()
        second.predict_proba(SEQUENCE)
        np.testing.assert_allclose(first.predict_proba(SEQUENCE), expected, atol=1e-6)
    finally:
        torch.set_num_threads(before)


def test_read_only_arrays_do_not_warn(tmp_path):
    model, sequence = saved(tmp_path), SEQUENCE[0].copy()
    sequence.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict_proba([sequence])


def test_logits_of_one_sequence_are_ordinary_tensors(tmp_path):
    logits = saved(tmp_path).predict_logits(SEQUENCE)
    logits -= 1.0  # as those of two sequences


@pytest.mark.skipif(bfloat16_obstacle(torch.device("cpu")) is not None, reason="needs AVX512_BF16")
def test_a_model_with_bfloat16_can_be_exported(tmp_path):
    pytest.importorskip("onnx")
    model = saved(tmp_path / "model", hidden_size=12).set_precision("bfloat16")
    export_onnx(model, tmp_path / "model.onnx")
