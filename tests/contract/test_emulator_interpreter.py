"""The code interpreter of the embedded server against the unmodified client: Python cells."""

from pathlib import Path

import aiohttp
import anyio
import pytest
from e2b import NotFoundException, SandboxException, TimeoutException
from e2b_code_interpreter import Sandbox

from sandboxes.emulator.interpreter import languages
from sandboxes.emulator.processes.process_tree import read_processes

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
UNTIL_FILE_EXISTS = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.005)\n"


def processes_of(sandbox):
    return [process.pid for process in read_processes() if is_of(sandbox, process.pid)]


def is_of(sandbox, pid):
    try:
        return f"E2B_SANDBOX_ID={sandbox.sandbox_id}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


async def test_nothing_runs_before_the_first_cell(interpreter):
    contexts = await interpreter.list_code_contexts()
    assert [(context.language, context.cwd) for context in contexts] == [("python", "/home/user")]
    assert processes_of(interpreter) == []


async def test_state_is_kept_between_cells_and_the_last_expression_is_the_result(interpreter):
    first = await interpreter.run_code("x = 20")
    second = await interpreter.run_code("x += 1\nx * 2")
    assert (first.results, first.text, first.error) == ([], None, None)
    assert (second.text, len(second.results)) == ("42", 1)
    assert (first.execution_count, second.execution_count) == (1, 2)


async def test_output_streams_while_the_cell_runs(interpreter):
    async def answer(message):
        if message.line == "first\n":
            await interpreter.files.write("go", "")

    code = f"import sys\nprint('first', flush=True)\n{UNTIL_FILE_EXISTS}print('second', file=sys.stderr)"
    with anyio.fail_after(20):
        execution = await interpreter.run_code(code, on_stdout=answer)
    assert (execution.logs.stdout, execution.logs.stderr) == (["first\n"], ["second\n"])


async def test_output_keeps_its_order_and_says_when_it_was_printed(interpreter):
    heard = []
    code = "for i in range(5000): print(i)"
    execution = await interpreter.run_code(code, on_stdout=heard.append)
    assert "".join(execution.logs.stdout) == "".join(f"{i}\n" for i in range(5000))
    stamps = [message.timestamp for message in heard]
    assert stamps == sorted(stamps)
    assert stamps[0] > 1_700_000_000_000_000_000  # nanoseconds


async def test_what_the_cell_starts_prints_into_the_cell(interpreter):
    execution = await interpreter.run_code("import os\nos.system('echo from a child')\n!echo from a magic")
    output = "".join(execution.logs.stdout)
    assert "from a child\n" in output
    assert "from a magic" in output


@pytest.mark.parametrize(
    ("code", "field", "value"),
    [
        pytest.param("display(HTML('<b>x</b>'))", "html", "<b>x</b>", id="html"),
        pytest.param("display(Markdown('# x'))", "markdown", "# x", id="markdown"),
        pytest.param("display(SVG('<svg/>'))", "svg", "<svg/>", id="svg"),
        pytest.param("display(Latex('$x$'))", "latex", "$x$", id="latex"),
        pytest.param("display(JSON({'a': [1]}))", "json", {"a": [1]}, id="json"),
        pytest.param("display(Javascript('f()'))", "javascript", "f()", id="javascript"),
        pytest.param(f"import base64\ndisplay(Image(base64.b64decode('{PNG}')))", "png", PNG, id="png"),
        pytest.param("display({'image/jpeg': 'abc'}, raw=True)", "jpeg", "abc", id="jpeg"),
        pytest.param("display({'application/pdf': 'abc'}, raw=True)", "pdf", "abc", id="pdf"),
        pytest.param("display({'text/mine': 'abc'}, raw=True)", "extra", {"text/mine": "abc"}, id="other"),
    ],
)
async def test_display_in_every_format(interpreter, code, field, value):
    execution = await interpreter.run_code(f"from IPython.display import *\n{code}")
    assert execution.error is None
    [result] = execution.results
    found = result[field]
    assert (found.strip() if isinstance(found, str) else found) == value
    assert not result.is_main_result


async def test_displays_come_before_the_result_and_both_reach_the_callback(interpreter):
    heard = []
    execution = await interpreter.run_code("display(1); display(2)\n'three'", on_result=heard.append)
    assert [(result.text, result.is_main_result) for result in heard] == [("1", False), ("2", False), ("three", True)]
    assert execution.text == "three"


async def test_data_frame_comes_as_table_and_as_columns(interpreter):
    code = "import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': [0.5, None], 't': pd.Timestamp('2026-01-02')})"
    [result] = (await interpreter.run_code(code)).results
    assert "<table" in result.html
    assert result.data == {"a": [1, 2], "b": [0.5, None], "t": ["2026-01-02T00:00:00"] * 2}
    assert {"text", "html", "data"} <= set(result.formats())


async def test_error_has_name_value_and_traceback_and_the_context_goes_on(interpreter):
    heard = []
    execution = await interpreter.run_code("y = 1\nprint('before')\n1 / 0", on_error=heard.append)
    assert (execution.error.name, execution.error.value) == ("ZeroDivisionError", "division by zero")
    assert "line 3" in execution.error.traceback
    assert heard == [execution.error]
    assert execution.logs.stdout == ["before\n"]
    assert (await interpreter.run_code("y")).text == "1"


async def test_question_to_the_user_is_an_error(interpreter):
    assert (await interpreter.run_code("input()")).error.name == "StdinNotImplementedError"


async def test_variables_of_one_execution_are_gone_afterwards(open_interpreter):
    interpreter = await open_interpreter(envs={"A": "sandbox"})
    read = "import os; print(os.environ.get('A'), os.environ.get('B'))"
    during = await interpreter.run_code(read, envs={"A": 'it\'s "call"', "B": "b\\n"})
    after = await interpreter.run_code(read)
    assert during.logs.stdout == ['it\'s "call" b\\n\n']
    assert after.logs.stdout == ["sandbox None\n"]
    assert after.execution_count == 2
    with pytest.raises(SandboxException, match=r"400.*cannot be set"):
        await interpreter.run_code(read, envs={"=": "x"})


async def test_kernel_is_a_process_of_its_sandbox(interpreter, find_pid):
    execution = await interpreter.run_code("import os; [os.getpid(), os.environ['E2B_SANDBOX_ID'], os.getcwd()]")
    pid, sandbox_id, directory = execution.results[0].json
    assert sandbox_id == interpreter.sandbox_id
    assert directory.endswith("/home/user")
    assert find_pid(interpreter, pid) in processes_of(interpreter)
    # As at E2B, it is not one of the commands that clients started.
    assert await interpreter.commands.list() == []


async def test_kill_of_the_sandbox_leaves_no_process(interpreter):
    code = "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True).pid"
    assert (await interpreter.run_code(code)).error is None
    await interpreter.run_code("echo", language="bash")
    assert len(processes_of(interpreter)) == 3
    await interpreter.kill()
    assert processes_of(interpreter) == []
    with pytest.raises(TimeoutException):
        await interpreter.run_code("1")


async def test_kill_of_the_sandbox_ends_a_running_cell(interpreter):
    async def kill(_message):
        await interpreter.kill()

    with pytest.raises(TimeoutException, match="killed"):
        await interpreter.run_code("print('on', flush=True)\nwhile True: pass", on_stdout=kill)


async def test_kernel_that_dies_is_an_error_and_comes_back_empty(interpreter):
    await interpreter.run_code("x = 1")
    execution = await interpreter.run_code("import os; os._exit(3)")
    assert (execution.error.name, execution.error.value) == ("ContextRestarting", "Context was restarted")
    assert execution.error.traceback == "exit status 3"
    again = await interpreter.run_code("x")
    assert (again.error.name, again.execution_count) == ("NameError", 1)


async def test_kernel_killed_between_cells_comes_back(interpreter, eventually, is_alive, find_pid):
    number = int((await interpreter.run_code("import os; os.getpid()")).text)
    pid = find_pid(interpreter, number)
    assert is_alive(pid)
    await interpreter.commands.run(f"kill -9 {number}")
    await eventually(lambda: not is_alive(pid))
    await eventually(lambda: answers(interpreter))


async def answers(interpreter):
    return (await interpreter.run_code("1")).text == "1"


async def test_client_that_hangs_up_interrupts_its_cell(interpreter):
    code = "import time\ntry:\n    print('on', flush=True)\n    time.sleep(1000)\nfinally:\n    ended = True"
    with anyio.CancelScope() as scope:
        await interpreter.run_code(code, on_stdout=lambda _message: scope.cancel())
    assert scope.cancelled_caught
    with anyio.fail_after(10):
        assert (await interpreter.run_code("ended")).text == "True"


async def test_sandboxes_are_isolated(open_interpreter):
    one, two = await open_interpreter(), await open_interpreter()
    await one.run_code("x = 1")
    assert (await two.run_code("x")).error.name == "NameError"
    await one.kill()
    assert (await two.run_code("2")).text == "2"


async def test_messages_that_are_none_harm_nobody(interpreter):
    code = """\
kernel = get_ipython().kernel
parent = kernel.get_parent()
for content in ({"name": 1}, {"data": 7}, {}):
    for kind in ("stream", "display_data", "error", "status", "no such kind"):
        kernel.session.send(kernel.iopub_socket, kind, content, parent=parent)
kernel.iopub_socket.send_multipart([b"no", b"message"])
"""
    assert (await interpreter.run_code(code)).error is None
    assert (await interpreter.run_code("'alive'")).text == "alive"


async def test_secured_sandbox_needs_the_traffic_token(emulator, open_interpreter):
    interpreter = await open_interpreter(network={"allow_public_traffic": False})
    assert (await interpreter.run_code("1")).text == "1"
    assert len(await interpreter.list_code_contexts()) == 1
    headers = {"E2b-Sandbox-Id": interpreter.sandbox_id, "E2b-Sandbox-Port": "49999"}
    async with aiohttp.ClientSession(emulator.url, headers=headers) as session:
        async with session.get("/contexts") as answer:
            assert answer.status == 403
        session.headers["E2b-Traffic-Access-Token"] = interpreter.traffic_access_token
        async with session.get("/health") as answer:
            assert (answer.status, await answer.json()) == (200, "OK")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        pytest.param({"code": "1", "language": "python", "context_id": "x"}, 400, "Only one of", id="two places"),
        pytest.param({"code": "1", "context_id": "nobody"}, 404, "Context nobody not found", id="no such context"),
        pytest.param({"language": "python"}, 422, "missing required field `code`", id="no code"),
    ],
)
async def test_refusals_are_plain_text(emulator, interpreter, body, status, words):
    headers = {"E2b-Sandbox-Id": interpreter.sandbox_id, "E2b-Sandbox-Port": "49999"}
    async with (
        aiohttp.ClientSession(emulator.url, headers=headers) as session,
        session.post("/execute", json=body) as answer,
    ):
        assert answer.status == status
        assert words in await answer.text()


async def test_other_templates_have_no_interpreter(open_interpreter):
    interpreter = await open_interpreter(template="base")
    with pytest.raises(TimeoutException, match="port is not open"):
        await interpreter.run_code("1")


async def test_missing_packages_are_named_with_the_cure(interpreter, monkeypatch):
    monkeypatch.setattr(languages, "PYTHON_PACKAGES", ("ipykernel", "not_installed_here"))
    with pytest.raises(SandboxException, match=r"501.*needs not_installed_here: pip install ipykernel"):
        await interpreter.run_code("1")
    assert (await interpreter.run_code("echo 1", language="bash")).logs.stdout == ["1\n"]


async def test_language_that_does_not_run_here_is_refused(interpreter):
    with pytest.raises(SandboxException, match=r"501.*'js' does not run.*python and bash"):
        await interpreter.run_code("1", language="js")


async def test_synchronous_client(emulator):
    def use():
        with Sandbox.create(api_key=emulator.api_key, api_url=emulator.url, sandbox_url=emulator.url) as sandbox:
            sandbox.run_code("x = 'kept'")
            heard = []
            execution = sandbox.run_code("print(x)\nx", on_stdout=lambda message: heard.append(message.line))
            assert (heard, execution.text) == (["kept\n"], "kept")
            assert sandbox.run_code("1 / 0").error.name == "ZeroDivisionError"
            context = sandbox.create_code_context(cwd="/tmp")
            assert sandbox.run_code("x", context=context).error.name == "NameError"
            sandbox.restart_code_context(context)
            sandbox.remove_code_context(context)
            with pytest.raises(NotFoundException):
                sandbox.run_code("1", context=context)
            assert sandbox.run_code("echo $A", language="bash", envs={"A": "a"}).logs.stdout == ["a\n"]
            sandbox.kill()

    await anyio.to_thread.run_sync(use)
