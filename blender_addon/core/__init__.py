"""The part of the add-on that does not need Blender: no bpy in here."""
