"""Finding jobs by `file.py:name`. Job files are code of the user who runs them; nothing is pickled."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

from checkrow.errors import CheckrowError, ConfigError
from checkrow.jobs.job import Job


def load_job(reference: str) -> Job:
    """Returns the job a reference names: `path/to/file.py:job`, where job is a variable or a job's name.

    Raises
    ------
    ConfigError
        If there is no such file or job, or the file does not import.
    """
    path, sign, name = reference.rpartition(":")
    if not sign or not path.endswith(".py"):
        raise ConfigError(f"{reference!r} does not name a job; write it as path/to/file.py:job")
    jobs = jobs_in(Path(path))
    found = jobs.get(name)
    if found is None:
        raise ConfigError(f"{path} has no job {name!r}; it has: {', '.join(sorted(jobs)) or 'none'}")
    return found


class _Source(SourceFileLoader):
    """Loads a file's text, never its bytecode, which Python takes for current when a file is edited within a second."""

    def get_code(self, fullname: str) -> CodeType:
        """Returns the code of the text that stands in the file now."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def jobs_in(path: Path) -> dict[str, Job]:
    """Returns the jobs of a file by variable and by name."""
    resolved = path.expanduser().resolve()
    if not resolved.is_file():
        raise ConfigError(f"there is no file {str(path)!r}")
    module_name = f"checkrow_job_{resolved.stem}"
    spec = importlib.util.spec_from_file_location(module_name, resolved, loader=_Source(module_name, str(resolved)))
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    # A job file imports its neighbours as a script would.
    sys.path.insert(0, str(resolved.parent))
    try:
        spec.loader.exec_module(module)
    except CheckrowError:
        raise
    except Exception as error:
        raise ConfigError(f"{path} does not import: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(resolved.parent))
    jobs = [(n, v) for n, v in vars(module).items() if isinstance(v, Job)]
    return {**{j.name: j for _, j in jobs}, **dict(jobs)}
