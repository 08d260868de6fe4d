#!/bin/sh
# Runs in a container of a node image, as root: packs into /out/$1 what turns a bare machine into a node, the
# programs and the unpacked images. The image's units and containerd's configuration are left: they are for
# containers, with hooks that need more programs than a machine has.
set -eu
cd /
name=$1
set --
for path in usr/bin/kubeadm usr/bin/kubelet usr/bin/kubectl \
    usr/local/bin/containerd usr/local/bin/containerd-shim-runc-v2 usr/local/bin/ctr \
    usr/sbin/runc usr/local/sbin/runc usr/local/sbin/runc.real \
    opt/cni/bin kind/version kind/manifests kind/lab var/lib/containerd; do
    if [ -e "$path" ]; then set -- "$@" "$path"; fi
done
tar --create --numeric-owner --xattrs --xattrs-include='*' --file "/out/$name.partial" "$@"
chmod 644 "/out/$name.partial"
mv "/out/$name.partial" "/out/$name"
