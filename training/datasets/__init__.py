"""From files to rows that a trainer can take: read, normalise, check, split, report. No torch here."""
