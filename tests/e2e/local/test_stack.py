import json
import os
import signal
import stat
import time
import urllib.error
import urllib.request

import boto3
import pytest

from tiltyard.errors import InvalidInput, NotFound, Unavailable
from tiltyard.local import emulator


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def client(stack, service):
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=stack.status().endpoint, **keys)


def kill(stack):
    process = emulator.Process(stack.status().pid, emulator.start_time(stack.status().pid))
    os.kill(process.pid, signal.SIGKILL)
    while process.is_alive():
        time.sleep(0.01)


def test_up_deploys_once_and_down_keeps_the_state(stacks, package):
    stack = stacks()

    first = stack.up(package, variables={})
    written = get(f"{first.url}/one")
    again = stack.up(package, variables={})
    was_running = stack.down()
    stopped = stack.status()
    second = stack.up(package, variables={})

    assert (first.action, again.action, second.action) == ("started", "unchanged", "started")
    assert written == {"kept": ["/one"], "greeting": None}
    assert was_running
    assert (stopped.condition, stopped.url, stopped.pid) == ("stopped", None, None)
    assert second.lost_since is None
    assert second.url == first.url == again.url


def test_functions_and_data_survive_a_stop(stacks, package):
    stack = stacks()
    started = stack.up(package, variables={})
    get(f"{started.url}/one")

    stack.down()
    kept = get(f"{stack.up(package, variables={}).url}/two")

    assert kept["kept"] == ["/one", "/two"]


def test_what_the_emulator_drops_from_a_template_is_set(stacks, package):
    stack = stacks()
    started = stack.up(package, variables={})
    outputs = stack.status().outputs

    ttl = client(stack, "dynamodb").describe_time_to_live(TableName=outputs["NotesTableName"])
    lock = client(stack, "s3").get_object_lock_configuration(Bucket=outputs["AuditBucketName"])
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{started.url}/no/such/route")

    assert ttl["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    retention = lock["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert retention == {"Mode": "GOVERNANCE", "Days": 3}
    assert refused.value.code == 404
    assert json.load(refused.value)["type"] == "/problems/not-found"


def test_variables_reach_every_function_and_changing_them_deploys(stacks, package):
    stack = stacks()
    stack.up(package, variables={"GREETING": "hello"})

    changed = stack.up(package, variables={"GREETING": "good day"})

    assert changed.action == "updated"
    assert get(f"{changed.url}/one")["greeting"] == "good day"


def test_a_crash_falls_back_on_the_last_clean_stop_and_says_so(stacks, package):
    stack = stacks()
    started = stack.up(package, variables={})
    get(f"{started.url}/kept")
    stack.down()
    clean_stop = stack.status().clean_stop
    get(f"{stack.up(package, variables={}).url}/lost")
    kill(stack)
    crashed = stack.status()

    recovered = stack.up(package, variables={})

    assert crashed.condition == "crashed"
    assert recovered.lost_since == clean_stop is not None
    assert get(f"{recovered.url}/new")["kept"] == ["/kept", "/new"]


def test_a_crash_of_the_first_run_starts_empty(stacks, package):
    stack = stacks()
    get(f"{stack.up(package, variables={}).url}/lost")
    kill(stack)

    recovered = stack.up(package, variables={})

    assert recovered.lost_since == ""
    assert get(f"{recovered.url}/new")["kept"] == ["/new"]


def test_a_stop_by_somebody_else_loses_nothing(stacks, package):
    stack = stacks()
    get(f"{stack.up(package, variables={}).url}/one")
    process = emulator.Process(stack.status().pid, emulator.start_time(stack.status().pid))
    emulator.stop(process)

    started = stack.up(package, variables={})

    assert started.lost_since is None
    assert get(f"{started.url}/two")["kept"] == ["/one", "/two"]


def test_two_stacks_run_side_by_side(stacks, package):
    blue, green = stacks("blue"), stacks("green")
    blue_url = blue.up(package, variables={}).url
    green_url = green.up(package, variables={}).url
    get(f"{blue_url}/of-blue")

    of_green = get(f"{green_url}/of-green")
    blue.down()

    assert of_green["kept"] == ["/of-green"]
    assert blue.status().condition == "stopped"
    assert get(f"{green_url}/more")["kept"] == ["/more", "/of-green"]


def test_it_listens_on_loopback_only(stacks, package):
    stack = stacks()
    stack.up(package, variables={})
    pid = stack.status().pid

    inodes = set()
    for descriptor in os.scandir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(descriptor.path))
        except FileNotFoundError:
            continue
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            rows = [line.split() for line in list(lines)[1:]]
        listening += [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]

    assert len(listening) == 1
    assert listening[0].startswith("0100007F:")


def test_reset_deletes_all_of_it(stacks, package):
    stack = stacks()
    stack.up(package, variables={})
    pid = stack.status().pid

    stack.reset()

    assert stack.status().condition == "absent"
    assert not stack.folder.exists()
    assert emulator.start_time(pid) is None


def test_a_template_that_fails_says_why_and_can_be_mended(stacks, package):
    stack = stacks()
    whole = (package / "template.json").read_text()
    broken = json.loads(whole)
    wait = {"Handle": {"Ref": "Handle"}, "Timeout": "1"}  # for a signal that nobody sends
    broken["Resources"]["Handle"] = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    broken["Resources"]["Wait"] = {"Type": "AWS::CloudFormation::WaitCondition", "Properties": wait}
    (package / "template.json").write_text(json.dumps(broken))

    with pytest.raises(Unavailable, match=r"ROLLBACK_COMPLETE: .*Wait"):
        stack.up(package, variables={})
    (package / "template.json").write_text(whole)
    mended = stack.up(package, variables={})

    assert get(f"{mended.url}/one")["kept"] == ["/one"]


def test_a_folder_that_is_no_package_is_refused(stacks, tmp_path):
    with pytest.raises(InvalidInput, match=r"no template\.json and no deployment\.zip"):
        stacks().up(tmp_path, variables={})


def test_a_stack_that_was_never_up_has_a_status_but_no_token(stacks):
    stack = stacks()

    status = stack.status()

    assert (status.condition, status.url, status.clean_stop) == ("absent", None, None)
    with pytest.raises(NotFound, match="tiltyard local up"):
        stack.token(subject="ada", roles=["viewer"], teams=[], ttl_s=60)


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "x" * 31])
def test_a_name_that_could_leave_its_folder_is_refused(stacks, name):
    with pytest.raises(InvalidInput, match="no name of a stack"):
        stacks(name)


def test_the_key_is_readable_for_its_owner_only(stacks, package):
    stack = stacks()
    stack.up(package, variables={})

    mode = stat.S_IMODE(stack.key.stat().st_mode)

    assert mode == 0o600
