"""Other ways to serve the same model: what Tiltyard's figures stand beside."""
