"""What to score: the files of sequences, and the files of their predictions."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bothways.data.readers.locations import Location, TableFiles, locate
from bothways.data.readers.registry import check_readable
from bothways.errors import ConfigError
from bothways.models.checkpoint import MODEL_FILE
from bothways.models.hub import download, is_address
from bothways.models.manifest import CONFIG_FILE
from bothways.models.scoring.part_file import Origin, PartInfo, read_info

_SUFFIX = ".parquet"
_NAME_CHARACTERS = 40  # of the name of a file of sequences
_DIGEST_CHARACTERS = 20


@dataclass(frozen=True)
class Part:
    """A file of sequences, and the file of its predictions.

    Parameters
    ----------
    location : Path or TableFiles
        One file.
    out : Path
    origin : Origin
    """

    location: Location
    out: Path
    origin: Origin


def plan_parts(
    model: str | Path,
    sources: Iterable[str],
    out: Path,
    on_note: Callable[[str], None],
    sequence: str | None = None,
    *,
    aggregate: bool = False,
) -> list[Part]:
    """Return the parts of all files, in their order.

    Parameters
    ----------
    model : str or Path
        Where the model is loaded from.
    sources : iterable of str
        Files, or folders, globs and URIs of tables.
    out : Path
        The folder of the predictions.
    on_note : callable
        Called with the notes about the files that are found.
    sequence : str, optional
        The column of the sequence, see `locate`.
    aggregate : bool
        As in `predict_files`.

    Raises
    ------
    DataError
        If a file cannot be read.
    ConfigError
        If a file is named twice.
    """
    fingerprint = model_fingerprint(model)
    parts: dict[str, Part] = {}
    for source in sources:
        location = locate(source, sequence)
        check_readable(location)
        files: list[Location] = [location]
        if isinstance(location, TableFiles):
            for note in location.notes:
                on_note(note)
            files = [TableFiles(file.name, (file,)) for file in location.files]
        for file in files:
            origin = Origin(fingerprint, _address(file), _version(file), aggregate)
            if origin.source in parts:
                raise ConfigError(f"{file} is named twice; expected each file once. Omit one.")
            parts[origin.source] = Part(file, out / _name(origin.source), origin)
    return list(parts.values())


def finished_parts(parts: Sequence[Part], out: Path) -> dict[Path, PartInfo]:
    """Return what is known of the parts whose predictions are complete, by their files.

    Parts whose files of sequences have changed since are not among them.

    Raises
    ------
    ConfigError
        If a file in the folder is not of predictions, or of other ones than those of the parts.
    """
    wanted = {part.out: part.origin for part in parts}
    found = {}
    for path in sorted(out.glob(f"*{_SUFFIX}")):
        info = _checked_info(path, parts[0].origin)
        if wanted.get(path) == info.origin:
            found[path] = info
    return found


def _checked_info(path: Path, wanted: Origin) -> PartInfo:
    info = read_info(path)
    if info is None:
        raise ConfigError(
            f"{path} is not a complete file of predictions by this version; expected nothing else "
            "in --out. Remove it, or choose another --out folder."
        )
    found = info.origin
    if found.model != wanted.model:
        raise ConfigError(
            f"{path} has predictions for {found.source} by model {found.model[:8]}; expected those "
            f"by model {wanted.model[:8]}. Choose another --out folder."
        )
    if found.aggregate != wanted.aggregate:
        kinds = {True: "recordings (--aggregate)", False: "windows"}
        raise ConfigError(
            f"{path} has predictions for {kinds[found.aggregate]}; expected those for "
            f"{kinds[wanted.aggregate]}. Choose another --out folder."
        )
    return info


def _address(file: Location) -> str:
    """Return the URI of a file, or its absolute path; links to files have their own."""
    if isinstance(file, TableFiles) and file.files[0].filesystem is not None:
        return file.files[0].name
    path = Path(str(file))
    return str(path.resolve() if path.is_dir() else path.parent.resolve() / path.name)


def _version(location: Location) -> str:
    """Return a text that differs if the size or the modification time of a file does.

    A folder with a sequence in each file counts as one file.
    """
    if isinstance(location, TableFiles) and (version := location.files[0].version) is not None:
        return version
    path = Path(str(location))
    files = filter(Path.is_file, sorted(path.rglob("*"))) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        found = file.stat()
        digest.update(f"{file.name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _name(address: str) -> str:
    """Return the name of the file of predictions for a file of sequences."""
    name = PurePosixPath(address).name.partition(".")[0][:_NAME_CHARACTERS]
    digest = hashlib.sha256(address.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{name}-{digest}{_SUFFIX}"


def model_fingerprint(path: str | Path) -> str:
    """Return the SHA-256 of the files of a model. Raises the errors of `download`."""
    folder = download(str(path)) if is_address(path) else Path(path)
    files = [folder] if folder.is_file() else [folder / CONFIG_FILE, folder / MODEL_FILE]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
