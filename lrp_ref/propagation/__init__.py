"""One layer: conventions settled, contributions formed, relevance handed back, gauged and accounted for."""
