"""What several tests of the session service stand on."""

import asyncio
from pathlib import Path

PASSWORD = "correct horse"
HASH = "$y$j9T$salt$hash"
GROUPS = "root:x:0:\nshadow:x:42:session\nopencode-users:x:802:{0}\nopencode:x:1000:{0}\n"
PASSWD = "root:x:0:0:root:/root:/bin/bash\nopencode:x:1000:1000::/home/opencode:/bin/bash\n"
SHADOW = "root:*:20000:0:99999:7:::\nopencode:!:20000:0:99999:7:::\n"


def write_etc(folder: Path, **hashes: str) -> Path:
    """An /etc with an account for each name, and the system's own."""
    folder.mkdir(exist_ok=True)
    names = sorted(hashes)
    groups = [f"{name}:x:{2000 + i}:\n" for i, name in enumerate(names)]
    users = [
        f"{name}:x:{2000 + i}:{2000 + i}::/home/{name}:/bin/bash\n" for i, name in enumerate(names)
    ]
    secrets = [f"{name}:{hashes[name]}:20000:0:99999:7:::\n" for name in names]
    (folder / "group").write_text(GROUPS.format(",".join(names)) + "".join(groups))
    (folder / "passwd").write_text(PASSWD + "".join(users))
    (folder / "shadow").write_text(SHADOW + "".join(secrets))
    return folder


class Pam:
    """Knows one password, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def accepts(self, name: str, password: str) -> bool:
        self.asked += 1
        await asyncio.sleep(0.01)
        return (name, password) == ("ada", PASSWORD)
