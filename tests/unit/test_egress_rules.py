"""Which addresses a sandbox may reach, as a table."""

import ipaddress

import pytest

from sandboxes.emulator.fleet.egress_rules import EgressMeans, EgressRules, Verdict, make_rules, read_name_servers
from sandboxes.emulator.fleet.network_settings import EgressSettings
from sandboxes.emulator.isolation.kept_directories import choose_kept

INSIDE, OUT, NAMED, DENIED = Verdict.INSIDE, Verdict.OUT, Verdict.NAMED, Verdict.DENIED
ALL = ["0.0.0.0/0"]


@pytest.mark.parametrize(
    ("settings", "address", "port", "verdict"),
    [
        pytest.param({}, "203.0.113.1", 443, OUT, id="no rules"),
        pytest.param({}, "127.0.0.1", 80, INSIDE, id="loopback is its own"),
        pytest.param({}, "::1", 80, INSIDE, id="loopback of version 6 too"),
        pytest.param({}, "::ffff:127.0.0.1", 80, INSIDE, id="loopback in version 6"),
        pytest.param({}, "0.0.0.0", 80, INSIDE, id="no address means loopback"),
        pytest.param({"deny_out": ALL}, "203.0.113.1", 443, DENIED, id="all denied"),
        pytest.param({"deny_out": ALL}, "2001:db8::1", 443, DENIED, id="all denied in version 6 too"),
        pytest.param({"deny_out": ["10.0.0.0/8"]}, "10.1.2.3", 1, DENIED, id="in a denied block"),
        pytest.param({"deny_out": ["10.0.0.0/8"]}, "::ffff:10.1.2.3", 1, DENIED, id="in a denied block by version 6"),
        pytest.param({"deny_out": ["10.0.0.0/8"]}, "11.1.2.3", 1, OUT, id="beside a denied block"),
        pytest.param({"allow_out": ["10.1.0.0/16"], "deny_out": ALL}, "10.1.2.3", 1, OUT, id="allowed before denied"),
        pytest.param({"allow_out": ["10.1.0.0/16"]}, "203.0.113.1", 1, OUT, id="allowing denies nothing"),
        pytest.param({"allow_out": ["127.0.0.0/8"], "deny_out": ALL}, "127.0.0.1", 1, OUT, id="allowed loopback"),
        pytest.param({"allow_out": ALL}, "127.0.0.1", 1, INSIDE, id="all allowed is not loopback"),
        pytest.param({"allow_out": ["a.example"], "deny_out": ALL}, "203.0.113.1", 443, NAMED, id="name on TLS"),
        pytest.param({"allow_out": ["a.example"], "deny_out": ALL}, "203.0.113.1", 22, DENIED, id="name elsewhere"),
        pytest.param({"allow_out": ["*.example"], "deny_out": ALL}, "203.0.113.1", 443, DENIED, id="pattern"),
    ],
)
def test_judgement(settings, address, port, verdict):
    rules = make_rules(EgressSettings(**settings), allows_internet=None)
    assert rules.judge(ipaddress.ip_address(address), port) is verdict


def test_no_internet_access_denies_all_but_what_is_allowed():
    rules = make_rules(EgressSettings(allow_out=["10.0.0.1"]), allows_internet=False)
    judged = [rules.judge(ipaddress.ip_address(address), 1) for address in ("10.0.0.1", "10.0.0.2")]
    assert judged == [OUT, DENIED]


def test_name_servers_answer_where_names_are_allowed():
    server = ipaddress.ip_address("127.0.0.53")
    assert EgressRules(name_servers=[server]).judge(server, 53) is OUT
    assert EgressRules(name_servers=[server]).judge(server, 80) is INSIDE
    assert EgressRules(name_servers=[server], denies_all=True).judge(server, 53) is DENIED
    assert EgressRules(name_servers=[server], denies_all=True, hosts=["a.example"]).judge(server, 53) is OUT


@pytest.mark.parametrize(
    ("means", "settings", "is_kept"),
    [
        pytest.param(EgressMeans(), {}, True, id="nothing to keep"),
        pytest.param(EgressMeans(), {"allow_out": ["10.0.0.0/8"]}, True, id="allowing alone restricts nothing"),
        pytest.param(EgressMeans(), {"deny_out": ALL}, False, id="no means"),
        pytest.param(EgressMeans(cuts_network=True), {"deny_out": ALL}, True, id="cut off"),
        pytest.param(EgressMeans(cuts_network=True), {"deny_out": ["10.0.0.0/8"]}, False, id="only cutting"),
        pytest.param(EgressMeans(cuts_network=True), {"allow_out": ["1.1.1.1"], "deny_out": ALL}, False, id="allowed"),
        pytest.param(
            EgressMeans(cuts_network=True, filters_network=True), {"deny_out": ["10.0.0.0/8"]}, True, id="all means"
        ),
    ],
)
def test_what_suffices(means, settings, is_kept):
    assert means.suffice_for(make_rules(EgressSettings(**settings), allows_internet=None)) is is_kept


def test_name_servers_are_read(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text("search example.com\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver nonsense\n")
    assert [str(address) for address in read_name_servers(file)] == ["10.0.0.2", "fe80::1"]
    assert read_name_servers(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("places", "kept"),
    [
        pytest.param(["/usr", "/opt/venv"], [], id="nothing hidden"),
        pytest.param(["/tmp", "/home", "/home/user"], [], id="a sandbox's own"),
        pytest.param(["/tmp/clone", "/tmp/clone/.venv", "/tmp/clonex"], ["/tmp/clone", "/tmp/clonex"], id="outermost"),
        pytest.param(["/home/me/.venv", "/home/user/p"], ["/home/me/.venv", "/home/user/p"], id="homes"),
    ],
)
def test_directories_that_stay_in_view(tmp_path, places, kept):
    assert choose_kept(type(tmp_path)(place) for place in places) == kept
