"""Text2LIVE: the RGBA edit layer, trained against CLIP."""
