"""`python -m orpheus.cli`: how the supervisor starts servers and workers with the very interpreter it runs in."""

from orpheus.cli.main import main

if __name__ == "__main__":
    main()
