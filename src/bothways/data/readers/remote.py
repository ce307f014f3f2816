"""Object stores: S3 and Google Cloud Storage, through the filesystems of pyarrow.

This is the only module that uses `pyarrow.fs`.
"""

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from bothways.errors import DataError
from bothways.optional import require

CONNECT_SECONDS, ANSWER_SECONDS, ATTEMPTS = 5, 15, 3
"""A request that is not answered in this time is repeated, and then raises an error."""

_QUERY = {
    "s3": ("region", "endpoint_override", "scheme"),
    "gs": ("endpoint_override", "scheme"),
}
SCHEMES = tuple(_QUERY)
"""The schemes of URIs that `connect` accepts, in lower case."""

_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}
_DENIED = (
    "access is denied",
    "expected credentials that may list and read the bucket. Check {credentials}.",
)
_ABSENT = (
    "there is no such bucket or path",
    "expected one that exists. Check its name and the endpoint.",
)
_SILENT = (
    "there is no connection",
    (
        "expected an answer of the store. Check the network, the region and endpoint_override, and "
        "that credentials are set."
    ),
)
_REASONS = {
    "NO_SUCH_BUCKET": _ABSENT,
    "NOT_FOUND": _ABSENT,
    "ACCESS_DENIED": _DENIED,
    "INVALID_ACCESS_KEY_ID": _DENIED,
    "SIGNATURE_DOES_NOT_MATCH": _DENIED,
    "PERMISSION_DENIED": _DENIED,
    "UNAUTHENTICATED": _DENIED,
    "NETWORK_CONNECTION": _SILENT,
    "UNAVAILABLE": _SILENT,
    "DEADLINE_EXCEEDED": _SILENT,
}
_OTHER = "the store reports an error", "expected the content. Try again, or copy the file here."


@dataclass(frozen=True)
class Store:
    """A connection to an object store.

    Parameters
    ----------
    scheme : str
        "s3" or "gs".
    filesystem : pyarrow.fs.FileSystem
    path : str
        The bucket and the key that a URI names.
    """

    scheme: str
    filesystem: Any
    path: str

    def uri(self, path: str) -> str:
        """Return the URI of a path, for messages."""
        return f"{self.scheme}://{path}"

    def files(self, folder: str) -> dict[str, str]:
        """Return all files in and below a folder, or the file with this path.

        Returns
        -------
        files : dict
            The size and the modification time by path.

        Raises
        ------
        DataError
            If there is none, or the store cannot be read.
        """
        fs = _fs()
        name = self.uri(folder)
        try:
            info = self.filesystem.get_file_info(folder)
            if info.type == fs.FileType.File:
                return {folder: _version(info)}
            found = self.filesystem.get_file_info(fs.FileSelector(folder, recursive=True))
        except OSError as error:
            raise failure(name, error) or DataError(
                f"{name} is not found; expected a file or a folder. Check the path."
            ) from None
        return {info.path: _version(info) for info in found if info.type == fs.FileType.File}


def _version(info: Any) -> str:
    return f"{info.size} bytes, {info.mtime_ns} ns"


def connect(uri: str) -> Store:
    """Return the connection to the store of an s3:// or gs:// URI.

    Credentials are those that pyarrow finds: the environment, profiles, or the machine's role. The
    URI may have `?region=…&endpoint_override=…&scheme=…`.

    Raises
    ------
    DataError
        If the URI has credentials or an unknown option, or the store cannot be found.
    MissingDependencyError
        If pyarrow is not installed.
    """
    parts = urlsplit(uri, allow_fragments=False)
    user, _, bucket = parts.netloc.rpartition("@")
    path = f"{bucket}{parts.path}".rstrip("/")
    name = f"{parts.scheme}://{path}"
    if user not in ("", "anonymous"):
        raise DataError(
            f"{name} is named with credentials; expected none in a URI, which is stored with the "
            f"run. Set {_CREDENTIALS[parts.scheme]}."
        )
    if not bucket:
        raise DataError(f"{uri} names no bucket; expected {parts.scheme}://BUCKET/PATH. Add it.")
    try:
        filesystem = _filesystem(parts, bucket, _options(name, parts), user == "anonymous")
    except OSError as error:
        raise failure(name, error) or DataError(
            f"{name} cannot be reached ({type(error).__name__}); expected an existing bucket. "
            "Check its name and the network."
        ) from None
    return Store(parts.scheme, filesystem, path)


def failure(name: str, error: Exception) -> DataError | None:
    """Return the error for what a store reports, None if `error` is not from a store.

    The text of the store is not repeated: it may contain keys.
    """
    found = re.search(r"AWS Error (\w+)|google::cloud::Status\((\w+)", str(error))
    if found is None:
        return None
    code = found[1] or found[2]
    status = re.search(r"HTTP status (\d+)", str(error))
    if status is not None and status[1] in ("401", "403"):
        code = "ACCESS_DENIED"
    what, advice = _REASONS.get(code, _OTHER)
    advice = advice.format(credentials=_CREDENTIALS[name.partition(":")[0]])
    return DataError(f"{name} cannot be read: {what} ({code}); {advice}")


def _fs() -> Any:
    return require("pyarrow.fs", extra="s3", purpose="object stores")


def _options(name: str, parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option in options:
        if option not in _QUERY[parts.scheme]:
            raise DataError(
                f"{name} has an option {option!r}; expected {', '.join(_QUERY[parts.scheme])} "
                "after the question mark. Remove it."
            )
    return options


def _filesystem(
    parts: SplitResult, bucket: str, options: dict[str, str], is_anonymous: bool
) -> Any:
    fs = _fs()
    if parts.scheme == "gs":
        limit = timedelta(seconds=ATTEMPTS * ANSWER_SECONDS)
        return fs.GcsFileSystem(anonymous=is_anonymous, retry_time_limit=limit, **options)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and "endpoint_override" not in options:
        scheme, _, options["endpoint_override"] = endpoint.rpartition("://")
        options.setdefault("scheme", scheme or "https")
    if "region" not in options and "endpoint_override" not in options:
        options["region"] = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        anonymous=is_anonymous,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=ANSWER_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        **options,
    )
