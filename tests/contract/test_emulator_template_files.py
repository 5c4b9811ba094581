"""The files that a template's build copies: where they go, their modes, and links and archives that lead out."""

import io
import tarfile
from pathlib import Path

import pytest
from e2b import BuildException

from sandboxes.emulator.templates.build_files import BadArchive, unpack_archive

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


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
