"""What the artist sees and presses: properties, preferences, operators, panel."""
