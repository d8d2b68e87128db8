#!/usr/bin/env bash
# mbench on an arm64 machine, where there is none: Debian's arm64 userland in a folder, with Python, PyTorch and TVM for
# arm64, each of its programs executed by QEMU's user mode. Shows that `--target arm64` is built, run and checked natively
# on such a machine. What it says about time means nothing.
#
#     benchmarks/arm64_host.sh [FOLDER [COMMAND...]]
#
# FOLDER (2.5 GB, default /tmp/mbench-arm64) is made once. COMMAND runs in it; by default three runs of the smallest
# network, for `arm64`, for `arm64_cortex_a72` and for `host`. Needs Debian 12, Linux 6.7 or newer, user namespaces, and
# Python with pip; no rights and no installed package.
set -euo pipefail

torch=2.9.1 # of the package index's builds for arm64 the last that neither needs Armv8.1 (as 2.10) nor CUDA (as 2.11)
tree="$(cd "$(dirname "$0")/.." && pwd)"
base="$(realpath -m "${1:-/tmp/mbench-arm64}")"
root="$base/root"
packages="$root/usr/local/lib/python3.11/dist-packages"

fetch_debian() { # the arm64 userland, unpacked; and the static QEMU, which needs no libraries inside of it
    mkdir -p "$base"/apt/{lists,cache/archives}/partial "$base/qemu"
    : >"$base/apt/status"
    cat >"$base/apt/conf" <<END
Dir::State::Lists "$base/apt/lists";
Dir::State::status "$base/apt/status";
Dir::Cache "$base/apt/cache";
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "$(id -un)";
Debug::NoLocking "true";
END
    (cd "$base/qemu" && apt-get download -q qemu-user-static && dpkg-deb -x ./*.deb .)
    export APT_CONFIG="$base/apt/conf"
    apt-get update -q
    apt-get install -y -q --download-only bash coreutils g++ libgomp1 python3.11
    unset APT_CONFIG
    for package in "$base"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$base/unpacked"; done
    mv "$base/unpacked" "$root"
}

fetch_python() { # mbench as a wheel, and what it needs
    local platforms=() needed=() version
    for version in 2_17 2_24 2_27 2_28; do platforms+=(--platform "manylinux_${version}_aarch64"); done
    mapfile -t needed < <(python3 - "$tree/pyproject.toml" <<'END'
import sys, tomllib
for requirement in tomllib.load(open(sys.argv[1], "rb"))["project"]["dependencies"]:
    if not requirement.startswith("torch"):
        print(requirement)
END
    )
    python3 -m venv "$base/venv"
    "$base/venv/bin/pip" wheel -q --no-deps --wheel-dir "$base" "$tree"
    needed+=(filelock fsspec networkx sympy typing-extensions) # of torch, whose others are for GPUs
    local install=("$base/venv/bin/pip" install -q --only-binary=:all: --python-version 3.11 "${platforms[@]}")
    "${install[@]}" --target "$packages" "${needed[@]}"
    "${install[@]}" --target "$packages" --no-deps "torch==$torch" "$base"/mobilenet_bench-*.whl
}

describe_processor() { # what Linux shows on a Cortex-A72: QEMU shows the real machine's file
    for number in $(seq 0 $(($(nproc) - 1))); do
        printf 'processor\t: %s\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid\n' "$number"
        printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n'
    done >"$base/cpuinfo"
}

enter() { # in namespaces of its own, where the kernel hands programs for arm64 to QEMU, as nowhere else on this machine
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    local magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    echo ":arm64:M::$magic:$mask:$base/qemu/usr/bin/qemu-aarch64-static:F" >/proc/sys/fs/binfmt_misc/register
    mkdir -p "$root"/{dev,proc,root,sys,tmp}
    mount -t proc none "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount --bind "$base/cpuinfo" "$root/proc/cpuinfo"
    # without the last, TVM compiles a bridge to PyTorch's older versions, which mbench does not use
    exec chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8 QEMU_CPU=cortex-a72 \
        TVM_FFI_DISABLE_TORCH_C_DLPACK=1 "$@"
}

if [ "${MBENCH_ARM64_INSIDE:-}" = 1 ]; then enter "${@:2}"; fi
[ -d "$root" ] || fetch_debian
[ -d "$packages/mbench" ] || fetch_python
describe_processor
inside() { MBENCH_ARM64_INSIDE=1 unshare --user --map-root-user --mount --pid --fork --kill-child "$0" "$base" "$@"; }

if [ $# -gt 1 ]; then
    inside "${@:2}"
    exit
fi
for target in arm64 arm64_cortex_a72 host; do
    rm -rf "$root/tmp/$target"
    inside /usr/bin/python3.11 -m mbench run mobilenet_v1_0.25_32 --target "$target" --repeat 5 --output "/tmp/$target"
    inside /usr/bin/python3.11 - "/tmp/$target" <<'END'
import pathlib, sys
from mbench.core import records
[file] = pathlib.Path(sys.argv[1]).glob("*.json")
record = records.read(file)
[result] = record.results
assert (record.host.architecture, record.device.kind) == ("aarch64", "local"), record.device
assert result.numerics.passed and result.numerics.max_abs_error > 0, result.numerics
assert result.end_to_end.latency_s and all(layer.latency_s for layer in result.layers)
assert file.with_suffix(".html").stat().st_size > 0
print(f"{record.target.name} as {record.target.tvm['mcpu']}: ran natively; largest error {result.numerics.max_abs_error:.1e}")
END
done
