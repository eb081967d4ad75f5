"""``python -m auditor CERTIFICATE…``"""

import sys

from . import main

sys.exit(main(sys.argv[1:]))
