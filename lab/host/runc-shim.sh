#!/bin/sh
# An OCI runtime in front of runc, for hosts that may not grant CAP_SYS_RESOURCE.
#
# Where that capability is missing from the bounding set (nested containers, some microVMs), runc
# fails for every privileged container with "unable to apply caps", and for every container with a
# negative OOM score with "permission denied". This drops the one, lifts the other to 0, and then
# becomes the real runc. Where the capability is there, it does nothing but become the real runc.
#
# It is used twice: by the host's container engine, and inside nodes as /usr/local/sbin/runc, which
# containerd finds before Debian's own. The real runc is $LAB_RUNC, else /usr/local/sbin/runc.real,
# else the first runc on PATH that is not a copy of this file. Needs jq.
set -eu

real_runc() {
    if [ -n "${LAB_RUNC:-}" ]; then
        printf '%s\n' "$LAB_RUNC"
        return
    fi
    if [ -x /usr/local/sbin/runc.real ]; then
        echo /usr/local/sbin/runc.real
        return
    fi
    # An engine may start its runtimes with a PATH that lacks the sbin folders.
    folders="${PATH:-}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    while [ -n "$folders" ]; do
        candidate="${folders%%:*}/runc"
        case "$folders" in
        *:*) folders="${folders#*:}" ;;
        *) folders= ;;
        esac
        if [ -f "$candidate" ] && [ -x "$candidate" ] && ! cmp -s "$candidate" "$0"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo "runc-shim: no runc was found; set LAB_RUNC to its path" >&2
    exit 127
}

# Bit 24 of the bounding set is CAP_SYS_RESOURCE (linux/capability.h). LAB_CAP_BND is for tests.
may_grant() {
    set_bits="${LAB_CAP_BND:-}"
    if [ -z "$set_bits" ]; then
        while read -r key value; do
            if [ "$key" = "CapBnd:" ]; then set_bits="$value"; fi
        done </proc/self/status
    fi
    [ $((0x$set_bits >> 24 & 1)) -eq 1 ]
}

# Rewrite the process object at jq path $2 of the file $1 ("." for exec's own file).
#
# jq before 1.7 holds numbers as doubles, and would turn an rlimit of 18446744073709551615 into one
# that runc refuses; so long integers travel through it as strings. The pattern cannot match inside
# a JSON string: there, a quote has a backslash before it, not a letter.
rewrite() {
    [ -f "$1" ] || return 0
    edited="$1.runc-shim.$$"
    if sed -E 's/([A-Za-z]"[[:space:]]*:[[:space:]]*)(-?[0-9]{16,})/\1"@integer\2"/g' "$1" |
        jq -c "$2"' |= (
            (if .capabilities then .capabilities |= map_values(
                if type == "array" then map(select(. != "CAP_SYS_RESOURCE")) else . end) else . end)
            | (if (.oomScoreAdj // 0) < 0 then .oomScoreAdj = 0 else . end))' |
        sed -E 's/"@integer(-?[0-9]+)"/\1/g' >"$edited" && [ -s "$edited" ]; then
        mv -f "$edited" "$1"
    else
        # Left as it was: runc says better than we could what is wrong with it.
        rm -f "$edited"
    fi
}

runc="$(real_runc)"
if may_grant; then exec "$runc" "$@"; fi
if ! command -v jq >/dev/null; then
    echo "runc-shim: jq was not found, and this host cannot grant CAP_SYS_RESOURCE without it" >&2
    exit 127
fi

verb=
bundle=.
process=
previous=
for word in "$@"; do
    case "$previous" in
    --root | --log | --log-format | --criu | --rootless) previous= && continue ;; # a global option's value
    --bundle | -b) bundle="$word" && previous= && continue ;;
    --process | -p) process="$word" && previous= && continue ;;
    esac
    case "$word" in
    --bundle=* | -b=*) bundle="${word#*=}" ;;
    --process=* | -p=*) process="${word#*=}" ;;
    -*) previous="$word" ;;
    *) if [ -z "$verb" ]; then verb="$word"; fi && previous= ;;
    esac
done
case "$verb" in
create | run | restore) rewrite "$bundle/config.json" .process ;;
exec) if [ -n "$process" ]; then rewrite "$process" .; fi ;;
esac
exec "$runc" "$@"
