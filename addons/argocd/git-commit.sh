# git-commit.sh URL CLUSTER [NONCE]: has the cluster, and no other, get a ConfigMap that holds NONCE; without NONCE, get none.
# Made as a person would, by a clone and a push, and safe beside another one for another cluster.
set -eu
url=$1
file=storefront/only/$2/check.yaml
nonce=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone -q "$url" "$work"
cd "$work"
for _ in 1 2 3 4 5 6 7 8; do
    if [ -n "$nonce" ]; then
        mkdir -p "storefront/only/$2"
        printf '%s\n' "apiVersion: v1" "kind: ConfigMap" "metadata: {name: check}" "data: {nonce: \"$nonce\"}" >"$file"
        git add "$file"
    else
        git rm -q --ignore-unmatch "$file"
    fi
    git diff --cached --quiet || git commit -q -m "check: ${nonce:-nothing} for $2"
    if git push -q origin HEAD:main; then
        git rev-parse HEAD
        exit 0
    fi
    # Somebody else was faster: once more, on top of that.
    git fetch -q origin main
    git reset -q --hard FETCH_HEAD
done
exit 1
