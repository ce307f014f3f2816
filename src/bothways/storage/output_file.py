"""The file that an export writes."""

from pathlib import Path

from bothways.errors import ConfigError


def check_output_file(path: Path, *, force: bool) -> None:
    """Raise an error if a file cannot be written, before any work is done for it.

    Parameters
    ----------
    path : Path
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ConfigError
        If the file exists, is not a regular file, or its folder does not exist.
    """
    if path.is_dir():
        raise ConfigError(f"output {path} is a folder; expected the name of a file. Add a name.")
    if path.exists() and not path.is_file():
        raise ConfigError(
            f"output {path} is not a regular file; expected one, or a new name. Choose another."
        )
    if path.exists() and not force:
        raise ConfigError(
            f"output file {path} exists; expected a new one. Choose another name, or replace it "
            "with --force (in Python: force=True)."
        )
    if not path.parent.is_dir():
        raise ConfigError(
            f"output file {path} is in a folder that does not exist; expected an existing one. "
            "Create the folder."
        )
