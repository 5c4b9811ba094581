"""Templates of the embedded server, built by the unmodified SDK's builder."""

import functools
import re
import secrets
import zipfile
from pathlib import Path

import aiohttp
import anyio
import pytest
from e2b import BuildException, RateLimitException, SandboxException, wait_for_file, wait_for_port

from sandboxes.emulator import EmulatorServer

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

ONES_OWN = "date +%N%s"  # another answer each time it really runs


IN_BOTH_ISOLATIONS = pytest.mark.parametrize("emulator", ["off", "auto"], indirect=True)


@pytest.fixture
async def emulator(anyio_backend, request):
    async with EmulatorServer("key-of-this-test-run", isolation=getattr(request, "param", "off")) as server:
        yield server


@IN_BOTH_ISOLATIONS
async def test_steps_really_run_and_their_tree_is_every_sandbox_s(new, build, say):
    template = new().copy("app", "/home/user/app").run_cmd("python app/main.py | tee result")
    _info, log = await build(template)
    assert "[stdout]: main runs" in log
    assert await say("cat result app/sub/data.txt") == "main runs\ndata"


async def test_log_says_plainly_that_no_image_was_pulled(new, build):
    _info, log = await build(new().run_cmd("true"))
    assert "no image was pulled" in log
    assert "this machine's own environment" in log


async def test_image_of_another_python_is_named_as_what_it_is(client, build):
    _info, log = await build(client.AsyncTemplate().from_python_image("3.2").run_cmd("true"))
    assert re.search(r"warn: the image has Python 3.2, this machine has Python \d", log)


async def test_image_that_this_machine_is_not_like_is_refused(client):
    with pytest.raises(BuildException, match=r"node:lts.*pulls nothing"):
        await client.AsyncTemplate.build(client.AsyncTemplate().from_node_image().run_cmd("true"), "built")


async def test_sync_builder_builds_too(client, context, say):
    template = client.Template(file_context_path=context).from_debian_image().copy("start.sh", "/home/user/")
    await anyio.to_thread.run_sync(functools.partial(client.Template.build, template, "built"))
    assert await say("sh start.sh") == "started"


async def test_failing_step_fails_the_build_with_its_reason_and_number(client, new):
    template = new().run_cmd("true").run_cmd("echo what is wrong >&2; exit 3")
    info = await client.AsyncTemplate.build_in_background(template, "built")
    status = await client.AsyncTemplate.get_build_status(info)
    while status.status.value in ("waiting", "building"):
        status = await client.AsyncTemplate.get_build_status(info)
    assert (status.status.value, status.reason.step) == ("error", "2")
    assert "failed with exit status 3; it said: what is wrong" in status.reason.message
    assert not await client.AsyncTemplate.exists("built")
    with pytest.raises(SandboxException, match="not found"):
        await client.AsyncSandbox.create(template="built")


@IN_BOTH_ISOLATIONS
async def test_variables_and_directory_hold_for_steps_and_for_sandboxes(new, build, say):
    template = new().set_envs({"GREETING": "hello", "LONGER": "${GREETING} you"}).set_workdir("/app")
    await build(template.run_cmd("echo $LONGER > here; basename $PWD >> here"))
    assert await say("cat here; echo $GREETING; basename $PWD") == "hello you\napp\nhello\napp"


@IN_BOTH_ISOLATIONS
async def test_paths_of_the_template_lead_into_its_tree_in_any_quotes(new, build, say):
    await build(
        new()
        .make_dir(["/app/data", "/home/user/with space"])
        .run_cmd("echo one > /app/data/one; echo two > '/home/user/with space/two'")
        .run_cmd("""python -c "open('/tmp/three', 'w').write('three')" """)
        .rename("/app/data/one", "/home/user/one")
        .make_symlink("/home/user/one", "/home/user/link")
        .remove("/app/data", recursive=True)
    )
    assert await say('cat link "with space/two" $TMPDIR/three; ls $E2B_SANDBOX_ROOT/app') == "one\ntwo\nthree"
    assert not Path("/app").exists()


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param(lambda t: t.apt_install("vim"), id="apt"),
        pytest.param(lambda t: t.run_cmd("true && sudo -n ls"), id="sudo"),
        pytest.param(lambda t: t.npm_install("x", g=True), id="npm -g"),
        pytest.param(lambda t: t.make_dir("/usr/local/e2b-swarm-test"), id="mkdir of this machine"),
        pytest.param(
            lambda t: t.make_symlink("/usr/bin/python3", "/usr/bin/e2b-swarm-test"), id="link in this machine"
        ),
        pytest.param(lambda t: t.run_cmd("python -m pip uninstall -y anyio"), id="pip uninstall"),
    ],
)
async def test_what_would_change_this_machine_is_refused_with_its_reason(new, build, refused):
    with pytest.raises(BuildException, match=r"is refused: .*(this machine|the server's own)"):
        await build(refused(new()))
    assert not Path("/usr/local/e2b-swarm-test").exists()


async def test_steps_that_did_not_change_are_not_taken_again(new, build, say):
    def template():
        return new().run_cmd(f"{ONES_OWN} > first").copy("start.sh", "start.sh").run_cmd(f"{ONES_OWN} > second")

    await build(template())
    before = await say("cat first second")
    _info, log = await build(template())
    assert log.count("CACHED") == 3
    assert await say("cat first second") == before


async def test_changed_file_costs_its_step_and_those_behind_it(new, build, context, say):
    def template():
        return new().run_cmd(f"{ONES_OWN} > first").copy("start.sh", "start.sh").run_cmd(f"{ONES_OWN} > second")

    await build(template())
    first, second = (await say("cat first second")).split()
    (context / "start.sh").write_text("echo changed\n")
    await build(template())
    now = (await say("cat first second")).split()
    assert (now[0] == first, now[1] == second) == (True, False)
    assert await say("sh start.sh") == "changed"


@pytest.mark.parametrize("how", ["whole build", "from a step on"])
async def test_cache_is_left_out_when_asked(new, build, say, how):
    await build(new().run_cmd(f"{ONES_OWN} > first"))
    before = await say("cat first")
    if how == "whole build":
        await build(new().run_cmd(f"{ONES_OWN} > first"), skip_cache=True)
    else:
        await build(new().skip_cache().run_cmd(f"{ONES_OWN} > first"))
    assert await say("cat first") != before


@IN_BOTH_ISOLATIONS
async def test_start_command_is_tried_at_build_and_runs_in_each_sandbox(client, new, build):
    template = new().set_start_cmd("python -m http.server 8123 --bind $E2B_SANDBOX_IP", wait_for_port(8123))
    _info, log = await build(template)
    assert "ready: the start command is stopped" in log
    sandboxes = [await client.AsyncSandbox.create(template="built") for _ in range(2)]
    for sandbox in sandboxes:
        assert [found.args[-1][:21] for found in await sandbox.commands.list()] == ["python -m http.server"]
        headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "8123"}
        url = sandbox.connection_config.get_sandbox_url(sandbox.sandbox_id, "", 8123)
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            assert answer.status == 200


@IN_BOTH_ISOLATIONS
async def test_links_lead_to_the_same_place_in_every_tree(client, new, build):
    template = (
        new().run_cmd("echo one > one").make_symlink("/home/user/one", "/home/user/full").run_cmd("ln -s one short")
    )
    await build(template.make_symlink("/usr/bin/env", "/home/user/env"))
    sandbox = await client.AsyncSandbox.create(template="built")
    assert [await sandbox.files.read(name) for name in ("full", "short")] == ["one\n", "one\n"]
    assert (await sandbox.files.get_info("env")).symlink_target == "/usr/bin/env"


async def test_what_the_trial_of_the_start_command_wrote_is_not_in_the_template(client, new, build):
    await build(new().set_start_cmd("echo x >> count; echo > /tmp/up; sleep 60", wait_for_file("/tmp/up")))
    sandbox = await client.AsyncSandbox.create(template="built")
    assert await sandbox.files.read("count") == "x\n"


async def test_start_command_that_fails_fails_the_build(new, build):
    with pytest.raises(BuildException, match=r"start command ended with exit status 7; it said: no luck"):
        await build(new().set_start_cmd("echo no luck; exit 7", wait_for_file("never")))


async def test_start_command_that_is_never_ready_fails_the_build(new, build, monkeypatch):
    monkeypatch.setattr("sandboxes.emulator.templates.build_trial.READY_DEADLINE_S", 0.3)
    with pytest.raises(BuildException, match=r"has not succeeded for"):
        await build(new().set_start_cmd("sleep 60", wait_for_file("never")))


async def test_start_command_of_a_warm_module_is_forked(connect_to):
    async with EmulatorServer("k", warm_modules={"e2b-swarm-worker": "workers"}) as server:
        client = connect_to(server.url, "k")
        template = client.AsyncTemplate().from_template("e2b-swarm-worker")
        template = template.set_start_cmd("exec python -P -m workers --port 8080", wait_for_port(8080))
        await client.AsyncTemplate.build(template, "warm")
        sandbox = await client.AsyncSandbox.create(template="warm")
        (worker,) = await sandbox.commands.list()
        assert "zygote" in Path(f"/proc/{worker.pid}/cmdline").read_text()


def make_wheel(path, version):
    name = path / f"greeter-{version}-py3-none-any.whl"
    info = f"greeter-{version}.dist-info"
    with zipfile.ZipFile(name, "w") as wheel:
        wheel.writestr("greeter.py", f"def main():\n    print('greeter {version}')\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: greeter\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\ngreet = greeter:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name.name


@IN_BOTH_ISOLATIONS
@pytest.mark.parametrize("for_all", [True, False])
async def test_pip_installs_into_the_template_and_not_into_the_server(new, build, say, context, for_all):
    old, newer = make_wheel(context, "1.0"), make_wheel(context, "2.0")
    template = new().copy("*.whl", "/home/user/")
    for wheel in (old, newer):
        template = template.pip_install(["--no-index", f"/home/user/{wheel}"], g=for_all)
    await build(template)
    assert await say("python -P -c 'import greeter; greeter.main()'; greet") == "greeter 2.0\ngreeter 2.0"
    assert await say("python -P -c 'import greeter' 2>&1 | tail -1", "base") == (
        "ModuleNotFoundError: No module named 'greeter'"
    )


async def test_long_output_is_cut_and_says_so(new, build):
    _info, log = await build(new().run_cmd("seq 6000; yes | head -c 9000 | tr -d '\\n'"))
    assert "[stdout]: 5000\n" in log
    assert "more than 5000 lines of output: the rest is left out" in log
    assert "[stdout]: 5001\n" not in log


def find_sleepers(seconds):
    """Return the processes that sleep this long, wherever they run."""
    wanted = f"sleep\0{seconds}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "cmdline").read_bytes() == wanted:
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked
    return found


async def test_twenty_builds_may_be_under_way_and_end_with_the_server(connect_to, eventually):
    seconds = f"600.{secrets.randbelow(10**9):09}"
    async with EmulatorServer("k") as server:
        client = connect_to(server.url, "k")
        for number in range(20):
            template = client.AsyncTemplate().from_base_image().run_cmd(f"sleep {seconds} # {number}")
            await client.AsyncTemplate.build_in_background(template, f"slow{number}")
        with pytest.raises(RateLimitException, match="maximum number of concurrent template builds"):
            await client.AsyncTemplate.build(client.AsyncTemplate().from_base_image().run_cmd("true"), "late")
        await eventually(lambda: bool(find_sleepers(seconds)))
    assert find_sleepers(seconds) == []


async def test_what_a_step_leaves_running_ends_with_it(new, build):
    seconds = f"600.{secrets.randbelow(10**9):09}"
    _info, log = await build(new().run_cmd(f"setsid sleep {seconds} >/dev/null 2>&1 & jobs -p"))
    assert re.search(r"\[stdout\]: \d+", log)
    assert find_sleepers(seconds) == []


async def test_upload_needs_the_secret_of_its_address_and_nothing_else(client, rest, emulator):
    requested = await (await rest.post("/v3/templates", json={"name": "built"})).json()
    upload = await (await rest.get(f"/templates/{requested['templateID']}/files/{'a' * 64}")).json()
    assert upload["present"] is False
    async with aiohttp.ClientSession() as stranger:
        assert (await stranger.put(f"{emulator.url}/template-files/{'0' * 48}", data=b"x")).status == 403
        assert (await stranger.put(upload["url"], data=b"x")).status == 200
        assert (await stranger.get(f"{emulator.url}/templates")).status == 401
    again = await (await rest.get(f"/templates/{requested['templateID']}/files/{'a' * 64}")).json()
    assert again["present"] is True


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        pytest.param("/v3/templates", {"name": "No spaces"}, "Invalid name", id="name"),
        pytest.param("/v3/templates", {"name": "x", "cpuCount": 99}, "`int` <= 32 - at `$.cpuCount`", id="size"),
        pytest.param("/v3/templates", {"name": "x", "tags": ["a b"]}, "Invalid name", id="tag"),
    ],
)
async def test_malformed_request_is_refused_by_its_field(rest, path, body, said):
    answer = await rest.post(path, json=body)
    assert (answer.status, said in (await answer.json())["message"]) == (400, True)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        pytest.param({"type": "FROM", "args": ["x"]}, "there are COPY", id="unknown"),
        pytest.param({"type": "COPY", "args": ["a", "b"], "filesHash": "../../x"}, "not a SHA-256", id="hash"),
        pytest.param({"type": "COPY", "args": ["a", "b", "", "9"], "filesHash": "a" * 64}, "not octal", id="mode"),
        pytest.param({"type": "ENV", "args": ["A"]}, "names and values", id="variable without a value"),
        pytest.param({"type": "RUN", "args": ["a\0b"]}, "null byte", id="null byte"),
    ],
)
async def test_malformed_step_is_refused_before_the_build_begins(rest, step, said):
    requested = await (await rest.post("/v3/templates", json={"name": "built"})).json()
    path = f"/v2/templates/{requested['templateID']}/builds/{requested['buildID']}"
    answer = await rest.post(path, json={"fromImage": "python:3", "steps": [step]})
    assert (answer.status, said in (await answer.json())["message"]) == (400, True)


async def test_files_that_were_not_uploaded_fail_the_step(rest, eventually):
    requested = await (await rest.post("/v3/templates", json={"name": "built"})).json()
    path = f"/templates/{requested['templateID']}/builds/{requested['buildID']}"
    step = {"type": "COPY", "args": ["a", "b"], "filesHash": "b" * 64}
    assert (await rest.post(f"/v2{path}", json={"fromImage": "python:3", "steps": [step]})).status == 202
    assert (await rest.post(f"/v2{path}", json={"fromImage": "python:3"})).status == 400

    async def has_failed():
        shown = await (await rest.get(f"{path}/status")).json()
        return shown["status"] == "error" and "were not uploaded" in shown["reason"]["message"]

    await eventually(has_failed)
