"""Kernels of sandboxes that are paused: a full pause keeps their state, any other ends them; both work afterwards."""

import anyio
import pytest
from e2b import TimeoutException

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

WAIT = "import pathlib, time\npathlib.Path('begun').touch()\nwhile not pathlib.Path('go').exists(): time.sleep(0.005)\n"
LANGUAGES = pytest.mark.parametrize(
    ("language", "set_x", "show_x"),
    [
        pytest.param("python", "x = 41", "print(x + 1)", id="python"),
        pytest.param("bash", "x=42", "echo $x", id="bash"),
    ],
)


@LANGUAGES
async def test_state_of_a_kernel_is_there_after_a_pause(interpreter, language, set_x, show_x):
    context = await interpreter.create_code_context(language=language)
    await interpreter.run_code(set_x, context=context)
    await interpreter.pause()
    await interpreter.connect(timeout=60)
    execution = await interpreter.run_code(show_x, context=context)
    assert "".join(execution.logs.stdout).strip() == "42"


@LANGUAGES
async def test_kernel_begins_anew_after_a_pause_that_keeps_files_only(interpreter, language, set_x, show_x):
    await interpreter.run_code(set_x, language=language)
    await interpreter.files.write("kept", "yes")
    await interpreter.pause(mode="filesystem")
    await interpreter.connect(timeout=60)
    execution = await interpreter.run_code(show_x, language=language)
    assert "42" not in "".join(execution.logs.stdout)
    assert await interpreter.files.read("kept") == "yes"


async def test_cell_that_is_cut_by_a_pause_is_over_and_the_kernel_goes_on(interpreter, eventually):
    await interpreter.run_code("x = 41")
    ended = anyio.Event()

    async def run_cell():
        with pytest.raises(TimeoutException, match="request was in progress"):
            await interpreter.run_code(WAIT)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_cell)
        await eventually(lambda: interpreter.files.exists("begun"))
        await interpreter.pause()
        await ended.wait()
    await interpreter.connect(timeout=60)
    assert (await interpreter.run_code("x + 1")).text == "42"


async def test_fork_of_a_sandbox_has_a_kernel_of_its_own(interpreter):
    await interpreter.run_code("x = 1")
    [fork] = await interpreter.fork()
    assert (await fork.run_code("'x' in globals()")).text == "False"
    await fork.run_code("x = 2")
    assert (await interpreter.run_code("x")).text == "1"
