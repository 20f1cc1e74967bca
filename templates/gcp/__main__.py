"""opencode as a service: the program is opencode-cloud's own, as its package carries it."""

from opencode_cloud.ops import program_file

program_file.run()
