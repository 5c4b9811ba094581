"""Templates of the embedded server, built by the unmodified SDK's builder."""

import functools
import io
import re
import secrets
import tarfile
import zipfile
from pathlib import Path

import aiohttp
import anyio
import pytest
from e2b import BuildException, RateLimitException, SandboxException, TemplateException, wait_for_file, wait_for_port

from sandboxes.emulator import EmulatorServer
from sandboxes.emulator.templates.build_files import BadArchive, unpack_archive

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

ONES_OWN = "date +%N%s"  # another answer each time it really runs


IN_BOTH_ISOLATIONS = pytest.mark.parametrize("emulator", ["off", "auto"], indirect=True)


@pytest.fixture
async def emulator(anyio_backend, request):
    async with EmulatorServer("key-of-this-test-run", isolation=getattr(request, "param", "off")) as server:
        yield server


@pytest.fixture
def context(tmp_path):
    directory = tmp_path / "context"
    (directory / "app" / "sub").mkdir(parents=True)
    (directory / "app" / "main.py").write_text("print('main runs')\n")
    (directory / "app" / "sub" / "data.txt").write_text("data\n")
    (directory / "start.sh").write_text("echo started\n")
    return directory


@pytest.fixture
def new(client, context):
    """Begin a template from an image, as most do."""
    return lambda: client.AsyncTemplate(file_context_path=context).from_python_image("3")


@pytest.fixture
def build(client):
    """Return a function that builds and gives back what the log said."""

    async def run(template, name="built", **options):
        entries = []
        info = await client.AsyncTemplate.build(template, name, on_build_logs=entries.append, **options)
        return info, "\n".join(f"{entry.level}: {entry.message}" for entry in entries)

    return run


@pytest.fixture
def say(client):
    """Return a function that runs a command in a new sandbox of a template."""

    async def run(command, template="built"):
        sandbox = await client.AsyncSandbox.create(template=template)
        return (await sandbox.commands.run(command)).stdout.strip()

    return run


@pytest.fixture
async def rest(emulator):
    async with aiohttp.ClientSession(emulator.url, headers={"X-API-KEY": emulator.api_key}) as session:
        yield session


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


async def test_copies_have_the_mode_asked_for_and_go_where_e2b_puts_them(new, build, say):
    template = new().copy("start.sh", "bin/", mode=0o700).copy("app", "copied").copy("app/*.py", "only/")
    _info, log = await build(template.copy("start.sh", "/opt/deep/start.sh", user="root"))
    assert await say("stat -c %a bin/start.sh; ls copied only") == "700\ncopied:\nmain.py\nsub\n\nonly:\nmain.py"
    assert "commands see this machine's own /opt" in log
    assert "only names here" in log


async def test_file_outside_the_home_is_found_by_the_file_calls(client, new, build):
    await build(new().copy("start.sh", "/opt/deep/start.sh"))
    sandbox = await client.AsyncSandbox.create(template="built")
    assert await sandbox.files.read("/opt/deep/start.sh") == "echo started\n"


async def test_link_out_of_the_context_is_not_copied(new, build, context):
    (context / "app" / "passwords").symlink_to("/etc/passwd")
    (context / "app" / "inside").symlink_to("main.py")
    with pytest.raises(BuildException, match=r"'app/passwords' leads to '/etc/passwd'"):
        await build(new().copy("app", "app"))


async def test_copy_does_not_follow_a_link_out_of_the_tree(new, build):
    with pytest.raises(BuildException, match="leads out of the sandbox"):
        await build(new().run_cmd("ln -s /usr out").copy("start.sh", "out/e2b-swarm-test"))
    assert not Path("/usr/e2b-swarm-test").exists()


def archive_of(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name, kind=tarfile.REGTYPE, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, linkname, 0o6755
    return info


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([(member("../evil"), b"x")], id="parent"),
        pytest.param([(member("a/../../evil"), b"x")], id="parent within"),
        pytest.param([(member("/evil"), b"x")], id="absolute"),
        pytest.param([(member("link", tarfile.SYMTYPE, ".."), b""), (member("link/evil"), b"x")], id="through a link"),
        pytest.param([(member("d", tarfile.SYMTYPE, "."), b""), (member("d/evil"), b"x")], id="through a link inside"),
        pytest.param([(member("evil", tarfile.LNKTYPE, "/etc/passwd"), b"")], id="hard link out"),
        pytest.param([(member("evil", tarfile.CHRTYPE), b"")], id="device"),
        pytest.param([(member("evil", tarfile.FIFOTYPE), b"")], id="pipe"),
    ],
)
def test_archive_that_leads_out_is_not_unpacked(tmp_path, members):
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(BadArchive):
        unpack_archive(archive_of(tmp_path / "a.tar.gz", *members), target)
    assert not (tmp_path / "evil").exists()


def test_archive_keeps_modes_but_none_that_lends_rights(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    unpack_archive(
        archive_of(tmp_path / "a.tar.gz", (member("d/run"), b"x"), (member("l", tarfile.SYMTYPE, "d"), b"")), target
    )
    assert (target / "d" / "run").stat().st_mode & 0o7777 == 0o755
    assert (target / "l").readlink() == Path("d")


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


async def test_template_of_a_template_has_all_of_it(client, new, build, say):
    await build(new().set_envs({"ONE": "1"}).run_cmd("echo one > one"), "first")
    await build(client.AsyncTemplate().from_template("first").run_cmd("cat one; echo two > two"), "second")
    assert await say("cat one two; echo $ONE", "second") == "one\ntwo\n1"


async def test_template_of_an_unknown_one_is_refused(client):
    with pytest.raises(BuildException, match="'nowhere' not found"):
        await client.AsyncTemplate.build(client.AsyncTemplate().from_template("nowhere").run_cmd("true"), "built")


async def test_tags_stay_at_their_build_until_they_are_moved(client, new, build, say):
    first, _ = await build(new().run_cmd("echo first > which"), "built:v1", tags=["default"])
    second, _ = await build(new().run_cmd("echo second > which"), "built:v2")
    assert first.template_id == second.template_id
    assert [await say("cat which", name) for name in ("built:v1", "built:v2", "built", first.template_id)] == [
        "first",
        "second",
        "first",
        "first",
    ]
    assigned = await client.AsyncTemplate.assign_tags("built:v2", ["default", "stable"])
    assert (assigned.build_id, assigned.tags) == (second.build_id, ["default", "stable"])
    assert await say("cat which") == "second"
    await client.AsyncTemplate.remove_tags("built", "v1")
    tags = {tag.tag: tag.build_id for tag in await client.AsyncTemplate.get_tags("built")}
    assert tags == dict.fromkeys(("v2", "default", "stable"), second.build_id)
    with pytest.raises(TemplateException, match="no tag 'v1'"):
        await client.AsyncTemplate.assign_tags("built:v1", "x")


async def test_built_template_is_listed_found_and_deleted_with_its_files(client, new, build, emulator, rest):
    assert not await client.AsyncTemplate.exists("built")
    info, _ = await build(new().run_cmd("echo > file"), cpu_count=4, memory_mb=1024)
    assert await client.AsyncTemplate.exists("built")
    (listed,) = await (await rest.get("/templates")).json()
    assert (listed["templateID"], listed["aliases"], listed["buildStatus"]) == (info.template_id, ["built"], "ready")
    assert (listed["cpuCount"], listed["memoryMB"]) == (4, 1024)
    shown = await (await rest.get("/templates/built")).json()
    assert [found["buildID"] for found in shown["builds"]] == [info.build_id]
    assert (await rest.patch(f"/templates/{info.template_id}", json={"public": True})).status == 200
    sandbox = await client.AsyncSandbox.create(template="built")
    assert (await sandbox.get_info()).cpu_count == 4
    assert (await rest.delete(f"/templates/{info.template_id}")).status == 204
    assert not await client.AsyncTemplate.exists("built")
    assert await (await rest.get("/templates")).json() == []
    assert await sandbox.files.exists("file")


async def test_old_builds_without_a_tag_leave_no_files(tmp_path, connect_to):
    async with EmulatorServer("k", data_dir=tmp_path / "data") as server:
        client = connect_to(server.url, "k")
        for number in range(3):
            template = client.AsyncTemplate().from_base_image().run_cmd(f"echo {number} > file")
            info = await client.AsyncTemplate.build(template, "built")
        trees = tmp_path / "data" / "templates" / "builds" / "trees"
        assert [tree.name for tree in trees.iterdir()] == [info.build_id]
    assert list((tmp_path / "data").iterdir()) == []


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
