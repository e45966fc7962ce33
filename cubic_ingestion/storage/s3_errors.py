"""What S3's refusals mean here: what may pass, what a person has to permit, and what is simply not there."""

from collections.abc import Generator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, PartialCredentialsError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from cubic_ingestion.errors import ObjectDeniedError, ObjectFrozenError, SettingsError, StoreUnavailableError
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError

_NOT_WHO_WE_ARE = {"InvalidAccessKeyId", "SignatureDoesNotMatch"}
_NOT_PERMITTED = {"403", "AccessDenied", "AllAccessDisabled", "KMS.DisabledException"}
_OF_THE_KEY = {
    **dict.fromkeys(("404", "NoSuchKey", "NotFound"), ObjectMissingError),
    **dict.fromkeys(("412", "PreconditionFailed", "ConditionalRequestConflict"), ObjectChangedError),
}
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, NoRegionError)
_FROZEN = "InvalidObjectState"
_LISTING = "ListObjectsV2"
_NO_ANSWER = (BotoCoreError, ResponseParserError, HTTPError, ValueError)
"""What boto3 raises for a lost answer, and for one that S3 would not give.

botocore reads the body of an error outside its own ``try``, so that urllib3's errors pass. It raises ``ValueError`` for
a time or a number that is none.
"""


@contextmanager
def translated(bucket: str, key: str) -> Generator[None]:
    """Turn what boto3 raises into the platform's errors.

    The block must hold the request and the reading of its answer's fields, and nothing that is the caller's.

    Raises:
        ObjectMissingError: There is no such object.
        ObjectChangedError: It is another version than the one asked for.
        ObjectFrozenError: It has to be restored from an archive storage class.
        ObjectDeniedError: Nobody here may do this with this object.
        SettingsError: The bucket is not there, or nobody here may list it.
        StoreUnavailableError: Anything else; it may pass.
    """
    try:
        yield
    except ClientError as error:
        raise _meaning(error, bucket, key) from error
    except _NO_CREDENTIALS as error:
        problem = f"AWS has no credentials or region for bucket '{bucket}' ({error})."
        raise SettingsError("AWS", problem, "Give them by AWS's own chain: environment, profile or role.") from error
    except KeyError as error:
        raise StoreUnavailableError(key, f"the answer has no {error}") from error
    except _NO_ANSWER as error:
        raise StoreUnavailableError(key, str(error) or type(error).__name__) from error


def _meaning(error: ClientError, bucket: str, key: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    action = error.operation_name
    if kind := _OF_THE_KEY.get(code):
        return kind(key)
    if code == "NoSuchBucket":
        return SettingsError("Bucket URL", f"There is no bucket '{bucket}'.", "Create it, or name another one.")
    if code == _FROZEN:
        return ObjectFrozenError(key, bucket)
    if code in _NOT_PERMITTED and action != _LISTING:
        return ObjectDeniedError(key, action, bucket, code)
    if code in _NOT_PERMITTED | _NOT_WHO_WE_ARE:
        problem = f"{action} is not permitted on '{key}' in bucket '{bucket}' ({code})."
        return SettingsError("AWS", problem, "Permit it to the role of this process; deploy/iam says what each needs.")
    return StoreUnavailableError(key, f"{action}: {code}")
