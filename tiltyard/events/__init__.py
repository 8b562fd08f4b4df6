"""For receivers of Tiltyard's webhooks: telling a genuine delivery from any other."""
