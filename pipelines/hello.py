"""A first program for the sandbox: where am I, and what can I see?"""

import getpass
import os
import platform

processes = [name for name in os.listdir("/proc") if name.isdigit()]
print(f"hello from {platform.node()}, Python {platform.python_version()}")
print(f"I am {getpass.getuser()} in {os.getcwd()} and can see {len(processes)} processes")
