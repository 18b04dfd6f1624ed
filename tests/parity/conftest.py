"""Every parity test writes down how far off it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Attach a figure to the test's report, where `--junitxml` shows it.

    pytest's own record_property warns under junit_family xunit2, and a warning is an error here.
    """
    return lambda name, value: request.node.user_properties.append((name, value))
