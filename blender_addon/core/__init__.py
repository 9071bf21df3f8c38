"""What the add-on knows and decides without Blender: no bpy in here."""
