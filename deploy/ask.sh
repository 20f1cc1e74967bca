# shellcheck shell=sh
# What the scripts of the buttons share: asks for what only you know, and fills in a machine's user-data.
# Whatever is in the environment already, by the same name, is not asked for.

# ask NAME QUESTION [DEFAULT]
ask() {
    eval "answer=\${$1:-}"
    while [ -z "$answer" ]; do
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
        FIRST_USER_HASH=$(openssl passwd -6)
    fi
    export FIRST_USER_HASH
}

# ask_all: everything that the user-data has a mark for, but ADDRESS.
ask_all() {
    key=$(cat "$HOME"/.ssh/id_ed25519.pub 2> /dev/null || true)
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
def value(match):
    found = os.environ[match[1]]
    if "\n" in found:
        sys.exit(match[1] + " has to be one line")
    return found
print(re.sub("@([A-Z_]+)@", value, open(sys.argv[1]).read()), end="")
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
