"""Quotas and cpusets of control groups, from trees as containers and systems of several kinds show them.

The lines of /proc/self/cgroup and /proc/self/mountinfo are as Docker, Kubernetes and systemd make them; what the files
mean is by the kernel's documents: cgroup-v2.rst, sched-bwc.rst, cpusets.rst.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mbench.hardware import cgroups
from mbench.hardware.cgroups import Quota

Files = dict[str, str]
V2 = "sys/fs/cgroup"
CPU, CPUSET = "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpuset"
OTHERS = (
    "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n24 22 0:22 / /proc rw,nosuid shared:5 - proc proc rw\n"
    "25 22 0:23 / /sys/fs/cgroup rw shared:6 - tmpfs tmpfs rw,mode=755\n"
)


def of_version_2(group: str, *, top: str = "/", at: str = "/sys/fs/cgroup") -> Files:
    """Return the two files of /proc where version 2 alone is mounted."""
    mount = f"30 22 0:26 {top} {at} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
    return {"proc/self/cgroup": f"0::{group}\n", "proc/self/mountinfo": OTHERS + mount}


def of_version_1(group: str, *, top: str = "/", controllers: str = "cpu,cpuacct") -> Files:
    """Return the two files of /proc where every controller of version 1 has a hierarchy of its own."""
    return {
        "proc/self/cgroup": f"9:name=systemd:/a\n5:cpuset:{group}\n4:memory:/elsewhere\n3:{controllers}:{group}\n",
        "proc/self/mountinfo": OTHERS
        + f"33 25 0:29 {top} /{CPU} ro,nosuid master:10 - cgroup cgroup rw,{controllers}\n"
        + f"34 25 0:30 {top} /{CPUSET} ro,nosuid - cgroup cgroup rw,cpuset\n"
        + "35 25 0:31 / /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n",
    }


def v1(folder: str, quota_us: int, period_us: int = 100_000) -> Files:
    return {f"{folder}/cpu.cfs_quota_us": f"{quota_us}\n", f"{folder}/cpu.cfs_period_us": f"{period_us}\n"}


def put(root: Path, files: Files) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode("utf-8", errors="surrogateescape"))
    return root


HYBRID = {  # as systemd mounts it with systemd.unified_cgroup_hierarchy=0: controllers in version 1, groups in both
    "proc/self/cgroup": "3:cpu,cpuacct:/user.slice\n1:name=systemd:/user.slice/a.scope\n0::/user.slice/a.scope\n",
    "proc/self/mountinfo": OTHERS + f"26 25 0:24 / /{V2}/unified rw shared:7 - cgroup2 cgroup2 rw\n"
    f"33 25 0:29 / /{CPU} rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n",
    f"{V2}/unified/user.slice/a.scope/cgroup.procs": "1\n",
    f"{V2}/unified/user.slice/a.scope/cpu.stat": "usage_usec 1\n",
}
QUOTAS: dict[str, tuple[Files, float | None]] = {
    "v2": ({**of_version_2("/job"), f"{V2}/job/cpu.max": "150000 100000\n"}, 1.5),
    "v2, another period": ({**of_version_2("/job"), f"{V2}/job/cpu.max": "5000 10000\n"}, 0.5),
    "v2, max": ({**of_version_2("/job"), f"{V2}/job/cpu.max": "max 100000\n"}, None),
    "v2, the slice above has less": (
        {
            **of_version_2("/a.slice/b.slice/c.service"),
            f"{V2}/a.slice/cpu.max": "200000 100000\n",
            f"{V2}/a.slice/b.slice/cpu.max": "max 100000\n",
            f"{V2}/a.slice/b.slice/c.service/cpu.max": "400000 100000\n",
        },
        2.0,
    ),
    "v2, the slice above has more": (
        {**of_version_2("/a/b"), f"{V2}/a/cpu.max": "800000 100000\n", f"{V2}/a/b/cpu.max": "300000 100000\n"},
        3.0,
    ),
    "v2, another group's": ({**of_version_2("/a"), f"{V2}/b/cpu.max": "100000 100000\n"}, None),
    "v2, a group below": ({**of_version_2("/a"), f"{V2}/a/b/cpu.max": "100000 100000\n"}, None),
    "v2, a namespace": ({**of_version_2("/"), f"{V2}/cpu.max": "250000 100000\n"}, 2.5),
    "v2, the mount is the container's": (
        {**of_version_2("/kubepods/pod1/c1", top="/kubepods/pod1/c1"), f"{V2}/cpu.max": "50000 100000\n"},
        0.5,
    ),
    "v2, below the container's": (
        {**of_version_2("/docker/c1/job", top="/docker/c1"), f"{V2}/job/cpu.max": "100000 100000\n"},
        1.0,
    ),
    "v2, a path that only the system outside knows": (
        {**of_version_2("/docker/c1"), f"{V2}/cpu.max": "100000 100000\n"},
        1.0,
    ),
    "v2, a mount of other groups": (
        {**of_version_2("/", top="/../.."), f"{V2}/cpu.max": "700000 100000\n"},
        7.0,
    ),
    "v2, a group outside of the namespace": (
        {**of_version_2("/../x"), f"{V2}/cpu.max": "100000 100000\n", "sys/fs/x/cpu.max": "1 2\n"},
        1.0,
    ),
    "v2, mounted elsewhere, with a space": (
        {**of_version_2("/job", at="/mnt/control\\040groups"), "mnt/control groups/job/cpu.max": "100000 50000\n"},
        2.0,
    ),
    "v1": ({**of_version_1("/job"), **v1(f"{CPU}/job", 150_000), **v1(CPU, -1)}, 1.5),
    "v1, no quota": ({**of_version_1("/job"), **v1(f"{CPU}/job", -1)}, None),
    "v1, the controller alone": ({**of_version_1("/j", controllers="cpu"), **v1(f"{CPU}/j", 20_000, 40_000)}, 0.5),
    "v1, cpuacct first": ({**of_version_1("/j", controllers="cpuacct,cpu"), **v1(f"{CPU}/j", 100_000)}, 1.0),
    "v1, only cpuacct": ({**of_version_1("/j", controllers="cpuacct"), **v1(f"{CPU}/j", 100_000)}, None),
    "v1, the group above has less": (
        {**of_version_1("/a/b"), **v1(f"{CPU}/a", 100_000), **v1(f"{CPU}/a/b", 300_000)},
        1.0,
    ),
    "v1, Docker: the mount is the container's": (
        {**of_version_1("/docker/c1", top="/docker/c1"), **v1(CPU, 200_000)},
        2.0,
    ),
    "v1, a path that only the system outside knows": ({**of_version_1("/docker/c1"), **v1(CPU, 400_000)}, 4.0),
    "v1, another group for cpuset": (
        {
            **of_version_1("/a"),
            "proc/self/cgroup": "5:cpuset:/b\n3:cpu,cpuacct:/a\n0::/c\n",
            **v1(f"{CPU}/a", 300_000),
            **v1(f"{CPU}/b", 100_000),
            **v1(f"{CPU}/c", 100_000),
        },
        3.0,
    ),
    "hybrid": ({**HYBRID, **v1(f"{CPU}/user.slice", 100_000)}, 1.0),
    "hybrid, no quota": (HYBRID, None),
    "no groups are mounted": (
        {"proc/self/cgroup": "0::/job\n", "proc/self/mountinfo": OTHERS, f"{V2}/job/cpu.max": "1 2\n"},
        None,
    ),
    "no /proc, as on macOS": ({f"{V2}/cpu.max": "100000 100000\n"}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("files", "expected"), QUOTAS.values(), ids=QUOTAS)
def test_the_quota_is_the_smallest_over_the_group_and_those_above(
    tmp_path: Path, files: Files, expected: float | None
) -> None:
    found = cgroups.quota(root=put(tmp_path, files))
    assert (found and found.processors) == expected


def test_of_several_mounts_the_one_counts_that_shows_most_of_the_groups_above(tmp_path: Path) -> None:
    files = of_version_2("/pods/pod1/c1", top="/pods/pod1/c1", at="/container")
    whole = of_version_2("/pods/pod1/c1", at="/whole")["proc/self/mountinfo"]
    files["proc/self/mountinfo"] += of_version_2("/", top="/pods/other", at="/other")["proc/self/mountinfo"] + whole
    put(tmp_path, files)
    put(tmp_path, {"container/cpu.max": "300000 100000\n", "other/cpu.max": "10000 100000\n"})
    put(tmp_path, {"whole/pods/pod1/c1/cpu.max": "300000 100000\n", "whole/pods/pod1/cpu.max": "200000 100000\n"})
    found = cgroups.quota(root=tmp_path)
    assert found is not None
    assert found.processors == 2.0


# --------------------------------------------------------------------------------------------------------- throttling
def test_how_a_quota_of_version_2_held_back(tmp_path: Path) -> None:
    stat = "usage_usec 9000000\nuser_usec 8\nnr_periods 120\nnr_throttled 48\nthrottled_usec 3250000\nnr_bursts 0\n"
    put(tmp_path, {**of_version_2("/job"), f"{V2}/job/cpu.max": "150000 100000\n", f"{V2}/job/cpu.stat": stat})
    expected = Quota(processors=1.5, periods=120, throttled_periods=48, throttled_s=3.25)
    assert cgroups.quota(root=tmp_path) == expected


def test_how_a_quota_of_version_1_held_back(tmp_path: Path) -> None:
    stat = "nr_periods 7\nnr_throttled 0\nthrottled_time 3250000000\n"
    put(tmp_path, {**of_version_1("/job"), **v1(f"{CPU}/job", 50_000), f"{CPU}/job/cpu.stat": stat})
    expected = Quota(processors=0.5, periods=7, throttled_periods=0, throttled_s=3.25)
    assert cgroups.quota(root=tmp_path) == expected


def test_it_is_the_smallest_quota_that_is_said_to_have_held_back(tmp_path: Path) -> None:
    above = {f"{V2}/a/cpu.max": "100000 100000\n", f"{V2}/a/cpu.stat": "nr_throttled 5\nthrottled_usec 5000000\n"}
    own = {f"{V2}/a/b/cpu.max": "200000 100000\n", f"{V2}/a/b/cpu.stat": "nr_throttled 1\nthrottled_usec 1000000\n"}
    found = cgroups.quota(root=put(tmp_path, {**of_version_2("/a/b"), **above, **own}))
    assert found == Quota(processors=1.0, periods=None, throttled_periods=5, throttled_s=5.0)


@pytest.mark.parametrize("stat", ["", "nr_throttled\n", "nr_throttled -1\nthrottled_usec x\n", "throttled_usec 1 2\n"])
def test_a_quota_without_figures_of_what_it_held_back(tmp_path: Path, stat: str) -> None:
    put(tmp_path, {**of_version_2("/job"), f"{V2}/job/cpu.max": "150000 100000\n", f"{V2}/job/cpu.stat": stat})
    expected = Quota(processors=1.5, periods=None, throttled_periods=None, throttled_s=None)
    assert cgroups.quota(root=tmp_path) == expected


# ------------------------------------------------------------------------------------------------------------- cpusets
CPUSETS: dict[str, tuple[Files, str | None]] = {
    "v2": ({**of_version_2("/a/b"), f"{V2}/a/b/cpuset.cpus.effective": "0-3,8\n"}, "0-3,8"),
    "v2, the controller is on above": (
        {**of_version_2("/a/b"), f"{V2}/a/cpuset.cpus.effective": "2\n", f"{V2}/cpuset.cpus.effective": "0-7\n"},
        "2",
    ),
    "v2, a namespace": ({**of_version_2("/"), f"{V2}/cpuset.cpus.effective": "0-1\n"}, "0-1"),
    "v1": (
        {**of_version_1("/a"), f"{CPUSET}/a/cpuset.effective_cpus": "1\n", f"{CPUSET}/a/cpuset.cpus": "0-1\n"},
        "1",
    ),
    "v1, an old kernel": ({**of_version_1("/a"), f"{CPUSET}/a/cpuset.cpus": "0-1\n"}, "0-1"),
    "v1, Docker": ({**of_version_1("/docker/c", top="/docker/c"), f"{CPUSET}/cpuset.cpus": "4-5\n"}, "4-5"),
    "no controller": (of_version_2("/a/b"), None),
    "empty": ({**of_version_2("/a"), f"{V2}/a/cpuset.cpus.effective": "\n"}, None),
    "words": ({**of_version_2("/a"), f"{V2}/a/cpuset.cpus.effective": "all of \x1b[31mthem\n"}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("files", "expected"), CPUSETS.values(), ids=CPUSETS)
def test_the_cpuset_is_that_of_the_nearest_group(tmp_path: Path, files: Files, expected: str | None) -> None:
    assert cgroups.cpuset(root=put(tmp_path, files)) == expected


# ------------------------------------------------------------------------------------------------------------- garbage
GARBAGE = (
    *(
        "",
        "\n",
        "max",
        "150000",
        "max max",
        "-1 100000",
        "0 100000",
        "150000 0",
        "1.5 1",
        "1e5 1e5",
        "\u0661 \u0662",
        "1  2",
    ),
    *(
        "1 2 3",
        "9" * 30 + " 100000",
        "100000 " + "9" * 30,
        "\x00",
        "\udcff\udcfe 1",
        "0:::",
        "0::/a\x00b",
        ":::::\n- - -\n",
        " - \n",
    ),
    *(
        "3:cpu",
        "0::",
        "::\n",
        "1:cpu:/a\n0::/a",
        "30 22 0:26 / /sys - cgroup2",
        "30 - cgroup2 x rw",
        "a b c d e - cgroup",
    ),
)


@pytest.mark.parametrize("text", GARBAGE)
def test_odd_files_are_not_known_and_no_error(tmp_path: Path, text: str) -> None:
    """Each file in turn, beside others that are well."""
    well = {
        **of_version_2("/job"), f"{V2}/job/cpu.max": "150000 100000\n", f"{V2}/job/cpu.stat": "nr_throttled 1\n",
        f"{V2}/job/cpuset.cpus.effective": "0-1\n",
    }  # fmt: skip
    assert cgroups.quota(root=put(tmp_path / "well", well)) is not None
    for number, name in enumerate(well):
        root = put(tmp_path / str(number), {**well, name: text})
        found, processors = cgroups.quota(root=root), cgroups.cpuset(root=root)
        if name.endswith(("cpu.max", "mountinfo")):
            assert found is None
        if name.endswith(("effective", "mountinfo")):
            assert processors is None


@pytest.mark.parametrize("text", [text for text in GARBAGE if text != "150000"])
@pytest.mark.parametrize("name", ["cpu.cfs_quota_us", "cpu.cfs_period_us"])
def test_odd_quotas_of_version_1_are_none(tmp_path: Path, name: str, text: str) -> None:
    files = {**of_version_1("/job"), **v1(f"{CPU}/job", 150_000)}
    assert cgroups.quota(root=put(tmp_path, files)) is not None
    assert cgroups.quota(root=put(tmp_path, {f"{CPU}/job/{name}": text})) is None


def test_a_folder_in_place_of_a_file_is_not_known(tmp_path: Path) -> None:
    put(tmp_path, of_version_2("/job"))
    (tmp_path / V2 / "job" / "cpu.max").mkdir(parents=True)
    (tmp_path / V2 / "job" / "cpuset.cpus.effective").mkdir()
    assert (cgroups.quota(root=tmp_path), cgroups.cpuset(root=tmp_path)) == (None, None)
