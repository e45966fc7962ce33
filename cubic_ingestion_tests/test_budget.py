"""The budget of a test's processor time."""

import subprocess
import sys
import time

import pytest

from cubic_ingestion_tests import budget


def call(item: pytest.Item, budget_seconds: float) -> None:
    """Run the budget's hook around a call that takes a tenth of a second of this process and another of its child."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "CPU_SECONDS", budget_seconds)
        hook = budget.pytest_runtest_call(item)
        next(hook)
        busy = "import time\nwhile time.process_time() < 0.1: pass"
        subprocess.run([sys.executable, "-c", busy], check=True)
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
        with pytest.raises(StopIteration):
            hook.send(None)


def test_a_test_that_takes_long_fails_and_its_children_count(request: pytest.FixtureRequest) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"\d s of processor time: at most 0.15 without the mark 'slow'"):
        call(request.node, 0.15)


def test_a_test_within_the_budget_passes(request: pytest.FixtureRequest) -> None:
    call(request.node, budget.CPU_SECONDS)


@pytest.mark.slow
def test_a_slow_test_may_take_longer(request: pytest.FixtureRequest) -> None:
    call(request.node, 0.15)
