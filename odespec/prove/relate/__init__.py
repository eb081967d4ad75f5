"""From step programs and fields to relations between the differences of two runs."""
