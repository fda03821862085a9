"""Counting of results for test programs in Python: `with step("what"):` passes or fails one check, `finish()` prints the line
`N passed, M failed` that the suites read. It runs nothing by itself."""
import contextlib
import sys
import time
import traceback

_counts = {"passed": 0, "failed": 0}
results = {}  # name of the step -> "ok", "failed" or "not offered"


class CheckFailed(Exception):
    pass


class NotOffered(Exception):
    """Raised inside a step when the thing under test has no such function: neither passed nor failed, but said."""


def expect(condition, message):
    if not condition:
        raise CheckFailed(message)


def expect_equal(got, wanted, what):
    if got != wanted:
        raise CheckFailed(f"{what}: got {shorten(got)}, wanted {shorten(wanted)}")


def shorten(value, limit=600):
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + f"... ({len(text)} characters)"


def wait_until(condition, seconds, what):
    """Polls until condition() is true; its value is returned. Fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise CheckFailed(f"not within {seconds} s: {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def step(name, fatal=False):
    """One counted check. A failure is printed; what follows goes on, unless `fatal`."""
    begin = time.monotonic()
    try:
        yield
    except NotOffered as reason:
        results[name] = "not offered"
        print(f"-      {name}: not offered ({reason})", flush=True)
    except Exception as error:  # every surprise of a client library is a failed check, not the end of the run
        _counts["failed"] += 1
        results[name] = "failed"
        print(f"FAILED {name} ({time.monotonic() - begin:.1f} s): {error}", flush=True)
        if not isinstance(error, CheckFailed):
            traceback.print_exc(file=sys.stdout)
        if fatal:
            finish()
    else:
        _counts["passed"] += 1
        results[name] = "ok"
        print(f"ok     {name} ({time.monotonic() - begin:.1f} s)", flush=True)


def finish():
    print(f"{_counts['passed']} passed, {_counts['failed']} failed", flush=True)
    sys.exit(1 if _counts["failed"] else 0)
