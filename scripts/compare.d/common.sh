# What scripts/compare and scripts/limits have in common. Sourced; `program` is the caller's name.

# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
namespace=()

refuse() {
    printf '%s: %s\n' "$program" "$1" >&2
    usage >&2
    exit 2
}

check_tools() {
    local tool
    for tool in node taskset unshare ip; do
        if ! command -v "$tool" >/dev/null; then
            printf '%s: %s is missing; scripts/test install brings it on Debian and Ubuntu\n' "$program" "$tool" >&2
            exit 2
        fi
    done
    namespace=(--net)
    if [[ $(id -u) != 0 ]]; then namespace+=(--map-root-user); fi
    if ! unshare "${namespace[@]}" true 2>/dev/null; then
        printf '%s: no network namespace can be made here: run it as root\n' "$program" >&2
        exit 2
    fi
}

# Nobody knows which one a build was made of that is taken as it is.
commit() {
    if [[ -z ${build-} ]]; then
        echo unknown
        return
    fi
    git -C "$root" describe --always --dirty 2>/dev/null || echo unknown
}

# The namespace has one address that is not loopback's, which Janus would not use. Packets to it take
# the way through loopback all the same, as it is the host's own.
prepare_namespace() {
    ip link set lo up
    ip link add wg0 type veth peer name wg1
    ip address add 10.77.0.1/24 dev wg0
    ip link set wg0 up
    ip link set wg1 up
}
