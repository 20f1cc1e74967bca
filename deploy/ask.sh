# shellcheck shell=sh
# What the scripts of the buttons share: asks for what only you know, and fills in a machine's user-data.
# Whatever is in the environment already, by the same name, is not asked for. The script that reads this has
# set `deploy` to the folder of it.

# Of this user alone: the hash of a password gets into it. It goes with the script, however that ends.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# need PROGRAM...: ends where one of them is not there.
need() {
    for program; do
        if ! command -v "$program" > /dev/null; then
            echo "$program is not here, and this needs it." >&2
            exit 1
        fi
    done
}

# takes NAME VALUE: whether the field takes the value; says why not. deploy/fields.json knows them all.
takes() {
    # shellcheck disable=SC2154 # set by the script that reads this
    printf '%s' "$2" | python3 -c '
import json, re, sys
pattern, about = json.load(open(sys.argv[1]))[sys.argv[2]]
value = sys.stdin.read()
if "\n" in value:
    sys.exit(sys.argv[2] + " has to be one line.")
if not re.search(pattern, value):
    sys.exit(sys.argv[2] + " cannot be " + repr(value) + ". " + about)
' "$deploy/fields.json" "$1"
}

# said NAME...: ends where the environment has a value that a field does not take.
said() {
    for name; do
        eval "value=\${$name:-}"
        if [ -n "$value" ] && ! takes "$name" "$value"; then
            exit 1
        fi
    done
}

# ask NAME QUESTION [DEFAULT]
ask() {
    said "$1"
    eval "answer=\${$1:-}"
    until [ -n "$answer" ] && takes "$1" "$answer"; do
        printf '%s%s: ' "$2" "${3:+ [$3]}" >&2
        if ! read -r answer; then
            echo "$1 is not said: set it in the environment, or answer." >&2
            exit 1
        fi
        answer=${answer:-${3:-}}
    done
    eval "$1=\$answer"
    export "${1?}"
}

# ask_password: the hash of a password that is typed twice, and is kept nowhere.
ask_password() {
    if [ -z "${FIRST_USER_HASH:-}" ]; then
        echo "The password of $FIRST_USER, twice; what leaves this shell is its hash." >&2
        if ! FIRST_USER_HASH=$(openssl passwd -6); then
            echo "FIRST_USER_HASH is not said: set it to what \`openssl passwd -6\` prints, or type twice the same." >&2
            exit 1
        fi
    fi
    said FIRST_USER_HASH
    export FIRST_USER_HASH
}

# ask_all: everything that the user-data has a mark for, but ADDRESS.
ask_all() {
    said DOMAIN
    key=
    if [ -r "$HOME/.ssh/id_ed25519.pub" ]; then
        key=$(cat "$HOME/.ssh/id_ed25519.pub")
    fi
    ask SSH_PUBLIC_KEY "Your public SSH key, one line" "$key"
    ask SSH_FROM "Your network, from which SSH is let in (0.0.0.0/0: everybody)"
    ask FIRST_USER "Who signs in first" admin
    ask_password
    ask IMAGE "The image by its digest, REPOSITORY@sha256:..."
    TLS=${DOMAIN:-sslip}
    export TLS
}

# fill FILE: the user-data with its marks filled in. Every mark has to have a value.
fill() {
    python3 -c '
import os, re, sys
print(re.sub("@([A-Z_]+)@", lambda mark: os.environ[mark[1]], open(sys.argv[1]).read()), end="")
' "$1"
}

# url: where it answers.
url() {
    if [ "$TLS" = sslip ]; then
        echo "https://$(echo "$ADDRESS" | tr . -).sslip.io"
    else
        echo "https://$TLS"
    fi
}

# finished: what to do next.
finished() {
    echo "In a few minutes: $(url)"
    echo "Administer it: ssh opencode@$ADDRESS; how it gets on: ssh opencode@$ADDRESS sudo opencode-cloud-status"
}
