"""Text2LIVE for Blender: say what a shot should show, get a layer above its strip."""

bl_info = {
    "name": "Text2LIVE",
    "author": "text2live-blender contributors",
    "version": (0, 1, 0),
    "blender": (3, 4, 1),
    "location": "Sequencer > Sidebar > Text2LIVE",
    "description": "Text-driven RGBA layers for movie strips, made by a GPU backend",
    "category": "Sequencer",
}


def register() -> None:
    """Make everything known to Blender; nothing is imported before this."""
    from .blender import handlers, runtime
    from .ui import buttons, panel, preferences, properties

    for part in (properties, preferences, buttons, panel):
        part.register()
    runtime.start()
    handlers.register()


def unregister() -> None:
    """Take everything back, in the opposite order."""
    from .blender import handlers, runtime
    from .ui import buttons, panel, preferences, properties

    handlers.unregister()
    runtime.stop()
    for part in (panel, buttons, preferences, properties):
        part.unregister()
