"""Templates that were built: found, listed, tagged, built upon and deleted."""

import pytest
from e2b import BuildException, TemplateException

from sandboxes.emulator import EmulatorServer

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

ONES_OWN = "date +%N%s"  # another answer each time it really runs


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


async def test_disk_is_shown_as_large_as_the_free_room_asked_for(new, build, client, rest):
    info, _log = await build(new().run_cmd("head -c 3000000 /dev/zero > data"), min_free_disk_mb=20_000)
    [row] = await (await rest.get("/templates")).json()
    assert 20_003 <= row["diskSizeMB"] < 20_100
    sandbox = await client.AsyncSandbox.create(info.template_id)
    [living] = await (await rest.get("/v2/sandboxes")).json()
    assert (living["sandboxID"], living["diskSizeMB"]) == (sandbox.sandbox_id, row["diskSizeMB"])


async def test_disk_is_never_made_smaller(new, build, rest):
    await build(new(), min_free_disk_mb=1)
    [row] = await (await rest.get("/templates")).json()
    assert row["diskSizeMB"] == 10_240


async def test_removing_no_tags_from_a_template_that_was_never_ready_changes_nothing(rest):
    await rest.post("/v3/templates", json={"name": "never"})
    answer = await rest.delete("/templates/tags", json={"name": "never", "tags": []})
    assert answer.status == 204
