"""Models at addresses of the hub, with a stand-in for the hub on this machine."""

import json
import re
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import run_command
from hub_server import COMMIT, EARLIER_COMMIT, as_own_hub, running_hub
from huggingface_hub import close_session, constants
from random_models import random_model

from bothways import load
from bothways.errors import CheckpointError, ConfigError, DownloadError, MissingDependencyError
from bothways.models.checkpoint import MODEL_FILE
from bothways.models.hub import is_address, pinned
from bothways.models.manifest import CONFIG_FILE
from bothways.models.scoring.parts import model_fingerprint

TWO_FILES = [CONFIG_FILE, MODEL_FILE]
ADDRESS = "hf://ada/waves"


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return the folders of two models, with other files beside those of the model."""
    folders = [tmp_path_factory.mktemp("models") / name for name in ("first", "second")]
    for seed, folder in enumerate(folders):
        random_model(seed, hidden_size=5 + seed).save(folder)
        (folder / "pytorch_model.bin").write_bytes(b"never read")
    return folders


@pytest.fixture
def hub(folders):
    """Return a hub with a model that has two revisions."""
    with running_hub() as server:
        first, second = map(files_of, folders)
        server.repositories["ada/waves"] = {"v1": first, "main": second}
        yield server


@pytest.fixture
def own_hub(hub, tmp_path, monkeypatch):
    """Return `hub` as the hub of this process, without pauses between attempts."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with as_own_hub(hub, tmp_path / "cache", monkeypatch):
        yield hub


def logits_of(model):
    values = np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)
    return model.predict_logits(values).numpy()


def test_an_address_gives_the_model_of_the_folder(own_hub, folders):
    model, expected = load(ADDRESS), load(folders[1])
    assert model.manifest == expected.manifest
    np.testing.assert_array_equal(logits_of(model), logits_of(expected))


@pytest.mark.parametrize("revision", ["v1", EARLIER_COMMIT])
def test_a_revision_is_a_tag_or_a_commit(own_hub, folders, revision):
    found = logits_of(load(f"{ADDRESS}@{revision}"))
    np.testing.assert_array_equal(found, logits_of(load(folders[0])))


def test_the_fingerprint_of_a_model_is_that_of_its_files(own_hub, folders):
    found = [model_fingerprint(f"{ADDRESS}{revision}") for revision in ("@v1", "")]
    assert found == [model_fingerprint(folder) for folder in folders]
    assert found[0] != found[1]


def test_an_address_is_pinned_to_its_commit(own_hub):
    assert pinned(ADDRESS) == f"{ADDRESS}@{COMMIT}"
    assert pinned(f"{ADDRESS}@v1") == f"{ADDRESS}@{EARLIER_COMMIT}"
    assert pinned("runs/0001") == "runs/0001"


def test_only_the_two_files_are_requested(own_hub, tmp_path):
    load(ADDRESS)
    assert own_hub.requested("HEAD") == TWO_FILES
    assert [line for line in own_hub.requests if line.startswith("GET")] == [
        "GET /ada/waves/resolve/main/config.json",
        *(line for line in own_hub.requests if line.startswith("GET /storage/")),
    ]
    links = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_symlink()]
    assert sorted(links) == TWO_FILES


def test_both_files_are_of_the_same_commit(own_hub):
    load(ADDRESS)
    (weights,) = {line for line in own_hub.requests if line.endswith(MODEL_FILE)}
    assert weights == f"HEAD /ada/waves/resolve/{COMMIT}/{MODEL_FILE}"


def test_a_downloaded_model_needs_no_hub(own_hub, folders, monkeypatch):
    load(ADDRESS)
    own_hub.requests.clear()
    load(f"{ADDRESS}@{COMMIT}")
    assert not own_hub.requests
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    close_session()
    np.testing.assert_array_equal(logits_of(load(ADDRESS)), logits_of(load(folders[1])))
    assert not own_hub.requests
    with pytest.raises(DownloadError, match=r"hf://ada/other cannot be downloaded: .*offline"):
        load("hf://ada/other")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, "RepoNotFound"), "does not exist or is private; .* hf auth login"),
        ((404, "RepoNotFound"), "does not exist or is private; .* Check its name"),
        ((403, "GatedRepo"), "is gated; expected an account with access. Ask for access"),
        ((401, "Other"), r"is not accessible \(HTTP status 401\); .*, run: hf auth login"),
        ((403, "Other"), r"is not accessible \(HTTP status 403\)"),
        ((500, "Other"), "cannot be downloaded: HTTP status 500; .* Check the network"),
        ({"v1": {}}, "has an unknown revision; expected a branch, tag or commit"),
    ],
)
def test_what_the_hub_refuses_is_one_line(own_hub, answer, message):
    own_hub.repositories["ada/waves"] = answer
    with pytest.raises(DownloadError, match=f"^{ADDRESS} {message}") as caught:
        load(ADDRESS)
    assert "\n" not in str(caught.value)


def test_without_a_network_the_reason_is_named(own_hub, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/{{repo_id}}/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    with pytest.raises(
        DownloadError, match=r"cannot be downloaded: .*Connection refused; expected"
    ):
        load(ADDRESS)


def test_a_server_that_is_no_hub_is_one_line(own_hub, monkeypatch):
    url = f"{own_hub.url}/storage/{{filename}}"  # answers without the headers of a hub
    own_hub.stored["/storage/config.json"] = b"{}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    with pytest.raises(DownloadError, match=r"cannot be downloaded: .*X-Repo-Commit"):
        load(ADDRESS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({CONFIG_FILE: None}, "config.json does not exist there; expected a model of bothways"),
        ({MODEL_FILE: None}, "model.safetensors does not exist there"),
        ({CONFIG_FILE: b'{"model_type": "bert"}'}, "is not the config of a bothways model"),
        ({CONFIG_FILE: b"\x80\x04."}, "config.json is damaged"),
        ({MODEL_FILE: b"\x80\x04."}, "is truncated or damaged"),
    ],
)
def test_other_repositories_are_refused(own_hub, changes, message):
    files = own_hub.repositories["ada/waves"]["main"]
    files |= {name: content for name, content in changes.items() if content is not None}
    for name in [name for name, content in changes.items() if content is None]:
        del files[name]
    with pytest.raises(CheckpointError, match=f"^{ADDRESS}: .*{message}"):
        load(ADDRESS)


def test_files_of_two_models_are_refused(own_hub):
    revisions = own_hub.repositories["ada/waves"]
    revisions["main"][CONFIG_FILE] = revisions["v1"][CONFIG_FILE]
    with pytest.raises(CheckpointError, match=f"^{ADDRESS}: .* that model.safetensors was saved"):
        load(ADDRESS)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        (CONFIG_FILE, 1 << 40, "config.json has 1,099,511,627,776 bytes; expected at most"),
        (MODEL_FILE, 1 << 40, "model.safetensors has 1,099,511,627,776 bytes; expected at most"),
        (MODEL_FILE, None, "model.safetensors has unknown size; expected at most"),
    ],
)
def test_a_file_that_may_be_too_large_is_not_downloaded(own_hub, name, size, message):
    own_hub.sizes[name] = size
    with pytest.raises(CheckpointError, match=message):
        load(ADDRESS)
    downloads = [line for line in own_hub.requests if line.startswith("GET")]
    assert len(downloads) == TWO_FILES.index(name)


def test_a_config_that_promises_too_many_weights_is_refused(own_hub):
    files = own_hub.repositories["ada/waves"]["main"]
    config = json.loads(files[CONFIG_FILE])
    config["model"]["hidden_size"] = 10**9
    files[CONFIG_FILE] = json.dumps(config).encode()
    with pytest.raises(CheckpointError, match=r"the weights take .* bytes; expected at most"):
        load(ADDRESS)
    assert own_hub.requested("HEAD") == [CONFIG_FILE]


@pytest.mark.parametrize(
    "address",
    [
        "hf://",
        "hf://waves",
        "hf://ada/waves/model.safetensors",
        "hf://ada/waves@",
        "hf://ada/waves@../../main",
        "hf://ada/waves@/etc/main",
        "hf://../waves",
        "hf://ada/wa--ves",
        "hf://ada/waves\n",
        "hf:ada/waves",
        "HF://ada/waves",
        "https://huggingface.co/ada/waves",
        Path(ADDRESS),
    ],
)
def test_a_misspelled_address_is_refused_without_a_request(own_hub, address):
    with pytest.raises(ConfigError, match="is not the address of a model; expected 'hf://owner/n"):
        load(address)
    assert not own_hub.requests


@pytest.mark.parametrize("path", ["runs/0001", "hf", "./hf:a", "C:/hf", "https://example.org/a"])
def test_a_path_is_not_an_address(path):
    assert not is_address(path)


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match=r"Run: pip install 'bothways\[hub\]'"):
        load(ADDRESS)


def test_commands_take_an_address(hub, tmp_path, folders):
    values = np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32)
    labels = np.array(load(folders[1]).classes)[np.arange(6) % 4]
    np.savez(tmp_path / "data.npz", inputs=values, labels=labels)
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "*"}

    def run(*arguments):
        return run_command(
            *arguments, folder=tmp_path, before=f"import os; os.environ.update({settings})"
        )

    def compare(*command):
        of_hub, of_folder = (
            run(*(place if part == "MODEL" else part for part in command))
            for place in (ADDRESS, folders[1])
        )
        assert of_hub.stderr == of_folder.stderr == ""
        assert of_hub.stdout == of_folder.stdout
        assert of_hub.returncode == 0

    compare("predict", "MODEL", "data.npz")
    compare("evaluate", "MODEL", "data.npz")
    inspected = run("inspect", ADDRESS).stdout
    assert "bidirectional LSTM 1x6, readout final" in inspected
    assert re.search("status +a model on the hub", inspected)
    exported = run("export", ADDRESS, "--to", "model.onnx")
    assert exported.returncode == 0, exported.stderr
    refused = run("evaluate", ADDRESS)
    assert refused.stderr == (
        f"bothways: {ADDRESS} does not name the data that it was trained on; expected a dataset. "
        f"Run: bothways evaluate {ADDRESS} DATA\n"
    )
    assert run("predict", "hf://ada/none", "data.npz").stderr.startswith(
        "bothways: hf://ada/none does not exist or is private; expected a model that you can read."
    )
