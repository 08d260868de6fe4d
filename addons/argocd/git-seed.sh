# git-seed.sh FILES FOLDER: makes FOLDER/demo.git once, FILES its first commit. What somebody pushed since stays.
set -eu
files=$1
folder=$2
if [ -e "$folder/demo.git" ]; then
    echo "demo.git is there"
    exit 0
fi
# Whole or not at all: its name begins with a dot, and is not served, until nothing is missing.
rm -rf "$folder/.new"
work=$(mktemp -d)
git init -q "$work"
# Links, as Kubernetes mounts a ConfigMap: what they lead to is copied, and their own machinery (..data) is not.
cp -RL "$files"/* "$work"
git -C "$work" add .
git -C "$work" commit -q -m "A small shop front"
git clone -q --bare "$work" "$folder/.new"
git -C "$folder/.new" remote remove origin
rm -rf "$work"
mv "$folder/.new" "$folder/demo.git"
echo "made demo.git"
