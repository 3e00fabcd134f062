"""`python -m app.cli` is `patchsift`."""

from app.cli import main

main()
