# shellcheck shell=sh
# Finds a Python that is new enough, or installs the distribution's. Sourced by
# what runs before anything is there; $program is what messages call it.
#
# find_python sets $python. require_python brings one, or says what to do and ends.

: "${program:?}"

say() { printf '%s\n' "$*" >&2; }

# Debian and Ubuntu keep `ensurepip`, without which no virtual environment gets
# its pip, in a package of its own.
usable='import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'

# The first on PATH need not be the one: a pyenv shim may be there and not work.
find_python() {
    separator=$IFS
    IFS=:
    for folder in $PATH; do
        for name in python3 python3.14 python3.13 python3.12 python3.11; do
            python=$folder/$name
            if [ -x "$python" ] && "$python" -c "$usable" >/dev/null 2>&1; then
                IFS=$separator
                return 0
            fi
        done
    done
    IFS=$separator
    return 1
}

# What is missing, as the distribution's package names.
missing_packages() {
    find_python || printf 'python3 python3-venv '
    [ -e /etc/ssl/certs/ca-certificates.crt ] || printf 'ca-certificates '
    command -v git >/dev/null || printf 'git '
}

may_install() {
    command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }
}

# Runs a command as root, and shows what it prints only when it fails.
as_root() {
    [ "$(id -u)" -eq 0 ] || set -- sudo "$@"
    say "+ $*"
    output=$("$@" 2>&1) || {
        say "$output"
        say "That failed. Mend it, then run $program again."
        exit 1
    }
}

install_packages() {
    # The lock is often held on a machine that has just booted.
    as_root apt-get -q -o DPkg::Lock::Timeout=120 update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 \
        install -y --no-install-recommends "$@"
    # For the list of what was done to the machine.
    export OPENCODE_CLOUD_INSTALLED="$*"
}

how_to_install_by_hand() {
    say "$program needs Python 3.11 or newer, with its venv module, and none was found."
    case $(uname -s) in
        Darwin) say "Install it (brew install python@3.13, or python.org's installer)," ;;
        MINGW* | MSYS* | CYGWIN*)
            say "On Windows it runs in WSL: open PowerShell, run  wsl --install -d Debian ,"
            say "then clone this repository inside it,"
            ;;
        *)
            if python3 -c 'import sys; sys.exit(sys.version_info >= (3, 11))' 2>/dev/null; then
                say "This system's own is older: $(python3 --version)."
                say "Debian 12, Ubuntu 24.04 and later have a new enough one: upgrade, or put a"
                say "python3 of your own on PATH (pyenv, uv),"
            elif command -v apt-get >/dev/null; then
                say "Ask an administrator to run:"
                say "    apt-get install -y --no-install-recommends python3 python3-venv ca-certificates git"
            elif command -v dnf >/dev/null; then
                say "Run:  sudo dnf install -y python3 ca-certificates git"
            else
                say "Install python3 with your distribution's package manager,"
            fi
            ;;
    esac
    say "then run $program again."
}

# With --dry-run, only says what it would do.
require_python() {
    packages=''
    if [ "$(uname -s)" = Linux ] && may_install; then
        packages=$(missing_packages)
    fi
    if [ -n "$packages" ] && [ "${1:-}" = --dry-run ]; then
        say "$program would first install what it needs itself:"
        say "    apt-get update"
        say "    apt-get install -y --no-install-recommends $packages"
    elif [ -n "$packages" ]; then
        say "Installing what $program needs itself: $packages"
        # The package names hold no spaces: each is a word of its own.
        # shellcheck disable=SC2086
        install_packages $packages
    fi
    if find_python; then
        return 0
    fi
    if [ -n "$packages" ] && [ "${1:-}" = --dry-run ]; then
        say "The rest of the plan is printed by Python, which is not there yet."
        exit 0
    fi
    how_to_install_by_hand
    exit 1
}
