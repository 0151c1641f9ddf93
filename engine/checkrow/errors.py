"""Every error checkrow raises on purpose, by situation.

```
CheckrowError
├── ConfigError              the call itself is wrong: a missing path, an unusable target
├── PlanError                the work cannot be planned as written
│   ├── SchemaError          a column is missing, ambiguous or of another type
│   └── KernelTypeError      a kernel does not compile for its columns
├── KernelRowError           a kernel raised on a row
├── ArithmeticRangeError     an exact result does not fit its type
├── MemoryLimitError         the work does not fit the memory it was given
├── CheckFailed              a blocking check failed
├── StorageError             a store refused or lost something
│   ├── CommitConflict       another commit won the race
│   ├── CorruptControlFile   a control file is torn, edited or of a newer version
│   ├── CorruptInput         a data file cannot be read
│   ├── InputChanged         a source file changed under the run
│   ├── StoreCapabilityError the store cannot do what was asked
│   ├── PermissionRefused    no permission
│   └── DiskFull             no space left
├── ResumeMismatch           the unfinished run had another plan, or input that changed
├── AlreadyRunning           the same instance is running now
├── TaskError                a task failed for a reason of its own
│   └── TaskTimeout          a task ran longer than it may; resumable
├── RunInterrupted           stopped at a task boundary; resumable
└── ClusterError             a cluster is lost or unusable
```

`exit_code` is what the command line exits with; `retryable` says whether the same call may succeed later unchanged.
"""

from __future__ import annotations


class CheckrowError(Exception):
    """Base of all errors raised on purpose; its text is one or two sentences for the user."""

    exit_code = 1
    retryable = False


class ConfigError(CheckrowError):
    """The call itself is wrong: a missing path, an unusable target, an unknown option."""

    exit_code = 2


class PlanError(CheckrowError):
    """The work cannot be planned as written."""

    exit_code = 2


class SchemaError(PlanError):
    """A column is missing, ambiguous or of another type."""


class KernelTypeError(PlanError):
    """A kernel does not compile for the columns it is given."""


class KernelRowError(CheckrowError):
    """A kernel raised on a row; names kernel, user file and line, data file and row."""


class ArithmeticRangeError(CheckrowError):
    """An exact result does not fit its type; built-in arithmetic never wraps."""


class MemoryLimitError(CheckrowError):
    """The work does not fit the memory it was given."""

    exit_code = 75


class CheckFailed(CheckrowError):
    """A blocking check failed; nothing was committed."""

    exit_code = 3


class StorageError(CheckrowError):
    """A store refused or lost something; nothing was deleted."""


class CommitConflict(StorageError):
    """Another commit won the race; names the winner."""

    exit_code = 75
    retryable = True


class CorruptControlFile(StorageError):
    """A control file is torn, edited, foreign or written by a newer version."""


class CorruptInput(StorageError):
    """A data file cannot be read."""


class InputChanged(StorageError):
    """A source file changed or vanished under the run."""


class StoreCapabilityError(StorageError):
    """The store cannot do what was asked of it."""

    exit_code = 2


class PermissionRefused(StorageError):
    """The operating system or the store refused access."""


class DiskFull(StorageError):
    """No space is left where the run writes; finished tasks are kept, so a resume continues."""

    exit_code = 75
    retryable = True


class ResumeMismatch(CheckrowError):
    """The unfinished run of this instance had another plan, or input that changed; says what differs."""

    exit_code = 6


class AlreadyRunning(CheckrowError):
    """The same instance is running now."""

    exit_code = 5
    retryable = True


class TaskError(CheckrowError):
    """A task failed for a reason of its own; names stage and task."""


class TaskTimeout(TaskError):
    """A task ran longer than its limit; finished tasks are kept, so a resume continues."""

    exit_code = 75
    retryable = True


class RunInterrupted(CheckrowError):
    """The run stopped at a task boundary and can be resumed."""

    exit_code = 130
    retryable = True


class ClusterError(CheckrowError):
    """A cluster is lost, unreachable or unusable."""

    exit_code = 75
    retryable = True
