"""What a template's command lines become where there are no containers: pure text in, text out."""

import pytest

from sandboxes.emulator.templates.build_commands import (
    explain_refusal,
    split_commands,
    translate_paths,
    translate_pip,
    translate_ready_check,
)
from sandboxes.emulator.templates.build_log import LINE_CHARACTERS_MAX, LineSplitter
from sandboxes.emulator.templates.build_steps import expand_variables

ROOT = "${E2B_SANDBOX_ROOT}"
OWN = frozenset({"app"})

TRANSLATED = [
    pytest.param("ls /app /usr", f'ls "{ROOT}"/app /usr', id="own and machine's"),
    pytest.param("cat '/home/user/a b'", f"cat ''\"{ROOT}\"'/home/user/a b'", id="single quotes"),
    pytest.param('echo "in /tmp/x"', f'echo "in {ROOT}/tmp/x"', id="double quotes"),
    pytest.param("X=/app:/tmp/y run", f'X="{ROOT}"/app:"{ROOT}"/tmp/y run', id="assignment with several"),
    pytest.param("cat </tmp/x >/tmp/y", f'cat </tmp/x >"{ROOT}"/tmp/y', id="redirections"),
    pytest.param("echo '</app>'", "echo '</app>'", id="a tag is no path"),
    pytest.param("curl https://host/app/x", "curl https://host/app/x", id="address"),
    pytest.param("echo $HOME/tmp ./app ~/tmp ../tmp", "echo $HOME/tmp ./app ~/tmp ../tmp", id="relative"),
    pytest.param("ls /apple /home/users", "ls /apple /home/users", id="longer names"),
    pytest.param("sed s/app/x/ f", "sed s/app/x/ f", id="pattern"),
]


@pytest.mark.parametrize(("command", "expected"), TRANSLATED)
def test_own_paths_lead_below_the_root_and_nothing_else_changes(command, expected):
    assert translate_paths(command, OWN) == expected


REFUSED = [
    pytest.param("apt-get update && apt-get install -y vim", "apt-get", id="apt-get"),
    pytest.param("DEBIAN_FRONTEND=noninteractive apt install x", "apt", id="behind a variable"),
    pytest.param("true; exec sudo ls", "sudo", id="sudo"),
    pytest.param("if true; then dpkg -i x; fi", "dpkg", id="in a condition"),
    pytest.param("/usr/bin/apt update", "apt", id="by its path"),
    pytest.param("rm -rf /var/lib/apt", "rm would change /var/lib/apt", id="rm"),
    pytest.param("mkdir /home/user/../../etc/x", "mkdir", id="way out"),
    pytest.param("cp a /usr/bin/a", "cp would change /usr/bin/a", id="target of cp"),
    pytest.param("uv pip install x", "uv", id="uv"),
]


@pytest.mark.parametrize(("command", "said"), REFUSED)
def test_command_that_changes_the_machine_is_refused(command, said):
    assert said in (explain_refusal(command, OWN) or "")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("echo 'apt-get install'", id="only a word"),
        pytest.param("cp /usr/bin/env env", id="source of cp"),
        pytest.param("rm -rf /app/x /tmp/y /home/user/z", id="own files"),
        pytest.param("echo x > /dev/null", id="redirection"),
        pytest.param("pip install x", id="pip"),
        pytest.param("echo 'unfinished", id="no shell could read it"),
    ],
)
def test_ordinary_commands_are_not_refused(command):
    assert explain_refusal(command, OWN) is None


def test_simple_commands_are_found_in_a_line():
    line = "A=1 exec one x | two >f 2>&1 && (three; four)"
    assert list(split_commands(line)) == [["one", "x"], ["two", "2"], ["three"], ["four"]]


def test_pip_s_user_option_gives_way_to_the_directory_of_packages():
    assert translate_pip("pip install --user x && pip3 install -q --user y") == "pip install x && pip3 install -q y"


def test_the_sdk_s_check_of_a_port_looks_at_the_sandbox_s_own_address():
    adapted = translate_ready_check('[ -n "$(ss -Htuln sport = :8080)" ]')
    assert adapted == '(exec 3<>"/dev/tcp/$E2B_SANDBOX_IP/8080") 2>/dev/null'
    assert translate_ready_check("curl localhost:8080") == "curl localhost:8080"


def test_variables_are_replaced_in_their_order():
    given = [("B", "${A}/b"), ("C", "$B:\\$B:$NONE"), ("PATH", "$HOME/bin:$PATH")]
    found = expand_variables({"A": "a", "PATH": "/bin"}, given)
    assert found == {"A": "a", "B": "a/b", "C": "a/b:$B:", "PATH": "/home/user/bin:/bin"}


def test_lines_are_put_together_from_any_pieces():
    splitter = LineSplitter()
    pieces = [b"a\r\nb", b"c\n\xc3", b"\xa4\n", b"x" * (LINE_CHARACTERS_MAX + 1)]
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    assert lines == ["a", "bc", "ä", "x" * LINE_CHARACTERS_MAX]
    assert splitter.finish() == ["x"]
