"""The tables gold.card_days and gold.card_profile, and the topic of profiles."""
