"""What to score: the files of sequences, and the files of their predictions."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bothways.data.readers.locations import Location, TableFiles, locate
from bothways.data.readers.registry import check_readable
from bothways.errors import ConfigError
from bothways.models.checkpoint import MODEL_FILE
from bothways.models.manifest import CONFIG_FILE
from bothways.models.scoring.part_file import PartInfo, read_info

SUFFIX = ".parquet"


@dataclass(frozen=True)
class Part:
    """A file of sequences, and the file of its predictions.

    Parameters
    ----------
    location : Path or TableFiles
        One file.
    out : Path
    model : str
        `model_fingerprint` of the model.
    follows : Path, optional
        The predictions for the file before it in the same table.
    """

    location: Location
    out: Path
    model: str
    follows: Path | None = None

    def finished(self) -> PartInfo | None:
        """Return what is known of the predictions if they are complete, otherwise None.

        Raises
        ------
        ConfigError
            If the file is not of this model and this file of sequences.
        """
        if not self.out.exists():
            return None
        info = read_info(self.out)
        if info is None or (info.model, info.source) != (self.model, str(self.location)):
            what = "another file" if info is None else f"{info.source} by model {info.model[:8]}"
            raise ConfigError(
                f"{self.out} has predictions for {what}; expected those for {self.location} by "
                f"model {self.model[:8]}. Choose another --out folder."
            )
        return info


def plan_parts(
    model: str | Path, sources: Iterable[str], out: Path, sequence: str | None = None
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
    sequence : str, optional
        The column of the sequence, see `locate`.

    Raises
    ------
    DataError
        If a file cannot be read.
    ConfigError
        If two files would have the same file of predictions.
    """
    fingerprint = model_fingerprint(model)
    parts: list[Part] = []
    for source in sources:
        location = locate(source, sequence)
        check_readable(location)
        files = [location] if isinstance(location, Path) else _each(location)
        previous = None
        for file in files:
            name = PurePosixPath(str(file)).name
            digest = hashlib.sha256(str(file).encode()).hexdigest()[:8]
            path = out / f"{name.partition('.')[0]}-{digest}{SUFFIX}"
            parts.append(Part(file, path, fingerprint, previous))
            previous = path
    (path, count), *_ = Counter(part.out for part in parts).most_common(1)
    if count > 1:
        again = next(part for part in parts if part.out == path)
        raise ConfigError(f"{again.location} is named twice; expected each file once. Omit one.")
    return parts


def _each(table: TableFiles) -> list[TableFiles]:
    return [TableFiles(file.name, (file,)) for file in table.files]


def model_fingerprint(path: str | Path) -> str:
    """Return the SHA-256 of the files of a model, or of its address on a hub."""
    path = Path(path)
    files = [path] if path.is_file() else [path / CONFIG_FILE, path / MODEL_FILE]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.exists() else str(path).encode())
    return digest.hexdigest()
