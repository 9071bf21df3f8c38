"""How a clip moves: optical flow, the motion of regions, and its cuts."""
