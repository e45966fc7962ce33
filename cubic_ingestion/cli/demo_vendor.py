"""``cubic demo --dmap``: the fake vendor in the foreground, to see a fetch go its way."""

import signal
import time
from contextlib import suppress
from datetime import UTC, datetime

import typer

from cubic_ingestion.cli.output import say
from cubic_ingestion.fake_vendor import FakeVendor, SeenRequest, restate_sample, sample_feed
from cubic_ingestion.fake_vendor.misbehaviours import link_expired, too_many_requests

_PUBLIC_API_KEY = "demo-public"
_CONTROLLED_API_KEY = "demo-controlled"
_TROUBLE_EVERY_SECONDS = 60


def serve(port: int, *, honest: bool) -> None:
    """Serve the sample feed until Ctrl-C or SIGTERM."""
    listening = _vendor(port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), listening as vendor:
        sample_feed(vendor)
        _invite(vendor)
        restatement = 1
        while True:
            if not honest:
                make_trouble(vendor)
            time.sleep(_TROUBLE_EVERY_SECONDS)
            if not honest:
                restatement += 1
                _say("restated", restate_sample(vendor, restatement, restatement, _now()))


def make_trouble(vendor: FakeVendor) -> None:
    """Refuse the next list, and let the next link expire; what was armed before and did not happen yet, only once."""
    for armed, misbehaviour in ((vendor.lists, too_many_requests(1)), (vendor.files, link_expired())):
        armed.disarm()
        armed.arm(misbehaviour)


def _vendor(port: int) -> FakeVendor:
    try:
        return FakeVendor(
            public_api_key=_PUBLIC_API_KEY,
            controlled_api_key=_CONTROLLED_API_KEY,
            port=port,
            on_request=_show,
        )
    except OSError as error:
        raise typer.BadParameter(f"cannot listen there ({error.strerror}); name another --port") from error


def _invite(vendor: FakeVendor) -> None:
    say(
        "A stand-in of the vendor's DMAP API listens; Ctrl-C ends it. Paste in another shell:",
        "",
        f"CUBIC_DMAP_BASE_URL={vendor.url} CUBIC_DMAP_PUBLIC_API_KEY={_PUBLIC_API_KEY} "
        f"CUBIC_DMAP_CONTROLLED_API_KEY={_CONTROLLED_API_KEY} cubic dmap fetch",
        "",
    )


def _show(request: SeenRequest) -> None:
    """Print a request; not a link's query, which has its signature."""
    asked = "" if request.is_download else "  ".join(f"{name}={value}" for name, value in request.parameters.items())
    _say(str(request.status), f"{request.method} {request.path}  {asked}".rstrip())


def _say(what: str, about: str) -> None:
    say(f"{time.strftime('%H:%M:%S')}  {what:8}  {about}")


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat()
