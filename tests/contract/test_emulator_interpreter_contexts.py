"""The code interpreter of the embedded server against the unmodified client: contexts, and bash cells."""

import anyio
import pytest
from e2b import NotFoundException, SandboxException

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

UNTIL_FILE_EXISTS = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.005)\n"


async def run_bash(interpreter, code, **options):
    return await interpreter.run_code(code, language="bash", **options)


async def test_contexts_have_states_of_their_own(interpreter):
    context = await interpreter.create_code_context()
    await interpreter.run_code("x = 1")
    await interpreter.run_code("x = 2", context=context)
    assert (await interpreter.run_code("x")).text == "1"
    assert (await interpreter.run_code("x", context=context)).text == "2"


async def test_contexts_are_listed_in_the_order_in_which_they_were_made(interpreter):
    made = [await interpreter.create_code_context(language=language) for language in ("python", "bash", "Python ")]
    default, *listed = await interpreter.list_code_contexts()
    assert [context.id for context in listed] == [context.id for context in made]
    assert [context.language for context in (default, *listed)] == ["python", "python", "bash", "python"]


async def test_default_context_has_an_id_too(interpreter):
    await interpreter.run_code("x = 5")
    [context] = await interpreter.list_code_contexts()
    assert (await interpreter.run_code("x", context=context)).text == "5"
    assert (await interpreter.run_code("x", language="python")).text == "5"


@pytest.mark.parametrize("language", ["python", "bash"])
async def test_context_works_in_its_directory(interpreter, language):
    await interpreter.files.make_dir("project")
    context = await interpreter.create_code_context(cwd="/home/user/project", language=language)
    assert (context.cwd, context.language) == ("/home/user/project", language)
    execution = await interpreter.run_code("!pwd" if language == "python" else "pwd", context=context)
    assert execution.logs.stdout[0].strip().endswith("/home/user/project")


async def test_directory_that_does_not_exist_makes_no_context(interpreter):
    with pytest.raises(SandboxException, match=r"400.*make it first"):
        await interpreter.create_code_context(cwd="/nowhere", language="bash")
    assert [context.cwd for context in await interpreter.list_code_contexts()] == ["/home/user"]


@pytest.mark.parametrize(
    ("language", "set_x", "show_x"),
    [
        pytest.param("python", "x = 1", "print(globals().get('x', ''))", id="python"),
        pytest.param("bash", "x=1", "echo $x", id="bash"),
    ],
)
async def test_restart_clears_the_state_and_keeps_the_context(interpreter, language, set_x, show_x):
    context = await interpreter.create_code_context(language=language)
    await interpreter.run_code(set_x, context=context)
    await interpreter.restart_code_context(context)
    execution = await interpreter.run_code(show_x, context=context)
    assert (execution.logs.stdout, execution.execution_count) == (["\n"], 1)


async def test_restart_ends_a_running_cell_and_what_it_started(interpreter, is_alive, find_pid):
    context = await interpreter.create_code_context()
    started = []

    async def restart(message):
        started.append(find_pid(interpreter, int(message.line)))
        await interpreter.restart_code_context(context)

    code = "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\nprint(child.pid, flush=True)\nchild.wait()"
    with anyio.fail_after(20):
        execution = await interpreter.run_code(code, context=context, on_stdout=restart)
    assert execution.error.name == "UnexpectedEndOfExecution"
    assert not is_alive(started[0])


async def test_removed_context_is_gone_with_its_process(interpreter, is_alive, find_pid):
    context = await interpreter.create_code_context()
    number = int((await interpreter.run_code("import os; os.getpid()", context=context)).text)
    pid = find_pid(interpreter, number)
    assert is_alive(pid)
    await interpreter.remove_code_context(context)
    assert not is_alive(pid)
    assert ids_of(await interpreter.list_code_contexts()).isdisjoint({context.id})
    with pytest.raises(NotFoundException, match="not found"):
        await interpreter.run_code("1", context=context)
    with pytest.raises(NotFoundException, match="not found"):
        await interpreter.remove_code_context(context)
    with pytest.raises(NotFoundException, match="not found"):
        await interpreter.restart_code_context(context)


def ids_of(contexts):
    return {context.id for context in contexts}


async def test_cells_of_one_context_run_one_after_the_other_and_of_two_side_by_side(interpreter, eventually):
    other = await interpreter.create_code_context()
    await interpreter.run_code("log = []")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(interpreter.run_code, f"log.append(1)\nopen('on', 'w')\n{UNTIL_FILE_EXISTS}log.append(2)")
        await eventually(lambda: interpreter.files.exists("on"))
        for number in (3, 4):
            tasks.start_soon(interpreter.run_code, f"log.append({number})")
        # The first is held up by a file that only a cell of the other context makes.
        await interpreter.run_code("open('go', 'w')", context=other)
    text = (await interpreter.run_code("log")).text
    assert text in ("[1, 2, 3, 4]", "[1, 2, 4, 3]")


async def test_number_of_contexts_is_bounded(interpreter, monkeypatch):
    monkeypatch.setattr("sandboxes.emulator.interpreter.sandbox_contexts.CONTEXTS_MAX", 2)
    await interpreter.create_code_context(language="bash")
    with pytest.raises(SandboxException, match="remove one"):
        await interpreter.create_code_context(language="bash")


async def test_bash_keeps_variables_functions_and_the_directory(interpreter):
    await run_bash(interpreter, "x='a  b'\ngreet() {\n  echo \"hello $1!\"\n}\nmkdir -p deep && cd deep")
    execution = await run_bash(interpreter, 'echo "$x"; greet you; pwd')
    assert "".join(execution.logs.stdout).startswith("a  b\nhello you!\n")
    assert "".join(execution.logs.stdout).endswith("/home/user/deep\n")
    assert (execution.error, execution.results, execution.execution_count) == (None, [], 2)


async def test_bash_streams_both_outputs_while_the_cell_runs(interpreter):
    async def answer(message):
        if message.line == "first\n":
            await interpreter.files.write("go", "")

    code = "echo first; until [ -e go ]; do sleep 0.01; done; echo second >&2"
    with anyio.fail_after(20):
        execution = await run_bash(interpreter, code, on_stdout=answer)
    assert (execution.logs.stdout, execution.logs.stderr) == (["first\n"], ["second\n"])


async def test_large_output_of_bash_arrives_whole_and_in_order(interpreter):
    execution = await run_bash(interpreter, "seq 1 100000")
    assert "".join(execution.logs.stdout) == "".join(f"{n}\n" for n in range(1, 100_001))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        pytest.param("echo out; false", "1", id="command"),
        pytest.param("(exit 42)", "42", id="subshell"),
        pytest.param("no-such-command", "127", id="unknown command"),
        pytest.param("if then", "2", id="syntax"),
        pytest.param("echo 'never closed", "2", id="quote"),
    ],
)
async def test_bash_failure_is_an_error_with_the_exit_code(interpreter, code, status):
    await run_bash(interpreter, "x=kept")
    execution = await run_bash(interpreter, code)
    assert (execution.error.name, execution.error.value) == ("ExitCode", status)
    assert (await run_bash(interpreter, "echo $x")).logs.stdout == ["kept\n"]


async def test_bash_that_exits_is_an_error_and_comes_back_empty(interpreter):
    await run_bash(interpreter, "x=1")
    with anyio.fail_after(20):
        # What it leaves running holds its output open.
        execution = await run_bash(interpreter, "sleep 1000 & echo bye; exit 4")
    assert execution.logs.stdout == ["bye\n"]
    assert (execution.error.name, execution.error.value) == ("ContextRestarting", "Context was restarted")
    assert (await run_bash(interpreter, "echo [$x]")).logs.stdout == ["[]\n"]


async def test_bash_variables_of_one_execution(open_interpreter):
    interpreter = await open_interpreter(envs={"A": "sandbox"})
    during = await run_bash(interpreter, 'echo "$A $B"', envs={"A": "it's", "B": 'two\nlines "\\'})
    after = await run_bash(interpreter, 'echo "$A [$B]"')
    assert "".join(during.logs.stdout) == "it's two\nlines \"\\\n"
    assert after.logs.stdout == ["sandbox []\n"]


async def test_bash_cell_cannot_swallow_what_follows_it(interpreter):
    with anyio.fail_after(20):
        read = await run_bash(interpreter, "cat; read x; echo read [$x]; exec >hidden; echo unseen")
        after = await run_bash(interpreter, "cat hidden >&2")
    assert read.logs.stdout == ["read []\n"]
    assert after.logs.stderr == ["unseen\n"]


async def test_bash_client_that_hangs_up_interrupts_its_cell_and_the_state_is_kept(interpreter):
    await run_bash(interpreter, "x=kept")
    with anyio.CancelScope() as scope:
        await run_bash(interpreter, "echo on; sleep 1000; echo never", on_stdout=lambda _message: scope.cancel())
    with anyio.fail_after(10):
        execution = await run_bash(interpreter, "echo $x")
    assert execution.logs.stdout == ["kept\n"]
