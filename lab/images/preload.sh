#!/bin/sh
# Runs in a container of a node image, as root: puts the image archives it is given into the
# node's containerd, unpacked, so that a node made of the result starts its pods at once.
#
# A node's /var is a volume of its own, since overlayfs cannot have an upper folder on overlayfs, and
# Docker fills it with a copy of what the image has there. So what is large does not go there: the
# unpacked file systems stay in the image, under /kind/lab/snapshots, shared by all nodes, and
# containerd finds them through links. (A lower folder on overlayfs is fine: two may be stacked.)
set -eu
scratch=/scratch/containerd
socket=/run/lab-containerd.sock
snapshots=io.containerd.snapshotter.v1.overlayfs/snapshots

rm -rf "$scratch"
if [ -d /var/lib/containerd ]; then cp -a /var/lib/containerd "$scratch"; fi
mkdir -p "$scratch"
cat >/run/lab-containerd.toml <<EOF
version = 2
root = "$scratch"
state = "/run/lab-containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"]
[grpc]
  address = "$socket"
EOF
containerd --config /run/lab-containerd.toml --log-level error >/run/lab-containerd.log 2>&1 &
daemon=$!
ctr() { command ctr --address "$socket" --namespace k8s.io "$@"; }
tries=0
until ctr version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ]; then cat /run/lab-containerd.log >&2 && exit 1; fi
    sleep 0.1
done

# Pinned, so that kubelet never removes them to make room: they would not come back by themselves.
for archive in "$@"; do
    ctr images import --local --label io.cri-containerd.pinned=pinned --discard-unpacked-layers "$archive"
done
# Layers that were unpacked are garbage; a synchronous collection keeps them out of the image.
lease=$(ctr leases create)
ctr leases delete --sync "$lease" >/dev/null
kill "$daemon"
wait "$daemon" || true

rm -rf /var/lib/containerd /kind/lab
mkdir -p /kind/lab/snapshots "/var/lib/containerd/$snapshots"
for folder in "$scratch/$snapshots"/*; do
    number=${folder##*/}
    cp -a "$folder" "/kind/lab/snapshots/$number"
    ln -s "/kind/lab/snapshots/$number" "/var/lib/containerd/$snapshots/$number"
done
rm -rf "${scratch:?}/$snapshots"
cp -a "$scratch/." /var/lib/containerd/
rm -rf "$scratch" /run/lab-containerd*
