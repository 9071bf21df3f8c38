"""Text2LIVE for Blender: describe what a shot should show, and get a layer above its strip."""

import os
import sys

bl_info = {
    "name": "Text2LIVE",
    "author": "text2live-blender contributors",
    "version": (0, 1, 0),
    "blender": (3, 4, 1),
    "location": "Sequencer > Sidebar > Text2LIVE",
    "description": "Text-driven RGBA layers for movie strips, made by a GPU backend",
    "category": "Sequencer",
}


def use_packages() -> None:
    """Make the packages bundled in a legacy add-on importable; an extension bundles wheels instead.

    They come last on the path, so packages that this Python already has take precedence.
    """
    python = "{}.{}".format(*sys.version_info)
    folder = os.path.join(os.path.dirname(__file__), "packages", python)
    if os.path.isdir(folder) and folder not in sys.path:
        sys.path.append(folder)


def register() -> None:
    """Register everything with Blender; nothing is imported before this."""
    use_packages()
    from .ui import missing

    lacking = missing.missing_packages()
    if lacking:
        missing.register(lacking)
        return
    from .blender import handlers, runtime
    from .ui import registry

    registry.register()
    runtime.start()
    handlers.register()


def unregister() -> None:
    """Unregister everything in reverse order."""
    from .ui import missing

    if missing.unregister():
        return
    from .blender import handlers, runtime
    from .ui import registry

    handlers.unregister()
    runtime.stop()
    registry.unregister()
