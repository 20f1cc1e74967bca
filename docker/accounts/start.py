"""What each start of the container does about users: the agent's ids, then the accounts.

Both in one process, because a second Python would take longer to load than they take.
"""

import sys

from accounts import agent
from accounts.__main__ import main

if __name__ == "__main__":
    sys.exit(agent.main() or main(["restore"]))
