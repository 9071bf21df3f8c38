"""Frames that were edited elsewhere: registered to the footage, compared with it, averaged."""
