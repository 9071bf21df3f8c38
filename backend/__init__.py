"""The GPU backend: server, journal, store, and the methods that make layers."""

import sys

if sys.version_info < (3, 11):
    # Said here, before a module with newer syntax is read; the add-on shows both lines.
    raise SystemExit(
        f"text2live: The backend needs Python 3.11 or newer; this is {sys.version.split()[0]}.\n"
        "Install it in a newer Python, and start it with that one."
    )
