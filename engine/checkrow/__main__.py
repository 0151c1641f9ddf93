"""`python -m checkrow`: the command line."""

from checkrow.cli.main import run_main

if __name__ == "__main__":
    run_main()
