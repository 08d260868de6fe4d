"""Makes a plan happen, and says how it goes."""
