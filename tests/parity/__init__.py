"""The same command tells the same on both backends: a table of commands, each run on both."""

import pytest

pytest.register_assert_rewrite("tests.parity.comparing")
