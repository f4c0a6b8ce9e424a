"""Makes ``python -m receptive_field.cli`` run the command ``receptive-field``."""

from receptive_field.cli import command_line

if __name__ == "__main__":
    command_line()
