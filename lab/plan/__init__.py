"""What must happen, and after what. Pure: no process, no network, no clock, no environment."""
