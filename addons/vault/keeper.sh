# Initialises Vault once, unseals it whenever it is sealed, and then declares what the lab wants of it.
#
# The unseal key lies beside the data, on the same volume: whoever has the volume has the secrets. That is
# right for a lab, which has to come back without a person, and for nothing else.
umask 077
export VAULT_ADDR=http://127.0.0.1:8200
kept=/vault/data/lab-init
declared=

# The part of a printed line after "$1: ".
printed() {
    sed -n "s/^$1: //p" "$kept"
}

# Whole or not at all: without what it prints nobody could ever unseal.
initialise() {
    vault operator init -key-shares=1 -key-threshold=1 >"$kept.partial" && mv "$kept.partial" "$kept"
}

unseal() {
    printf '{"key": "%s"}' "$(printed 'Unseal Key 1')" >/tmp/unseal.json
    vault write sys/unseal @/tmp/unseal.json >/dev/null && echo "unsealed"
    rm -f /tmp/unseal.json
}

while true; do
    # Far cheaper than the vault command, which is a third of a gigabyte.
    state=$(wget -q -O - "$VAULT_ADDR/v1/sys/seal-status" 2>/dev/null)
    case $state in
    *'"initialized":false'*)
        initialise && echo "initialised" ;;
    *'"sealed":true'*)
        rm -f /tmp/ready
        unseal ;;
    *'"sealed":false'*)
        if [ -z "$declared" ]; then
            VAULT_TOKEN=$(printed 'Initial Root Token') sh -eu /lab/declare/declare.sh && declared=yes && echo "declared"
        fi
        [ -z "$declared" ] || touch /tmp/ready ;;
    *)
        rm -f /tmp/ready ;;
    esac
    sleep 1
done
