"""Everything that touches Blender's data: strips, frames, layers, nodes, timers."""
