"""Glue's errors in the platform's words: what passes, and what a person has to mend."""

from collections.abc import Generator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from cubic_ingestion.errors import CatalogUnavailableError, SettingsError

ALREADY_EXISTS, NOT_FOUND = "AlreadyExistsException", "EntityNotFoundException"
CHANGED_MEANWHILE = "ConcurrentModificationException"

_REFUSED = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
_UNKNOWN_CALLER = frozenset({"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException"})


def code_of(error: ClientError) -> str:
    """Return what kind of error Glue answered with."""
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def translated(database: str, what: str) -> Generator[None]:
    """Translate whatever boto3 raises.

    Args:
        database: Name of the database.
        what: Name of the table that is worked on.

    Raises:
        CatalogUnavailableError: It may pass.
        SettingsError: Permissions, credentials or the region are wrong.
    """
    try:
        yield
    except NoRegionError as error:
        raise SettingsError("CUBIC_CATALOG", "Glue needs to know the region.", "Set AWS_REGION.") from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        problem = f"There are no credentials for Glue ({error})."
        raise SettingsError("CUBIC_CATALOG", problem, "Give this process a role or a profile.") from error
    except ClientError as error:
        raise _translated(error, database, what) from error
    except BotoCoreError as error:
        raise CatalogUnavailableError(what, str(error)) from error


def is_silence(error: CatalogUnavailableError | SettingsError) -> bool:
    """Say whether nobody answered at all, so that other tables would wait as long for the same."""
    return isinstance(error.__cause__, BotoCoreError)


def _translated(error: ClientError, database: str, what: str) -> CatalogUnavailableError | SettingsError:
    code, message = code_of(error), error.response.get("Error", {}).get("Message", "")
    if code in _REFUSED:
        problem = f"AWS refuses {error.operation_name} in Glue database '{database}', for '{what}' ({message})."
        return SettingsError("CUBIC_GLUE_DATABASE", problem, "Permit it to this process's role: see docs/catalog.md.")
    if code in _UNKNOWN_CALLER:
        problem = f"AWS does not know these credentials ({code})."
        return SettingsError("CUBIC_CATALOG", problem, "Give this process a role or a profile.")
    return CatalogUnavailableError(what, f"{error.operation_name}: {code}: {message}")
