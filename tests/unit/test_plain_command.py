"""Which command lines need no shell, so that a warm process may run them."""

import pytest

from sandboxes.emulator.processes.warm_start import PLAIN_COMMAND


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("exec python -P -m workers --port 8080; true", id="two-commands"),
        pytest.param("exec python -P -m workers --port $PORT", id="variable"),
        pytest.param("exec python -P -m workers --port '8080'", id="quotes"),
        pytest.param("exec python -P -m workers --port 8080 > log", id="redirection"),
        pytest.param("PORT=1 exec python -P -m workers", id="assignment"),
        pytest.param("exec python -P -m workers --port 8080\n", id="line-end"),
        pytest.param("exec python -m workers --port 8080", id="directory-on-the-path"),
        pytest.param("exec /usr/bin/python -P -m workers", id="another-interpreter"),
        pytest.param("exec python -P -m workers ~/x", id="home"),
        pytest.param("exec python -P -m workers *.py", id="pattern"),
        pytest.param("exec python -P -m workers #", id="comment"),
    ],
)
def test_what_needs_a_shell_is_no_plain_command(command):
    assert PLAIN_COMMAND.fullmatch(command) is None
