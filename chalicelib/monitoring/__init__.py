"""What goes in and out of production: recorded, counted, and compared with what was promised."""
