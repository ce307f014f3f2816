"""Models on the Hugging Face Hub: addresses, and the download of the two files of a model.

Nothing but `config.json` and `model.safetensors` is requested, and both are read with the checks of
a local folder. Their sizes are checked before they are downloaded.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

from bothways.errors import BothwaysError, CheckpointError, ConfigError, DownloadError
from bothways.models.checkpoint import MODEL_FILE, load_classifier, read_config
from bothways.models.manifest import CONFIG_FILE, Manifest
from bothways.nn.classifier import TorchClassifier
from bothways.nn.size import file_limit
from bothways.optional import require
from bothways.storage.reading import JSON_BYTES

_URL = re.compile(r"hf:|https?://(www\.)?(huggingface|hf)\.co/", re.IGNORECASE)
_PART = r"[\w+-][\w.+-]*"  # no "..": the client makes folders with these names in its cache
_ADDRESS = re.compile(rf"hf://({_PART}/{_PART})(?:@({_PART}(?:/{_PART})*))?", re.ASCII)


def is_address(path: str | Path) -> bool:
    """Return whether a path is meant to be an address of the hub; it may be misspelled."""
    return _URL.match(str(path)) is not None


def load_from_hub(address: str) -> tuple[TorchClassifier, Manifest]:
    """Return the classifier at an address of the hub, in eval mode on the CPU, and its manifest.

    Raises the errors of `download`.
    """
    folder = download(address)
    with _naming(address):
        return load_classifier(folder)


def pinned(model: str) -> str:
    """Return an address with the commit that it means now, and the path of a model as it is.

    Raises the errors of `download`.
    """
    if not is_address(model):
        return model
    return f"{model.partition('@')[0]}@{download(model).name}"


def download(address: str) -> Path:
    """Return the folder of the cache with the two files of a model, which is named by its commit.

    Files that the cache of huggingface_hub contains are not downloaded again.

    Parameters
    ----------
    address : str
        "hf://owner/name" or "hf://owner/name@revision"; a revision is a branch, tag or commit.

    Raises
    ------
    ConfigError
        If the address is not well-formed.
    DownloadError
        If the repository does not exist, cannot be reached, or requires an account.
    CheckpointError
        If it does not contain a model of bothways, or the model is damaged or too large.
    MissingDependencyError
        If huggingface-hub is not installed.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise _malformed(address)
    repository, revision = match.groups()
    with _naming(address):
        folder = _download(address, repository, revision, CONFIG_FILE, JSON_BYTES)
        manifest, _ = read_config(folder)
        # Both files are of one commit, even if the revision is moved in the meantime.
        limit = file_limit(manifest.model)
        return _download(address, repository, folder.name, MODEL_FILE, limit)


@contextmanager
def _naming(address: str) -> Iterator[None]:
    """Put the address before the message of a CheckpointError."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{address}: {error}") from None


def _download(
    address: str, repository: str, revision: str | None, name: str, limit_bytes: int
) -> Path:
    """Return the folder of the cache that contains a file; download the file if necessary."""
    found = _request(address, repository, name, revision=revision, dry_run=True)
    if found.file_size is None or found.file_size > limit_bytes:
        size = "unknown size" if found.file_size is None else f"{found.file_size:,} bytes"
        raise CheckpointError(
            f"{name} has {size}; expected at most {limit_bytes:,} bytes. Nothing was downloaded. "
            "Ask the owner of the model."
        )
    return Path(_request(address, repository, name, revision=revision)).parent


def _request(address: str, repository: str, name: str, **options: Any) -> Any:
    """Call `hf_hub_download`, and raise its errors as errors of bothways."""
    hub = require("huggingface_hub", extra="hub", purpose="models on the hub")
    try:
        return hub.hf_hub_download(repository, name, **options)
    except Exception as error:  # errors of its HTTP client too, which depends on its version
        raise _refusal(address, name, error) from None


def _refusal(address: str, name: str, error: Exception) -> BothwaysError:
    """Return the error of bothways for an error of huggingface_hub."""
    errors = require("huggingface_hub.errors", extra="hub", purpose="models on the hub")
    if isinstance(error, errors.HFValidationError):
        return _malformed(address)
    if isinstance(error, errors.GatedRepoError):
        return DownloadError(
            f"{address} is gated; expected an account with access. Ask for access on its page, "
            "then run: hf auth login"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return DownloadError(
            f"{address} does not exist or is private; expected a model that you can read. Check "
            "its name; for a private model, run: hf auth login"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return DownloadError(
            f"{address} has an unknown revision; expected a branch, tag or commit. Check its name."
        )
    cause = error.__cause__ or error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status in (401, 403):
        return DownloadError(
            f"{address} is not accessible (HTTP status {status}); expected an account with access. "
            "To log in, run: hf auth login"
        )
    if isinstance(error, errors.EntryNotFoundError) and status == 404:
        return CheckpointError(
            f"{name} does not exist there; expected a model of bothways. Check the address."
        )
    reason = f"HTTP status {status}" if status else shorten(str(cause), 200, placeholder=" …")
    return DownloadError(
        f"{address} cannot be downloaded: {reason.rstrip('.') or type(cause).__name__}; expected "
        "an answer of the hub. Check the network, and try again later."
    )


def _malformed(address: str) -> ConfigError:
    return ConfigError(
        f"{address!r} is not the address of a model; expected 'hf://owner/name' or "
        "'hf://owner/name@revision', as text and not as a Path. Correct it."
    )
