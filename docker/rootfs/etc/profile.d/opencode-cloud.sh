# shellcheck shell=sh
# Read by the agent's shells (BASH_ENV) and by people's.
unset OPENCODE_SERVER_PASSWORD
