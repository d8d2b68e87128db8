"""What other packages add by entry points: found, refused when given twice, and harmless to others when broken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line

from mbench import devices
from mbench.build import build
from mbench.core import machine_types, plugins, record_files
from mbench.core.errors import PluginError, UsageError
from mbench.devices import registry
from mbench.hardware import device_kinds, targets
from mbench.networks import architectures, variants
from mbench.pipeline import runner

pytest_plugins = ("plugin_fixtures",)
Install = Callable[..., Path]

BLOCKS = "cn_k3_s2_c32 dsa_k3_s1_c64 pool fc_c10"
FAMILY = f"from mbench.networks.family import Family\nB = {BLOCKS!r}\n"


def network(name: str, package: str) -> str:
    return f"[mbench.networks]\n{name} = {package}_module:NET\n"


# ------------------------------------------------------------------------------------------------------------ one group
def test_nothing_is_imported_before_it_is_asked_for(install: Install) -> None:
    install("quiet", network("quiet", "quiet"), "raise RuntimeError('imported')")
    assert list(plugins.entries(plugins.NETWORKS)) == ["quiet"]
    assert "quiet_module" not in sys.modules
    with pytest.raises(PluginError):
        plugins.entries(plugins.NETWORKS)["quiet"].load()


def test_a_name_that_two_packages_give_names_both(install: Install) -> None:
    install("one", network("same", "one"), f"NET = {BLOCKS!r}")
    install("two", network("same", "two"), f"NET = {BLOCKS!r}", version="2.5")
    with pytest.raises(PluginError, match=r"'same' of group mbench.networks .*: one 1\.0, two 2\.5; remove"):
        variants.parse("same_1.0_32")
    assert variants.parse("mobilenet_v1_1.0_224").family == "mobilenet_v1"


def test_a_name_of_mbench_cannot_be_taken(install: Install) -> None:
    install("thief", network("mobilenet_v1", "thief"), f"NET = {BLOCKS!r}")
    with pytest.raises(PluginError, match=r"mobilenet-bench, thief 1\.0"):
        architectures.family_of("mobilenet_v1")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
        ("NET = (", "SyntaxError"),
        ("OTHER = 1", "AttributeError"),
        ("raise KeyError('a\\nb')", "KeyError"),
        ("NET = 7", "7 are no blocks; expected words as in 'cn_k3_s2_c32 dsa_k3_s1_c64 pool fc_c1000', or a Family"),
        ("NET = 'cn_k3_s2_c32 zz_k3 pool fc_c10'", "are no blocks: 'zz_k3' is no block: 'zz' is not known"),
        ("NET = 'conv_k3_s2_c32 ds_k3_s1_c64 pool fc_c10'", "'conv' is not known; expected one of: cn, dsa, ds, ir"),
        (
            "NET = 'cn_k3_s0_c32 pool fc_c10'",
            "'s0' is no option of 'cn'; it needs k, c, and may have s, r, n, bias, fix",
        ),
        ("NET = 'cn_k3_s2_c32 fc_c10'", "are no blocks: they begin with 'cn', have 'pool', and end with 'fc'"),
        ("def NET(): return NET()", "expected words as in"),
        (f"{FAMILY}NET = Family(title='<b>', blocks=7)", "its attribute 'blocks' is 7; expected words as in"),
        (f"{FAMILY}NET = Family(title='A\\x1b[31m', blocks=B)", "its attribute 'title'"),
        (f"{FAMILY}NET = Family(title='A', blocks=B, activation='swoosh')", "expected one of: relu, relu6"),
        (
            f"{FAMILY}NET = Family(title='A', blocks=B, channels=8)",
            "its attribute 'channels' is 8; expected a function",
        ),
        (f"{FAMILY}NET = Family(title='A', blocks=B, channels=lambda c, w: -3)", "a layer of -3 channels"),
        (f"{FAMILY}NET = Family(title='A', blocks=B, channels=lambda c, w: c * w)", "a layer of 32.0 channels"),
        (
            f"{FAMILY}NET = Family(title='A', blocks=B, channels=lambda: 8)",
            "it has no network of width 1.0: TypeError",
        ),
        (f"{FAMILY}NET = Family(title='A', blocks=B, resolution=7)", "resolution 7 is out of range"),
        (f"{FAMILY}NET = Family(title='A', blocks=B, grid=('0.5_{{',))", "a brace is not closed"),
        (f"{FAMILY}NET = Family(title='A', blocks=B, grid=('{{0.5,1}}' * 99,))", "at most 1000 sizes"),
        (f"{FAMILY}NET = Family(title='A', blocks=B, colour='red')", "TypeError"),
        (
            f"{FAMILY}def deep(c, w): return deep(c, w)\nNET = Family(title='A', blocks=B, channels=deep)",
            "RecursionError",
        ),
        (
            f"{FAMILY}NET = Family(title='A', blocks='cn_k9_s2_c8 ' + 'cn_k2_s2_c8 ' * 9 + 'pool fc_c10')",
            "'cn_k2_s2_c8': a window of 2 does not fit a side of 1",
        ),
    ],
)
def test_a_broken_package_is_one_line_that_names_it(code: str, said: str, install: Install, run: Mbench) -> None:
    install("broken", network("broken", "broken"), code)
    done = run("variants", "broken_1.0_32")
    assert_one_line(done, "from the package broken 1.0", said, code=2)
    listed = run("variants")
    assert listed.code == 0
    assert "broken 1.0" in listed.err
    assert "mobilenet_v1_1.0_224" in listed.out
    assert run("variants", "mobilenet_v1_1.0_224").err == ""


# ------------------------------------------------------------------------------------------------------------- networks
def test_a_family_says_what_its_networks_have_in_common(install: Install, run: Mbench) -> None:
    code = f"""{FAMILY}
from mbench.networks.family import divisible
NET = Family(title="Acme & <b>Sons</b>", blocks=B.replace("dsa", "ds"), activation="hard_swish", channels=divisible,
             resolution=96, grid=("{{0.5,1.0}}_96",))
"""
    install("acme", network("acme_net", "acme"), code)
    assert variants.parse("acme_net").name == "acme_net_1.0_96"
    specs = architectures.layers(variants.parse("acme_net_0.35"))
    assert [spec.operations for spec in specs[:3]] == [
        ("conv2d", "hard_swish"), ("conv2d", "hard_swish"), ("conv2d",)
    ]  # fmt: skip
    assert [spec.output_shape[1] for spec in specs[:3]] == [16, 16, 24]
    listed = run("variants").out
    assert "acme_net_0.5_96" in listed
    assert "acme_net_1.0_96" in listed
    assert architectures.title("acme_net") == "Acme & <b>Sons</b>"


def test_a_title_is_text_on_the_page(install: Install, run: Mbench, tmp_path: Path) -> None:
    install("acme", network("acme_net", "acme"), f"{FAMILY}NET = Family(title='<script>alert(2)</script>', blocks=B)")
    before = factory.record(["mobilenet_v1_0.25_32"])
    result = msgspec.structs.replace(before.results[0], variant=variants.parse("acme_net_1.0_32"))
    settings = msgspec.structs.replace(before.settings, variants=("acme_net_1.0_32",))
    record_files.write(tmp_path / "it.json", msgspec.structs.replace(before, results=(result,), settings=settings))
    assert run("report", tmp_path / "it.json", "-o", tmp_path / "it.html").code == 0
    page = (tmp_path / "it.html").read_text(encoding="utf-8")
    assert "<script>alert(2)" not in page
    assert "alert(2)" in page


def test_a_family_whose_functions_fail_at_another_width_is_one_line(install: Install, run: Mbench) -> None:
    deep = "def channels(c, w): return c if w == 1 else channels(c, w)"
    install(
        "acme", network("acme_net", "acme"), f"{FAMILY}{deep}\nNET = Family(title='A', blocks=B, channels=channels)"
    )
    assert run("variants", "acme_net_1.0_32").code == 0
    done = run("variants", "acme_net_0.5_32")
    assert_one_line(done, "from the package acme 1.0: it has no network of width 0.5: RecursionError", code=2)


def test_an_image_that_is_too_small_for_a_network_is_one_line(install: Install, run: Mbench) -> None:
    words = "cn_k3_s2_c8 " + "cn_k2_s2_c8 " * 5 + "pool fc_c10"
    install("acme", network("acme_net", "acme"), f"NET = {words!r}")
    assert run("variants", "acme_net_1.0_64").code == 0
    done = run("run", "acme_net_1.0_32", "--target", "x86_64_v3", "--compile-only")
    assert_one_line(done, "variant 'acme_net_1.0_32': 'cn_k2_s2_c8': a window of 2 does not fit a side of 1", code=2)


def test_a_family_is_a_network_with_a_twin(install: Install, run: Mbench) -> None:
    install("acme", network("acme_net", "acme"), f"NET = {BLOCKS!r}")
    specs = architectures.layers(variants.parse("acme_net_0.5_32_standard_b2"))
    assert [(spec.op, spec.output_shape) for spec in specs] == [
        ("conv2d", (2, 16, 16, 16)), ("conv2d", (2, 32, 16, 16)), ("pool", (2, 32)), ("dense", (2, 10)),
    ]  # fmt: skip
    assert "acme_net_1.0_224" in run("variants").out


def test_a_name_is_text_wherever_it_is_shown(install: Install, run: Mbench, tmp_path: Path) -> None:
    family = "<script>alert(1)</script>\x1b[31m"
    install("markup", network(family, "markup"), f"NET = {BLOCKS!r}")
    listed = run("variants")
    assert "<script>alert(1)" in listed.out.replace("\n", "")
    assert "\x1b" not in listed.out
    variant = variants.parse(f"{family}_1.0_32")
    before = factory.record(["mobilenet_v1_0.25_32"])
    result = msgspec.structs.replace(before.results[0], variant=variant)
    settings = msgspec.structs.replace(before.settings, variants=(variant.name,))
    record_files.write(tmp_path / "it.json", msgspec.structs.replace(before, results=(result,), settings=settings))
    assert run("report", tmp_path / "it.json", "-o", tmp_path / "it.html").code == 0
    page = (tmp_path / "it.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page


# --------------------------------------------------------------------------------------------------------------- digest
def test_what_a_package_decides_is_in_the_digest(install: Install) -> None:
    target = targets.load("x86_64_v3")
    own = variants.parse("mobilenet_v1_0.25_32")
    before = build.digest_inputs(own, target)
    file = install("acme", network("acme_net", "acme"), f"NET = {BLOCKS!r}")
    assert build.digest_inputs(own, target) == before, "a network that is not built decides nothing"
    theirs = variants.parse("acme_net_0.25_32")
    first = build.digest(build.digest_inputs(theirs, target))
    file.write_text(f"NET = {BLOCKS!r}.replace('c64', 'c96')", encoding="utf-8")
    assert build.digest(build.digest_inputs(theirs, target)) != first
    install("ruler", "[mbench.rules]\nruler.pool = ruler_module:RULE\n")
    assert build.digest_inputs(own, target) != before, "any rule may take a kernel"


# ---------------------------------------------------------------------------------------------------------------- rules
RULE = """
from mbench.compile.schedules.rule import AddedRule, Rule
NONE = Rule(candidates=lambda kernel, machine: (), build=lambda kernel, machine, parameters: None)
FIRST = AddedRule(rule=NONE, machine="cpu", first=True)
LAST = AddedRule(rule=NONE, machine="cpu")
GPU = AddedRule(rule=NONE, machine="gpu")
"""


def test_rules_are_asked_before_or_after_mbenchs_own(install: Install) -> None:
    from mbench.compile.machine import KernelMachine
    from mbench.compile.schedules import cpu, dispatch, gpu

    machine = KernelMachine.of(targets.load("x86_64_v3"))
    assert dispatch.rules_for(machine)[0] is cpu.RULES
    points = "[mbench.rules]\nz = ruler_module:FIRST\na = ruler_module:LAST\ng = ruler_module:GPU\n"
    install("ruler", points, RULE)
    assert list(dispatch.rules_for(machine)[0]) == ["z", *cpu.RULES, "a"]
    assert list(dispatch.rules_for(KernelMachine.of(targets.load("cuda_sm90")))[0]) == [*gpu.RULES, "g"]


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("[mbench.rules]\ncpu.matmul = ruler_module:FIRST\n", "mobilenet-bench, ruler 1.0"),
        ("[mbench.rules]\nfallback = ruler_module:FIRST\n", "mobilenet-bench, ruler 1.0"),
        ("[mbench.rules]\nz = ruler_module:NONE\n", "expected AddedRule"),
    ],
)
def test_a_rule_that_cannot_be(points: str, said: str, install: Install) -> None:
    from mbench.compile.machine import KernelMachine
    from mbench.compile.schedules import dispatch

    install("ruler", points, RULE)
    with pytest.raises(PluginError) as caught:
        dispatch.rules_for(KernelMachine.of(targets.load("x86_64_v3")))
    assert said in str(caught.value)


@pytest.mark.slow
def test_a_broken_rule_ends_a_run_in_one_line_and_leaves_nothing(install: Install, tmp_path: Path, run: Mbench) -> None:
    install("ruler", "[mbench.rules]\nz = ruler_module:GONE\n", "")
    done = run("run", "mobilenet_v1_0.25_32", "--target", "x86_64_v3", "--compile-only", "-o", tmp_path / "out")
    assert done.code == 2
    assert "from the package ruler 1.0: it cannot be imported: AttributeError" in done.err.splitlines()[-1]
    assert list((tmp_path / "out").glob("*.json")) == []


# -------------------------------------------------------------------------------------------------------------- devices
LAB = """
from mbench.hardware import device_kinds

class Lab:
    def __init__(self, name):
        self.name = name

    def measure(self, artifact, plan, report):
        pass

    def close(self):
        pass

def open_it(target, address, **common):
    return Lab(address)

LAB = device_kinds.AddedDevice(open=open_it, facts=device_kinds.HERE)
"""


def test_a_kind_of_device(install: Install, tmp_path: Path) -> None:
    install("lab", "[mbench.devices]\nlab = lab_module:LAB\n", LAB)
    assert registry.resolve("lab") == registry.DeviceChoice(kind="lab", name="lab")
    chosen = registry.resolve("lab://bench/3")
    assert (chosen.kind, chosen.name, chosen.address) == ("lab", "lab://bench/3", "bench/3")
    opened = devices.open_device(
        "lab", targets.load("x86_64_v3"), "bench/3", lock_dir=tmp_path, timeout_s=1.0, waiting=print
    )
    assert opened.name == "bench/3"
    assert device_kinds.of("lab") == device_kinds.HERE
    assert device_kinds.of("not-installed") == device_kinds.BOARD
    with pytest.raises(UsageError, match="did you mean 'lab'"):
        registry.resolve("labb")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (LAB.replace("return Lab(address)", "pass"), "it opened NoneType, expected an object with name, measure and"),
        (LAB.replace("def measure", "def other"), "it opened Lab, expected an object with name, measure and close"),
        ("LAB = print", "expected an AddedDevice"),
        ("", "it cannot be imported"),
    ],
)
def test_a_device_that_is_none(code: str, said: str, install: Install, tmp_path: Path) -> None:
    install("lab", "[mbench.devices]\nlab = lab_module:LAB\n", code)
    with pytest.raises(PluginError, match=rf"lab 1\.0: .*{said}"):
        devices.open_device("lab", targets.load("x86_64_v3"), lock_dir=tmp_path, timeout_s=1.0, waiting=print)


@pytest.mark.parametrize("kind", ["local", "none", "rpc", "emulated"])
def test_a_kind_of_mbench_stays_its_own(kind: str, install: Install, tmp_path: Path) -> None:
    install("lab", f"[mbench.devices]\n{kind} = lab_module:open_it\n")
    if kind in ("local", "emulated"):
        assert registry.resolve(kind).kind == kind
    if kind != "none":
        with pytest.raises(PluginError, match=r"mobilenet-bench, lab 1\.0"):
            devices.open_device(kind, targets.load("x86_64_v3"), lock_dir=tmp_path, timeout_s=1.0, waiting=print)


# -------------------------------------------------------------------------------------------------------------- outputs
def test_a_package_whose_list_cannot_be_read_adds_nothing(install: Install) -> None:
    install("lab", "[mbench.devices]\nlab = lab_module:LAB\n", LAB)
    package = install("torn", "[mbench.devices]\ntorn = torn_module:LAB\n", LAB)
    [listed] = package.parent.glob("torn-*.dist-info/entry_points.txt")
    listed.write_bytes(b"[mbench.devices]\nt\xff = x:y\n")
    plugins._found.cache_clear()
    assert plugins.names(plugins.DEVICES) == ("lab",)


def test_a_package_that_is_there_twice_is_one_by_whatever_spelling(install: Install) -> None:
    install("my_acme", "[mbench.devices]\nlab = lab_module:LAB\n")
    install("My.Acme", "[mbench.devices]\nlab = lab_module:LAB\n", version="2.0")
    assert plugins.find(plugins.DEVICES, "lab") is not None


def test_a_device_that_a_package_adds_is_resumed_at_its_address(install: Install) -> None:
    install("lab", "[mbench.devices]\nlab = lab_module:LAB\n", LAB)
    before = machine_types.Device(kind="lab", name="lab://bench/2")
    assert runner._resumed_device(before) == registry.DeviceChoice(kind="lab", name="lab://bench/2", address="bench/2")


def test_finding_plugins_is_light() -> None:
    code = "import sys, mbench.core.plugins\nprint(*({'tvm', 'torch', 'numpy', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_a_network_that_is_too_narrow_for_a_depthwise_convolution_has_no_twin(install: Install) -> None:
    """Of one channel, a depthwise convolution is a standard one."""
    code = (
        f"{FAMILY}NET = Family(blocks='cn_k3_s2_c2 dsa_k3_s1_c4 pool fc_c10', channels=lambda c, w: max(1, int(c * w)))"
    )
    install("slim", network("slim", "slim"), code)
    assert variants.parse("slim_1.0_32").convolution == "depthwise_separable"
    assert variants.parse("slim_1.0_32_standard").convolution == "standard"
    narrow = variants.parse("slim_0.25_32")
    assert (narrow.convolution, variants.paired_with(narrow)) == (None, None)
    with pytest.raises(UsageError, match="the network has no depthwise convolution, so no standard twin"):
        variants.parse("slim_0.25_32_standard")
