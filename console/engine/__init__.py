"""The engine: what every host may import. No Qt below here."""
