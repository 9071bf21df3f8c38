"""Everything that touches bpy's data: strips, frames, layers, nodes, timers."""
