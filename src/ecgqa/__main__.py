"""`python -m ecgqa` is the same as `ecgqa`."""

import sys

from ecgqa.cli.main import main

sys.exit(main())
