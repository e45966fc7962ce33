"""What S3's refusals mean here: what may pass, what a person has to permit, and what is simply not there."""

from collections.abc import Generator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, PartialCredentialsError

from cubic_ingestion.errors import SettingsError, StoreUnavailableError
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError

_NOT_PERMITTED = {
    "403",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AllAccessDisabled",
    "KMS.DisabledException",
}
_MISSING = {"404", "NoSuchKey", "NotFound"}
_CHANGED = {"412", "PreconditionFailed", "ConditionalRequestConflict"}
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, NoRegionError)


@contextmanager
def translated(bucket: str, key: str) -> Generator[None]:
    """Turn what boto3 raises into the platform's errors.

    Raises:
        ObjectMissingError: There is no such object.
        ObjectChangedError: It is another version than the one asked for.
        SettingsError: The bucket is not there, or nobody here may do this.
        StoreUnavailableError: Anything else; it may pass.
    """
    try:
        yield
    except ClientError as error:
        raise _meaning(error, bucket, key) from error
    except _NO_CREDENTIALS as error:
        problem = f"AWS has no credentials or region for bucket '{bucket}' ({error})."
        raise SettingsError("AWS", problem, "Give them by AWS's own chain: environment, profile or role.") from error
    except BotoCoreError as error:
        raise StoreUnavailableError(key, str(error)) from error


def _meaning(error: ClientError, bucket: str, key: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _MISSING:
        return ObjectMissingError(key)
    if code in _CHANGED:
        return ObjectChangedError(key)
    if code == "NoSuchBucket":
        return SettingsError("Bucket URL", f"There is no bucket '{bucket}'.", "Create it, or name another one.")
    if code in _NOT_PERMITTED:
        problem = f"{error.operation_name} is not permitted on '{key}' in bucket '{bucket}' ({code})."
        return SettingsError("AWS", problem, "Permit it to the role of this process; deploy/iam says what each needs.")
    return StoreUnavailableError(key, f"{error.operation_name}: {code}")
